using Slipstream.Numerics;

namespace Slipstream.Tests;

public sealed class ComputePoolTests
{
    private struct Count(int[] hits, int grain) : IRangeJob
    {
        public int Sum;

        public void Execute(int from, int to, int worker)
        {
            Assert.Equal(0, from % grain);
            for (int i = from; i < to; i++) Interlocked.Increment(ref hits[i]);
            Interlocked.Add(ref Sum, to - from);
        }
    }

    private struct Processors(int[] counts) : IRangeJob
    {
        public readonly void Execute(int from, int to, int worker)
        {
            counts[worker] = ThreadAffinity.Count();
            Thread.Sleep(1); // Long enough that the others come too.
        }
    }

    [Fact]
    public void Pinned_threads_have_one_processor_each()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Threads are pinned on Linux only.");
        int[] counts = new int[3];
        Thread caller = new(() =>
        {
            using ComputePool pool = new(counts.Length, pin: true);
            ComputePool.PinCaller();
            for (int round = 0; round < 1000 && counts.Contains(0); round++)
            {
                Processors job = new(counts);
                pool.For(ref job, 64);
            }
        });
        caller.Start();
        caller.Join();
        Assert.Equal([1, 1, 1], counts);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    public void Every_index_is_done_once(int threads)
    {
        using ComputePool pool = new(threads);
        foreach (int grain in new[] { 1, 4, 7, 8 })
            for (int count = 0; count < 70; count++)
            {
                int[] hits = new int[count];
                Count job = new(hits, grain);
                pool.For(ref job, count, grain);
                Assert.All(hits, h => Assert.Equal(1, h));
                Assert.Equal(count, job.Sum);
            }
    }

    // A lost wake-up hangs here: threads park while they are not wanted.
    [Fact]
    public void Jobs_take_no_more_workers_than_are_active_and_every_index_is_done_once()
    {
        using ComputePool pool = new(4);
        Random random = new(3);
        for (int round = 0; round < 3000; round++)
        {
            pool.Active = 1 + random.Next(4);
            int[] hits = new int[37];
            Count job = new(hits, 1);
            pool.For(ref job, hits.Length);
            Assert.All(hits, h => Assert.Equal(1, h));
            if (round % 500 == 0) Thread.Sleep(3);
        }
        pool.Active = 1;
        int[] workers = new int[4];
        Processors alone = new(workers);
        pool.For(ref alone, 8);
        Assert.Equal([0, 0, 0], workers[1..]);
        Assert.Throws<ArgumentOutOfRangeException>(() => pool.Active = 0);
        Assert.Throws<ArgumentOutOfRangeException>(() => pool.Active = 5);
    }

    private struct Mark(int[] log, int expected) : IRangeJob
    {
        public readonly void Execute(int from, int to, int worker)
        {
            for (int i = from; i < to; i++) log[i] = expected;
        }
    }

    // A lost wake-up hangs here, a stale job leaves the number of an earlier round behind.
    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Thousands_of_tiny_jobs_with_and_without_pauses(int threads)
    {
        using ComputePool pool = new(threads);
        int[] log = new int[64];
        for (int round = 1; round <= 5000; round++)
        {
            Mark job = new(log, round);
            pool.For(ref job, 1 + round % 64);
            for (int i = 0; i < 1 + round % 64; i++) Assert.Equal(round, log[i]);
            if (round % 100 == 0) Thread.Sleep(2); // Longer than the threads spin.
            else if (round % 7 == 0) Thread.SpinWait(round % 5000); // About as long.
        }
    }

    [Fact]
    public void Callers_take_turns()
    {
        using ComputePool pool = new(3);
        int inside = 0, most = 0;
        Thread[] callers = new Thread[4];
        Exception? failure = null;
        for (int c = 0; c < callers.Length; c++)
        {
            callers[c] = new Thread(() =>
            {
                try
                {
                    int[] hits = new int[50];
                    for (int round = 1; round <= 500; round++)
                    {
                        Exclusive job = new(hits, ref inside, ref most);
                        pool.For(ref job, 50);
                        Assert.All(hits, h => Assert.Equal(round, h));
                    }
                }
                catch (Exception e)
                {
                    failure = e;
                }
            });
            callers[c].Start();
        }
        foreach (Thread caller in callers) caller.Join();
        Assert.Null(failure);
        Assert.InRange(most, 1, 3); // Never more ranges at once than threads, though there are four callers.
    }

