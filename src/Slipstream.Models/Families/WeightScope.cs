using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>The tensors of a checkpoint as a family asks for them: checked against the shape the configuration needs, and kept account of.</summary>
public sealed class WeightScope : IDisposable
{
    private readonly ITensorSource _source;
    private readonly Dictionary<string, Linear> _linears = [];
    private readonly Dictionary<string, float[]> _vectors = [];
    private readonly ModelRuntime? _runtime;
    private readonly WeightArena _arena = new();

    /// <summary>Opens the scope over a source, which must outlive it.</summary>
    /// <param name="source">The tensors.</param>
    /// <param name="runtime">What the model will run on: matrices are packed for its products. Null leaves them as they lie.</param>
    public WeightScope(ITensorSource source, ModelRuntime? runtime = null) => (_source, _runtime) = (source, runtime);

    /// <summary>The source, for messages.</summary>
    internal string Path => _source.Path;

    /// <summary>Bytes of the tensors asked for.</summary>
    public long Bytes => _linears.Values.Distinct().Sum(l => l.Bytes) + _vectors.Values.Sum(v => (long)v.Length * sizeof(float));

    /// <summary>Whether the checkpoint has the tensor.</summary>
    public bool Has(string name) => _source.Tensors.ContainsKey(name);

    /// <summary>A matrix, <c>[outFeatures, inFeatures]</c>.</summary>
    /// <exception cref="SlipstreamException">The tensor is missing, of another shape or in a format that cannot be read.</exception>
    public Linear Linear(string name, int outFeatures, int inFeatures)
    {
        if (_linears.TryGetValue(name, out Linear? known)) return known;
        TensorInfo tensor = Require(name, outFeatures, inFeatures);
        return _linears[name] = Layer(tensor.Format, Data(tensor), outFeatures, inFeatures);
    }

    /// <summary>A matrix of which only rows are read, <c>[rows, columns]</c>, such as an embedding that is not the head too.</summary>
    /// <exception cref="SlipstreamException">The tensor is missing, of another shape or in a format that cannot be read.</exception>
    public Linear Rows(string name, int rows, int columns)
    {
        TensorInfo tensor = Require(name, rows, columns);
        return _linears[name] = Numerics.Linear.Create(tensor.Format, Data(tensor), rows, columns);
    }

    /// <summary>Rows <paramref name="firstRow"/> to <paramref name="firstRow"/> + <paramref name="rows"/> of a matrix of <paramref name="allRows"/> rows, as fused QKV tensors hold them.</summary>
    /// <exception cref="SlipstreamException">The tensor is missing, of another shape or in a format that cannot be read.</exception>
    public Linear LinearRows(string name, int allRows, int inFeatures, int firstRow, int rows)
    {
        TensorInfo tensor = Require(name, allRows, inFeatures);
        long rowBytes = tensor.Bytes / allRows;
        return _linears[$"{name}[{firstRow}..{firstRow + rows}]"] = Layer(tensor.Format, Data(tensor).Slice(firstRow * rowBytes, rows * rowBytes), rows, inFeatures);
    }

    /// <summary>
    /// A matrix stored as <c>[inFeatures, allColumns]</c> (GPT-2's Conv1D), of which <paramref name="outFeatures"/> columns from
    /// <paramref name="firstColumn"/> on are decoded and transposed into memory of their own.
    /// </summary>
    /// <exception cref="SlipstreamException">The tensor is missing, of another shape or in a format that cannot be read.</exception>
    public Linear Transposed(string name, int inFeatures, int allColumns, int firstColumn, int outFeatures)
    {
        TensorInfo tensor = Require(name, inFeatures, allColumns);
        using Linear stored = Numerics.Linear.Create(tensor.Format, Data(tensor), inFeatures, allColumns);
        NativeBuffer<float> transposed = new((long)inFeatures * outFeatures);
        float[] row = new float[allColumns];
        for (int i = 0; i < inFeatures; i++)
        {
            stored.ReadRow(i, row);
            for (int o = 0; o < outFeatures; o++) transposed.Span((long)o * inFeatures + i, 1)[0] = row[firstColumn + o];
        }
        return _linears[$"{name}[:, {firstColumn}..{firstColumn + outFeatures}]"] = Numerics.Linear.Create(transposed, outFeatures, inFeatures);
    }

