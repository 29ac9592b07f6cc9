namespace Slipstream.Numerics;

/// <summary>Bytes that kernels read, for tests and traces that hold them against the formula. Written by any thread of the pool.</summary>
public sealed class ComputeCounters
{
    private long _weightBytes, _kvBytes;

    /// <summary>Bytes of weights read by matrix products.</summary>
    public long WeightBytes => Interlocked.Read(ref _weightBytes);

    /// <summary>Bytes of cached keys and values read by attention.</summary>
    public long KvBytes => Interlocked.Read(ref _kvBytes);

    internal void AddWeights(long bytes) => Interlocked.Add(ref _weightBytes, bytes);

    internal void AddKv(long bytes) => Interlocked.Add(ref _kvBytes, bytes);
}
