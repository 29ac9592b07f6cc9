using System.Diagnostics;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Bench;

/// <summary>What the machine can do at most, measured in the same run on the same threads: every figure is held against these.</summary>
internal sealed class Ceilings : IDisposable
{
    private const long ReadBytes = 512L << 20;
    private const double UnitSeconds = 0.0004;
    private const int ReadPasses = 3, PeakPasses = 24, UnitsOfThread = 8, Parts = 4;
    private readonly ComputePool _pool;
    private readonly NativeBuffer<byte> _memory = new(ReadBytes);
    private int _part;

    /// <summary>Measures everything once; further calls of <see cref="Measure"/> can only raise it.</summary>
    /// <param name="pool">The threads.</param>
    public Ceilings(ComputePool pool)
    {
        _pool = pool;
        // Pages that were never written may all be the one page of zeros.
        for (long at = 0; at < ReadBytes; at += 1 << 24) _memory.Span(at, 1 << 24).Fill((byte)(1 + (at >> 24)));
        Measure();
    }

    /// <summary>The best rate of reading memory so far, bytes a second, and the streams a thread that reached it.</summary>
    public (double BytesPerSecond, int Streams) Read { get; private set; }

    /// <summary>Operations a second on 8-bit integers (a multiplication and an addition are two), and the instructions that reached it.</summary>
    public (double PerSecond, string Kernel) Int8 { get; private set; }

    /// <summary>Operations a second on 32-bit floats, and the instructions that reached it.</summary>
    public (double PerSecond, string Kernel) F32 { get; private set; }

    /// <summary>Operations a second on pairs of 16-bit floats, and the instructions that reached it; null where there are none.</summary>
    public (double PerSecond, string Kernel)? Bf16 { get; private set; }

    /// <summary>Measures everything and keeps what is better than before: other work that runs beside a pass lowers it, and nothing raises it.</summary>
    public void Measure()
    {
        MeasureRead();
        Int8 = Better(Int8, PeakOperations.Int8);
        F32 = Better(F32, PeakOperations.F32);
        if (PeakOperations.Bf16.Count > 0) Bf16 = Better(Bf16 ?? default, PeakOperations.Bf16);
    }

    /// <summary>Reads half a gibibyte in 1 to 8 streams a thread.</summary>
    private void MeasureRead()
    {
        for (int streams = 1; streams <= ReadStreams.MostStreams; streams++)
            for (int pass = 0; pass < ReadPasses; pass++)
            {
                ReadStreams job = new(_memory.Region, streams);
                long start = Stopwatch.GetTimestamp();
                _pool.For(ref job, job.Count, 4);
                double rate = ReadBytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
                if (job.Or == 0) throw new InvalidOperationException("The memory was not read.");
                if (rate > Read.BytesPerSecond) Read = (rate, streams);
            }
    }

    /// <summary>The rate of reading at this moment, bytes a second: a quarter of the memory, another one each time, in as many streams as read best. Takes milliseconds.</summary>
    public double ReadNow()
    {
        long bytes = ReadBytes / Parts;
        ReadStreams job = new(_memory.Region.Slice(_part++ % Parts * bytes, bytes), Read.Streams);
        long start = Stopwatch.GetTimestamp();
        _pool.For(ref job, job.Count, 4);
        double rate = bytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
        return job.Or == 0 ? throw new InvalidOperationException("The memory was not read.") : rate;
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    private (double PerSecond, string Kernel) Better((double PerSecond, string Kernel) best, IReadOnlyList<PeakKernel> kernels)
    {
        foreach (PeakKernel kernel in kernels)
        {
            int rounds = 1000;
            double seconds = Time(kernel, rounds, 1);
            while (seconds < UnitSeconds / 2)
            {
                rounds *= 4;
                seconds = Time(kernel, rounds, 1);
            }
            // Many short passes: one of them falls between what else the system does.
            for (int pass = 0; pass < PeakPasses; pass++)
            {
                int units = _pool.Threads * UnitsOfThread;
                double rate = (double)units * rounds * kernel.OperationsPerRound / Time(kernel, rounds, units);
                if (rate > best.PerSecond) best = (rate, kernel.Name);
            }
        }
        return best;
    }

    private double Time(PeakKernel kernel, int rounds, int units)
    {
        PeakJob job = new(kernel, rounds);
        long start = Stopwatch.GetTimestamp();
        _pool.For(ref job, units);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        GC.KeepAlive(job.Sum);
        return seconds;
    }
}