    /// <summary>A vector, decoded.</summary>
    /// <exception cref="SlipstreamException">The tensor is missing, of another shape or in a format that cannot be read.</exception>
    public float[] Vector(string name, int length)
    {
        if (_vectors.TryGetValue(name, out float[]? known)) return known;
        TensorInfo tensor = Require(name, length);
        float[] values = new float[length];
        using (Linear row = Numerics.Linear.Create(tensor.Format, Data(tensor), 1, length)) row.ReadRow(0, values);
        return _vectors[name] = values;
    }

    /// <summary>A matrix, decoded.</summary>
    /// <exception cref="SlipstreamException">The tensor is missing, of another shape or in a format that cannot be read.</exception>
    public float[] Table(string name, int rows, int columns)
    {
        TensorInfo tensor = Require(name, rows, columns);
        float[] values = new float[rows * columns];
        using (Linear table = Numerics.Linear.Create(tensor.Format, Data(tensor), rows, columns))
            for (int row = 0; row < rows; row++) table.ReadRow(row, values.AsSpan(row * columns, columns));
        return _vectors[name] = values;
    }

    /// <summary>Names the first weight that is no finite number, with its tensor and row, or null.</summary>
    public string? FindInvalid()
    {
        foreach ((string name, float[] values) in _vectors)
            for (int i = 0; i < values.Length; i++)
                if (!float.IsFinite(values[i])) return $"'{_source.Path}': the tensor '{name}' holds {values[i]} at index {i}; the file is damaged or was converted wrongly.";
        foreach ((string name, Linear linear) in _linears)
        {
            float[] values = new float[linear.InFeatures];
            for (int row = 0; row < linear.OutFeatures; row++)
            {
                linear.ReadRow(row, values);
                foreach (float value in values)
                    if (!float.IsFinite(value)) return $"'{_source.Path}': the tensor '{name}' holds {value} in row {row}; the file is damaged or was converted wrongly.";
            }
        }
        return null;
    }

    /// <summary>Refuses a checkpoint that holds weights nobody asked for: running without them would be silently wrong.</summary>
    /// <param name="family">The family, for the message.</param>
    /// <param name="ignorable">Tensors that may be left over, such as a copy of the tied head.</param>
    /// <exception cref="SlipstreamException">There is such a tensor.</exception>
    public void RequireAllUsed(string family, Func<string, bool> ignorable)
    {
        HashSet<string> used = [.. _linears.Keys.Select(n => n.Split('[')[0]), .. _vectors.Keys];
        foreach (string name in _source.Tensors.Keys)
            if (!used.Contains(name) && !ignorable(name))
                throw new SlipstreamException($"'{_source.Path}': the tensor '{name}' is not part of the family '{family}' as the configuration describes it; the model would run wrongly without it.");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Linear linear in _linears.Values) linear.Dispose();
        _arena.Dispose();
    }

    private Linear Layer(string format, ByteRegion data, int outFeatures, int inFeatures)
    {
        if (_runtime is null || _runtime.Precision == ActivationPrecision.F32) return Numerics.Linear.Create(format, data, outFeatures, inFeatures);
        return Numerics.Linear.Pack(format, data, outFeatures, inFeatures, _runtime.Pool, _arena, pairs: _runtime.Precision == ActivationPrecision.Bf16);
    }

    private TensorInfo Require(string name, params ReadOnlySpan<long> shape)
    {
        if (!_source.Tensors.TryGetValue(name, out TensorInfo? tensor))
            throw new SlipstreamException($"'{_source.Path}': the tensor '{name}' is missing; the file is incomplete or of another family.");
        if (!tensor.Shape.AsSpan().SequenceEqual(shape))
            throw new SlipstreamException($"'{_source.Path}': the tensor '{name}' has the shape [{string.Join(", ", tensor.Shape)}], but the configuration asks for [{string.Join(", ", shape.ToArray())}].");
        return tensor;
    }

    private ByteRegion Data(TensorInfo tensor)
    {
        if (!WeightFormats.TryGet(tensor.Format, out WeightFormat? format) || !format.IsSupported)
            throw new SlipstreamException($"'{_source.Path}': the tensor '{tensor.Name}' is in the format {tensor.Format}, which cannot be run yet; convert the model to one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 or Q2_K to Q6_K.");
        return _source.Data(tensor.Name);
    }
}
