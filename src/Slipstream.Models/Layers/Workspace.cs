using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>Scratch memory of one model, sized once for its most rows. One forward pass uses it at a time.</summary>
internal sealed class Workspace : IDisposable
{
    private readonly NativeBuffer<float> _hidden, _branch, _query, _key, _value, _gate, _up, _angles;
    private readonly ModelConfig _config;

    public Workspace(ModelConfig config, ComputePool pool, int maxRows, int angleWidth, ActivationPrecision precision, KernelTier kernels = KernelTier.Auto)
    {
        _config = config;
        Pool = pool;
        MaxRows = maxRows;
        Activations = new Activations(maxRows, Math.Max(Math.Max(config.HiddenSize, config.IntermediateSize), config.Heads * config.HeadSize), precision, kernels);
        _hidden = new NativeBuffer<float>((long)maxRows * config.HiddenSize);
        _branch = new NativeBuffer<float>((long)maxRows * config.HiddenSize);
        _query = new NativeBuffer<float>((long)maxRows * config.Heads * config.HeadSize);
        _key = new NativeBuffer<float>((long)maxRows * config.KvHeads * config.HeadSize);
        _value = new NativeBuffer<float>((long)maxRows * config.KvHeads * config.HeadSize);
        _gate = new NativeBuffer<float>(config.GatedFeedForward ? (long)maxRows * config.IntermediateSize : 0);
        _up = new NativeBuffer<float>((long)maxRows * config.IntermediateSize);
        _angles = new NativeBuffer<float>((long)maxRows * angleWidth);
        AngleWidth = angleWidth;
        Attention = new AttentionScratch(pool.Threads, config.Heads, config.KvHeads, config.HeadSize, config.ContextLength, kernels);
        Plan = new AttentionPlan(Attention.RowsPerItem, config.KvHeads, pool.Threads);
    }

    public ComputePool Pool { get; }

    public int MaxRows { get; }

    public int AngleWidth { get; }

    public Activations Activations { get; }

    public AttentionScratch Attention { get; }

    public AttentionPlan Plan { get; }

    /// <summary>Bytes of all of it.</summary>
    public long Bytes => Attention.Bytes + _hidden.Bytes + _branch.Bytes + _query.Bytes + _key.Bytes + _value.Bytes + _gate.Bytes + _up.Bytes + _angles.Bytes;

    /// <summary>The residual stream, <c>[rows, hidden]</c>.</summary>
    public Matrix Hidden(int rows) => View(_hidden, rows, _config.HiddenSize);

    /// <summary>What a branch adds to it, <c>[rows, hidden]</c>.</summary>
    public Matrix Branch(int rows) => View(_branch, rows, _config.HiddenSize);

    /// <summary><c>[rows, heads · headSize]</c>.</summary>
    public Matrix Query(int rows) => View(_query, rows, _config.Heads * _config.HeadSize);

    /// <summary><c>[rows, kvHeads · headSize]</c>.</summary>
    public Matrix Key(int rows) => View(_key, rows, _config.KvHeads * _config.HeadSize);

    /// <summary><c>[rows, kvHeads · headSize]</c>.</summary>
    public Matrix Value(int rows) => View(_value, rows, _config.KvHeads * _config.HeadSize);

    /// <summary><c>[rows, intermediate]</c>.</summary>
    public Matrix Gate(int rows) => View(_gate, rows, _config.IntermediateSize);

    /// <summary><c>[rows, intermediate]</c>.</summary>
    public Matrix Up(int rows) => View(_up, rows, _config.IntermediateSize);

    /// <summary>Cosines and sines of the rows' positions, <c>[rows, AngleWidth]</c>.</summary>
    public Matrix Angles(int rows) => View(_angles, rows, AngleWidth);

    public void Dispose()
    {
        Activations.Dispose();
        Attention.Dispose();
        _hidden.Dispose();
        _branch.Dispose();
        _query.Dispose();
        _key.Dispose();
        _value.Dispose();
        _gate.Dispose();
        _up.Dispose();
        _angles.Dispose();
    }

    private static Matrix View(NativeBuffer<float> buffer, int rows, int columns) => new(buffer.Span(0, rows * columns), rows, columns);
}
