namespace Slipstream.Numerics;

/// <summary>Bytes that kernels read, for tests and traces that hold them against the formula. Written by any thread of the pool.</summary>
public sealed class ComputeCounters
{
    // Each thread adds to lines of its own: processors that share no cache would hand one to and fro with every range of every product.
    private const int Places = 64, Apart = 16;

    private readonly long[] _bytes = new long[(Places + 1) * Apart];

    /// <summary>Bytes of weights read by matrix products.</summary>
    public long WeightBytes => Sum(0);

    /// <summary>Bytes of cached keys and values read by attention.</summary>
    public long KvBytes => Sum(1);

    internal void AddWeights(int worker, long bytes) => Interlocked.Add(ref Place(worker), bytes);

    internal void AddKv(int worker, long bytes) => Interlocked.Add(ref Place(worker, 1), bytes);

    private ref long Place(int worker, int kind = 0) => ref _bytes[Apart * (1 + worker % Places) + kind];

    private long Sum(int kind)
    {
        long sum = 0;
        for (int worker = 0; worker < Places; worker++) sum += Interlocked.Read(ref Place(worker, kind));
        return sum;
    }
}
