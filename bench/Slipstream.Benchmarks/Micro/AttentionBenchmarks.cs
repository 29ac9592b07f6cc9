using BenchmarkDotNet.Attributes;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Benchmarks;

/// <summary>Attention of one layer of SmolLM2-135M: 9 heads of 64 over 3 key-value heads.</summary>
public class AttentionBenchmarks
{
    private const int Heads = 9, KvHeads = 3, HeadSize = 64;
    private readonly AttentionPlan _plan = new();
    private ComputePool _pool = null!;
    private NativeBuffer<float> _keys = null!, _values = null!, _queries = null!, _output = null!;

    /// <summary>Rows cached before.</summary>
    [Params(128, 2048)]
    public int Depth { get; set; }

    /// <summary>New rows.</summary>
    [Params(1, 6, 128)]
    public int Rows { get; set; }

    /// <summary>Fills a cache.</summary>
    [GlobalSetup]
    public void Setup()
    {
        int slots = Depth + Rows, width = KvHeads * HeadSize;
        _pool = new ComputePool(Environment.ProcessorCount);
        _keys = Filled((long)slots * width, 1);
        _values = Filled((long)slots * width, 2);
        _queries = Filled((long)Rows * Heads * HeadSize, 3);
        _output = new NativeBuffer<float>(_queries.Length);
        int[] order = [.. Enumerable.Range(0, slots)];
        _plan.Begin();
        _plan.Add(0, order, order, Depth, [.. Enumerable.Range(-1, Rows)]);
    }

    /// <summary>Attends for all rows and heads.</summary>
    [Benchmark]
    public void Attend()
    {
        int columns = Heads * HeadSize, floats = Rows * columns;
        TiledAttention job = new(_plan, new Matrix(_queries.Span(0, floats), Rows, columns), _keys.Region, _values.Region, new Matrix(_output.Span(0, floats), Rows, columns),
            KvHeads, HeadSize, 1 / MathF.Sqrt(HeadSize), 0, _pool.Counters);
        _pool.For(ref job, job.Count);
    }

    /// <summary>Frees the cache.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (NativeBuffer<float> buffer in (NativeBuffer<float>[])[_keys, _values, _queries, _output]) buffer.Dispose();
        _pool.Dispose();
    }

    private static NativeBuffer<float> Filled(long length, int seed)
    {
        NativeBuffer<float> buffer = new(length);
        Random random = new(seed);
        foreach (ref float value in buffer.Span(0, checked((int)length))) value = (float)random.NextDouble() - 0.5f;
        return buffer;
    }
}
