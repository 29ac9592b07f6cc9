using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Slipstream.Numerics;

/// <summary>
/// A fixed set of threads for fork-join work: the caller is worker 0, the others spin briefly and then park.
/// A pool serves one caller at a time (a second caller waits); it allocates nothing after construction.
/// </summary>
/// <remarks>
/// <c>_state</c> is the whole protocol: the number of the job, whether it is open, and how many threads are in it.
/// A thread enters by a compare-and-swap that succeeds only while the job is open, and the caller changes the job's fields only after it has closed
/// the job and the last thread has left. So a thread that wakes late misses a job, it never runs a stale one, and the caller never waits for a thread that has not come.
/// </remarks>
public sealed unsafe class ComputePool : IDisposable
{
    // About 100 µs: longer than the gaps between the products of a forward pass, shorter than anyone would notice in the load of an idle process.
    private const int SpinsBeforePark = 400;
    // Longs between the counters of two slices: two cache lines.
    private const int Apart = 16;
    private const long ActiveMask = 0xffff, Open = 0x10000, NextJob = 0x20000, Generation = ~(ActiveMask | Open);

    [ThreadStatic]
    private static ComputePool? t_inside;

    private readonly Worker[] _workers;
    private readonly Lock _callers = new();
    private delegate*<void*, int, int, int, void> _body;
    private void* _job;
    private int _count, _grain, _slices, _active;
    private long _state;
    private readonly long[] _next;
    private volatile bool _stopping;
    private Exception? _failure;

