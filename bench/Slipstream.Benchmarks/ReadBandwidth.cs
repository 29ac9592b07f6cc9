using System.Diagnostics;
using Slipstream.Numerics;

namespace Slipstream.Benchmarks;

/// <summary>Measures what the processors can read from memory together: half a gibibyte, four prefetched streams a thread.</summary>
internal sealed class ReadBandwidth : IDisposable
{
    private const long Bytes = 512L << 20;
    private const int Passes = 3;
    private readonly NativeBuffer<byte> _memory = new(Bytes);
    private readonly ComputePool _pool;

    public ReadBandwidth(int threads)
    {
        _pool = new ComputePool(threads);
        // Pages that were never written may all be the one page of zeros.
        for (long at = 0; at < Bytes; at += 1 << 24) _memory.Span(at, 1 << 24).Fill((byte)(1 + (at >> 24)));
    }

    /// <summary>The best of three passes, in GB/s (10⁹ bytes).</summary>
    public double Measure()
    {
        double best = 0;
        for (int pass = 0; pass < Passes; pass++)
        {
            ReadStreams job = new(_memory.Region);
            long start = Stopwatch.GetTimestamp();
            _pool.For(ref job, job.Count, 4);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            if (job.Or == 0) throw new InvalidOperationException("The memory was not read.");
            best = Math.Max(best, Bytes / seconds / 1e9);
        }
        return best;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _pool.Dispose();
        _memory.Dispose();
    }
}
