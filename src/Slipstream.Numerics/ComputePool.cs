using System.Runtime.CompilerServices;

namespace Slipstream.Numerics;

/// <summary>
/// A fixed set of threads for fork-join work: the caller is worker 0, the others spin briefly and then park.
/// A pool serves one caller at a time (a second caller waits); it allocates nothing after construction.
/// </summary>
public sealed unsafe class ComputePool : IDisposable
{
    private const int SpinsBeforePark = 4000;
    private readonly Thread[] _threads;
    private readonly Lock _callers = new();
    private readonly SemaphoreSlim _wake = new(0);
    private delegate*<void*, int, int, int, void> _body;
    private void* _job;
    private int _count, _grain, _next, _running, _generation, _parked;
    private volatile bool _stopping;
    private Exception? _failure;

    /// <summary>Starts a pool of <paramref name="threads"/> workers (the caller counts as one).</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="threads"/> is under 1 or over 1024.</exception>
    public ComputePool(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, 1024);
        Threads = threads;
        _threads = new Thread[threads - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int worker = i + 1;
            _threads[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = $"slipstream compute {worker}" };
            _threads[i].Start();
        }
    }

    /// <summary>Workers, the caller among them.</summary>
    public int Threads { get; }

    /// <summary>What the kernels run on this pool have read.</summary>
    public ComputeCounters Counters { get; } = new();

    /// <summary>
    /// Runs <paramref name="job"/> over <c>[0, count)</c> in ranges whose bounds are multiples of <paramref name="grain"/>, and returns when all are done.
    /// </summary>
    /// <exception cref="Exception">The first exception a range threw.</exception>
    public void For<TJob>(scoped ref TJob job, int count, int grain = 1) where TJob : struct, IRangeJob, allows ref struct
    {
        if (count <= 0) return;
        if (_threads.Length == 0 || count <= grain)
        {
            job.Execute(0, count, 0);
            return;
        }
        lock (_callers)
        {
            // SAFETY: the job lives in the caller's frame, which outlasts the join below; by-refs in it are updated by the collector where they lie.
            _job = Unsafe.AsPointer(ref job);
            _body = &Run<TJob>;
            _count = count;
            _grain = Math.Max(1, grain);
            _failure = null;
            Volatile.Write(ref _next, 0);
            Volatile.Write(ref _running, _threads.Length);
            Interlocked.Increment(ref _generation);
            int parked = Volatile.Read(ref _parked);
            if (parked > 0) _wake.Release(parked);
            Drain(0);
            SpinWait spin = default;
            while (Volatile.Read(ref _running) != 0) spin.SpinOnce(sleep1Threshold: -1);
            _job = null;
            if (_failure is { } failure) throw failure;
        }
    }

    /// <summary>Stops and joins the threads.</summary>
    public void Dispose()
    {
        if (_stopping) return;
        _stopping = true;
        Interlocked.Increment(ref _generation);
        _wake.Release(_threads.Length + 1);
        foreach (Thread thread in _threads) thread.Join();
        _wake.Dispose();
    }

    private static void Run<TJob>(void* job, int from, int to, int worker) where TJob : struct, IRangeJob, allows ref struct
        => Unsafe.AsRef<TJob>(job).Execute(from, to, worker);

    private void Drain(int worker)
    {
        try
        {
            // A range is a few times smaller than a fair share, so that a thread the system took away costs little.
            int share = Math.Max(1, _count / (Threads * 4 * _grain)) * _grain;
            while (true)
            {
                int from = Interlocked.Add(ref _next, share) - share;
                if ((uint)from >= (uint)_count) return;
                _body(_job, from, Math.Min(_count, from + share), worker);
            }
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, e, null);
        }
    }

    private void Work(int worker)
    {
        int seen = 0;
        while (true)
        {
            int spins = 0;
            while (Volatile.Read(ref _generation) == seen && !_stopping)
            {
                if (++spins < SpinsBeforePark) { Thread.SpinWait(8); continue; }
                Interlocked.Increment(ref _parked);
                if (Volatile.Read(ref _generation) == seen && !_stopping) _wake.Wait();
                Interlocked.Decrement(ref _parked);
                spins = 0;
            }
            if (_stopping) return;
            seen++;
            Drain(worker);
            Interlocked.Decrement(ref _running);
        }
    }
}
