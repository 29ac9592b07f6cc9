using BenchmarkDotNet.Attributes;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Benchmarks;

/// <summary>Attention of one layer of SmolLM2-135M: 9 heads of 64 over 3 key-value heads.</summary>
public class AttentionBenchmarks
{
    private const int Heads = 9, KvHeads = 3, HeadSize = 64;
    private readonly AttentionPlan _plan = new(AttentionPlan.RowsFor(Heads / KvHeads));
    private ComputePool _pool = null!;
    private AttentionScratch _scratch = null!;
    private NativeBuffer<byte> _keys = null!, _values = null!;
    private NativeBuffer<float> _queries = null!, _output = null!;

    /// <summary>Rows cached before.</summary>
    [Params(128, 2048)]
    public int Depth { get; set; }

    /// <summary>How the cache is stored.</summary>
    [Params(CacheType.F32, CacheType.F16, CacheType.Q8, CacheType.Bf16)]
    public CacheType Type { get; set; }

    /// <summary>New rows.</summary>
    [Params(1, 6, 128)]
    public int Rows { get; set; }

    /// <summary>Fills a cache.</summary>
    [GlobalSetup]
    public void Setup()
    {
        int slots = Depth + Rows;
        _pool = new ComputePool(Environment.ProcessorCount);
        _scratch = new AttentionScratch(_pool.Threads, Heads, KvHeads, HeadSize, slots);
        _keys = Stored(slots, 1, keys: true);
        _values = Stored(slots, 2, keys: false);
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
        TiledAttention job = new(_plan, _scratch, new Matrix(_queries.Span(0, floats), Rows, columns), _keys.Region, _values.Region, Type, new Matrix(_output.Span(0, floats), Rows, columns),
            KvHeads, 1 / MathF.Sqrt(HeadSize), 0, _pool.Counters);
        _pool.For(ref job, job.Count);
    }

    /// <summary>Frees the cache.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (IDisposable buffer in (IDisposable[])[_keys, _values, _queries, _output, _scratch]) buffer.Dispose();
        _pool.Dispose();
    }

    private NativeBuffer<byte> Stored(int slots, int seed, bool keys)
    {
        int together = CacheRows.GroupRows(Type), bytes = together * CacheRows.HeadBytes(Type, HeadSize), rows = (slots + together - 1) / together * together * KvHeads;
        using NativeBuffer<float> numbers = Filled((long)rows * HeadSize, seed);
        NativeBuffer<byte> stored = new((long)rows / together * bytes);
        for (int row = 0; row < rows; row++)
        {
            Span<float> head = numbers.Span((long)row * HeadSize, HeadSize);
            Span<byte> group = stored.Span((long)row / together * bytes, bytes);
            if (keys) CacheRows.StoreKey(Type, head, group, row % together);
            else CacheRows.StoreValue(Type, head, group, row % together);
        }
        return stored;
    }

    private static NativeBuffer<float> Filled(long length, int seed)
    {
        NativeBuffer<float> buffer = new(length);
        Random random = new(seed);
        foreach (ref float value in buffer.Span(0, checked((int)length))) value = (float)random.NextDouble() - 0.5f;
        return buffer;
    }
}