    /// <summary>Starts a pool of <paramref name="threads"/> workers (the caller counts as one).</summary>
    /// <param name="threads">Workers, the caller among them.</param>
    /// <param name="pin">Whether each thread of the pool stays on a processor of its own: the second and following ones the process may use. Does nothing but on Linux. See <see cref="PinCaller"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="threads"/> is under 1 or over 1024.</exception>
    public ComputePool(int threads, bool pin = false)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, 1024);
        Threads = _active = threads;
        _next = new long[(threads + 1) * Apart];
        _workers = new Worker[threads - 1];
        for (int i = 0; i < _workers.Length; i++)
        {
            int number = i + 1;
            Worker worker = _workers[i] = new Worker();
            worker.Thread = new Thread(() =>
            {
                if (pin) ThreadAffinity.PinTo(number);
                Work(worker, number);
            }) { IsBackground = true, Name = $"slipstream {number}" };
            worker.Thread.Start();
        }
    }

    /// <summary>Keeps the calling thread, if it is the one that will use this pool, on the first processor that the process may use. Does nothing but on Linux.</summary>
    public static void PinCaller() => ThreadAffinity.PinTo(0);

    /// <summary>Workers, the caller among them.</summary>
    public int Threads { get; }

    /// <summary>
    /// Workers that take part in jobs from the next one on, 1 to <see cref="Threads"/>, the caller among them; the others park. Results do not depend on it, only how long they take:
    /// a caller that changes it while another uses the pool disturbs nothing else.
    /// </summary>
    internal int Active
    {
        get => Volatile.Read(ref _active);
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, Threads);
            Volatile.Write(ref _active, value);
        }
    }

    /// <summary>What the kernels run on this pool have read.</summary>
    public ComputeCounters Counters { get; } = new();

    /// <summary>Tells where the time of the calling thread goes; null where nobody asks.</summary>
    internal StageClock? Clock { get; set; }

    /// <summary>
    /// Runs <paramref name="job"/> over <c>[0, count)</c> in ranges whose bounds are multiples of <paramref name="grain"/>, and returns when all are done.
    /// Each thread begins with a slice of its own, the same in every job of that count, so that it finds in its caches what it wrote in the job before; then it helps with the slices of the others.
    /// </summary>
    /// <exception cref="Exception">The first exception a range threw; ranges not begun by then are left out.</exception>
    /// <exception cref="InvalidOperationException">The call comes from inside a job of this pool.</exception>
    /// <exception cref="ObjectDisposedException">The pool is disposed.</exception>
    public void For<TJob>(scoped ref TJob job, int count, int grain = 1) where TJob : struct, IRangeJob, allows ref struct
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(grain, 1);
        RefuseNesting();
        if (count <= 0) return;
        lock (_callers)
        {
            ObjectDisposedException.ThrowIf(_stopping, this);
            ComputePool? outer = t_inside;
            t_inside = this;
            try
            {
                int slices = Active;
                if (slices == 1 || count <= grain) job.Execute(0, count, 0);
                else ForkJoin(ref job, count, grain, slices);
            }
            finally
            {
                t_inside = outer;
            }
        }
    }

    /// <summary>Stops and joins the threads; waits for a running job.</summary>
    /// <exception cref="InvalidOperationException">The call comes from inside a job of this pool.</exception>
    public void Dispose()
    {
        RefuseNesting();
        lock (_callers)
        {
            if (_stopping) return;
            _stopping = true;
            Interlocked.MemoryBarrier(); // A worker marks itself parked and then looks for work or the end; this side must write first and look second too.
            foreach (Worker worker in _workers)
            {
                worker.WakeIfParked();
                worker.Dispose();
            }
        }
    }

    private void RefuseNesting()
    {
        if (t_inside == this) throw new InvalidOperationException("A job cannot use the pool it runs on.");
    }

    private void ForkJoin<TJob>(scoped ref TJob job, int count, int grain, int slices) where TJob : struct, IRangeJob, allows ref struct
    {
        // SAFETY: the job lives in a frame of the caller, which outlasts the join below; by-refs in it are updated by the collector where they lie.
        _job = Unsafe.AsPointer(ref job);
        _body = &Run<TJob>;
        _count = count;
        _grain = grain;
        _slices = slices;
        _failure = null;
        for (int slice = 0; slice < slices; slice++) _next[Apart * (slice + 1)] = Start(slice);
        long opened = ((_state & Generation) + NextJob) | Open;
        Interlocked.Exchange(ref _state, opened);
        for (int i = 0; i < slices - 1; i++) _workers[i].WakeIfParked();
        Drain(0);
        Interlocked.And(ref _state, ~Open);
        Stage stage = Clock?.Enter(Stage.Wait) ?? default;
        SpinWait spin = default;
        while ((Volatile.Read(ref _state) & ActiveMask) != 0) spin.SpinOnce(sleep1Threshold: -1);
        Clock?.Enter(stage);
        _job = null;
        if (_failure is { } failure) ExceptionDispatchInfo.Throw(failure);
    }

    // SAFETY: the pointer is to the caller's job, which lives until the join.
    private static void Run<TJob>(void* job, int from, int to, int worker) where TJob : struct, IRangeJob, allows ref struct
        => Unsafe.AsRef<TJob>(job).Execute(from, to, worker);

    private void Drain(int worker)
    {
        try
        {
            for (int i = 0; i < _slices; i++) DrainSlice((worker + i) % _slices, worker);
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, e, null);
            for (int slice = 0; slice < _slices; slice++) Volatile.Write(ref _next[Apart * (slice + 1)], _count);
        }
    }

    private void DrainSlice(int slice, int worker)
    {
        ref long next = ref _next[Apart * (slice + 1)];
        long end = Start(slice + 1), from = Volatile.Read(ref next);
        while (from < end)
        {
            // Half of what is left: long ranges first, short ones at the end, so that no thread waits long for another, nor for one that the system took away.
            long to = Math.Min(end, from + Math.Max(1, (end - from) / (2L * _grain)) * _grain);
            long found = Interlocked.CompareExchange(ref next, to, from);
            if (found != from)
            {
                from = found;
                continue;
            }
            _body(_job, (int)from, (int)to, worker);
            from = Volatile.Read(ref next);
        }
    }

    /// <summary>Where a thread's slice of the current job begins; that of the thread after the last is the end.</summary>
    private long Start(int slice) => slice == _slices ? _count : Math.Min(_count, (_count + _grain - 1L) / _grain * slice / _slices * _grain);

    private void Work(Worker me, int number)
    {
        t_inside = this;
        long seen = 0;
        int spins = 0;
        while (!_stopping)
        {
            long state = Volatile.Read(ref _state);
            if (!IsWanted(state))
            {
                if (++spins < SpinsBeforePark)
                {
                    Thread.SpinWait(8);
                    continue;
                }
                me.Park();
                state = Volatile.Read(ref _state);
                if (!_stopping && !IsWanted(state)) me.Sleep();
                else me.Unpark();
                spins = 0;
            }
            else if (Interlocked.CompareExchange(ref _state, state + 1, state) == state)
            {
                seen = state & Generation;
                Drain(number);
                Interlocked.Decrement(ref _state);
                spins = 0;
            }
        }

        // One that is not active and sees so too late takes part all the same, which does no harm.
        bool IsWanted(long state) => (state & Generation) != seen && (state & Open) != 0 && number < Active;
    }

    /// <summary>One thread and its bed. Every claim of a parked thread releases exactly one permit, which only that thread takes.</summary>
    private sealed class Worker : IDisposable
    {
        private readonly SemaphoreSlim _permit = new(0);
        public Thread? Thread;
        private int _parked;

        public void Park() => Interlocked.Exchange(ref _parked, 1);

        public void Sleep() => _permit.Wait();

        // If the waker was first, its permit is on the way and must be taken, or the next sleep would end at once.
        public void Unpark()
        {
            if (Interlocked.Exchange(ref _parked, 0) == 0) _permit.Wait();
        }

        public void WakeIfParked()
        {
            if (Volatile.Read(ref _parked) == 1 && Interlocked.Exchange(ref _parked, 0) == 1) _permit.Release();
        }

        public void Dispose()
        {
            Thread?.Join();
            _permit.Dispose();
        }
    }
}