    private readonly ref struct Exclusive(int[] hits, ref int inside, ref int most) : IRangeJob
    {
        private readonly ref int _inside = ref inside, _most = ref most;

        public void Execute(int from, int to, int worker)
        {
            int now = Interlocked.Increment(ref _inside);
            if (now > Volatile.Read(ref _most)) Volatile.Write(ref _most, now);
            for (int i = from; i < to; i++) hits[i]++;
            Interlocked.Decrement(ref _inside);
        }
    }

    private struct Throw(int at) : IRangeJob
    {
        public readonly void Execute(int from, int to, int worker)
        {
            if (from <= at && at < to) throw new InvalidDataException($"at {at}");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Failures_reach_the_caller_and_the_pool_lives_on(int threads)
    {
        using ComputePool pool = new(threads);
        for (int round = 0; round < 300; round++)
        {
            Throw job = new(round % 64);
            Assert.Throws<InvalidDataException>(() => { Throw copy = job; pool.For(ref copy, 64); });
            int[] hits = new int[64];
            Count good = new(hits, 1);
            pool.For(ref good, 64);
            Assert.All(hits, h => Assert.Equal(1, h));
        }
    }

    private readonly struct Nest(ComputePool pool) : IRangeJob
    {
        public void Execute(int from, int to, int worker)
        {
            int[] hits = new int[4];
            Count inner = new(hits, 1);
            pool.For(ref inner, 4);
        }
    }

    private readonly struct DisposeInside(ComputePool pool) : IRangeJob
    {
        public void Execute(int from, int to, int worker) => pool.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Using_a_pool_from_its_own_job_is_refused_rather_than_hung(int threads)
    {
        using ComputePool pool = new(threads), other = new(2);
        Assert.Throws<InvalidOperationException>(() => { Nest job = new(pool); pool.For(ref job, 64); });
        Assert.Throws<InvalidOperationException>(() => { DisposeInside job = new(pool); pool.For(ref job, 64); });
        Nest across = new(other);
        pool.For(ref across, 8); // Another pool's threads are another matter.
    }

    [Fact]
    public void A_disposed_pool_says_so_and_idle_pools_end_at_once()
    {
        for (int round = 0; round < 200; round++)
        {
            ComputePool pool = new(1 + round % 4);
            if (round % 3 == 0) Thread.Sleep(1);
            if (round % 2 == 0)
            {
                Mark job = new(new int[16], 1);
                pool.For(ref job, 16);
            }
            pool.Dispose();
            pool.Dispose();
            Assert.Throws<ObjectDisposedException>(() => { Mark job = new(new int[16], 1); pool.For(ref job, 16); });
        }
    }

    private readonly struct Measure(long[] before, long[] after) : IRangeJob
    {
        public void Execute(int from, int to, int worker)
        {
            long now = GC.GetAllocatedBytesForCurrentThread();
            if (before[worker] < 0) before[worker] = now;
            after[worker] = now;
            Thread.SpinWait(200);
        }
    }

    [Fact]
    public void Jobs_allocate_nothing_on_any_thread()
    {
        using ComputePool pool = new(3);
        long[] before = [-1, -1, -1], after = new long[3];
        Measure warm = new([-1, -1, -1], new long[3]);
        for (int i = 0; i < 50; i++) pool.For(ref warm, 64);
        Measure job = new(before, after);
        for (int i = 0; i < 500; i++) pool.For(ref job, 64);
        Assert.Equal(before, after.Select((a, i) => before[i] < 0 ? -1 : a));
    }

    [Fact]
    public void Bad_arguments_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new ComputePool(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ComputePool(1025));
        using ComputePool pool = new(2);
        Assert.Throws<ArgumentOutOfRangeException>(() => { Mark job = new(new int[4], 1); pool.For(ref job, 4, 0); });
    }
}
