using Slipstream.Numerics.Kernels;

namespace Slipstream.Numerics;

/// <summary>How activations enter a matrix product.</summary>
/// <remarks>Beside products with <see cref="Int8"/> and <see cref="Bf16"/> attention rounds to bfloat16, where three or more query heads share a key-value head.</remarks>
public enum ActivationPrecision
{
    /// <summary><see cref="Int8"/> for block formats, <see cref="F32"/> for the others.</summary>
    Auto,

    /// <summary>32-bit floats; quantised weights are decoded first.</summary>
    F32,

    /// <summary>8-bit integers in groups of 16 with one scale each, a power of two; only for block formats, others take <see cref="F32"/>.</summary>
    Int8,

    /// <summary>As <see cref="Int8"/>, with what the 8 bits leave over in another 8: nearly the results of <see cref="F32"/>, at half the speed of <see cref="Int8"/> where arithmetic bounds it.</summary>
    Int16,

    /// <summary>bfloat16, rounded to nearest, ties to even; only for BF16 weights, others take what <see cref="Auto"/> takes.</summary>
    /// <remarks>Sums are of 32-bit floats; their rounding depends on the processor and on <see cref="KernelTier"/>, never on the number of rows or threads.</remarks>
    Bf16,
}

/// <summary>A dense layer's weights, whatever their encoding: <c>y = x · Wᵀ</c>, W is <c>[OutFeatures, InFeatures]</c>.</summary>
/// <remarks>One element of y has one order of accumulation for every number of rows and threads, so row results do not depend on the batch.</remarks>
public abstract class Linear : IDisposable
{
    private protected Linear(int outFeatures, int inFeatures)
    {
        OutFeatures = outFeatures;
        InFeatures = inFeatures;
    }

    /// <summary>Rows of W.</summary>
    public int OutFeatures { get; }

    /// <summary>Columns of W.</summary>
    public int InFeatures { get; }

    /// <summary>The name of the encoding.</summary>
    public abstract string Format { get; }

    /// <summary>Bytes of the encoded weights.</summary>
    public abstract long Bytes { get; }

    /// <summary>Multiplies every row of <paramref name="x"/>; each weight is read once for all rows.</summary>
    /// <param name="x"><c>[rows, InFeatures]</c>.</param>
    /// <param name="y"><c>[rows, OutFeatures]</c>, overwritten.</param>
    /// <param name="pool">The threads to use.</param>
    /// <param name="exact">Whether to use the activations as exactly as the layer can: as 32-bit floats, or as <see cref="ActivationPrecision.Int16"/>; where <see cref="ActivationPrecision.Bf16"/> is asked for, BF16 weights take that.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public abstract void Multiply(Activations x, Matrix y, ComputePool pool, bool exact = false);

    /// <summary>Whether products with weights of a format take activations with no more than 8 bits of mantissa, but for those that are exact: attention then does with bfloat16 (ADR 19).</summary>
    internal static bool IsRough(string format, ActivationPrecision precision) => format == BF16.Name
        ? precision == ActivationPrecision.Bf16
        : precision is not (ActivationPrecision.F32 or ActivationPrecision.Int16) && WeightFormats.TryGet(format, out WeightFormat? known) && known.BlockLength > 1;

    /// <summary>Decodes row <paramref name="row"/> of W, as an embedding look-up does.</summary>
    /// <param name="row">0 to <see cref="OutFeatures"/> − 1.</param>
    /// <param name="destination"><c>[InFeatures]</c>.</param>
    public abstract void ReadRow(int row, Span<float> destination);

    /// <summary>Frees the weights if this layer owns them; layers over a mapped file own nothing.</summary>
    public virtual void Dispose() => GC.SuppressFinalize(this);

    /// <summary>A layer over encoded rows, which are read where they lie; their owner must outlive the layer.</summary>
    /// <param name="format">The name of the encoding, such as <c>Q4_1</c>.</param>
    /// <param name="data">The rows one after another, each of whole blocks.</param>
    /// <param name="outFeatures">Rows of W.</param>
    /// <param name="inFeatures">Columns of W.</param>
    /// <exception cref="SlipstreamException">No such encoding, or none that can be read.</exception>
    /// <exception cref="ArgumentException">The columns are no whole number of blocks, or the region's length is not what the shape needs.</exception>
    public static Linear Create(string format, ByteRegion data, int outFeatures, int inFeatures)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(outFeatures, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(inFeatures, 1);
        return WeightFormats.Accept(format, new Creation(data, outFeatures, inFeatures));
    }

    /// <summary>A layer over encoded rows, which are read where they lie; their owner must outlive the layer.</summary>
    /// <param name="data">The rows one after another, each of whole blocks.</param>
    /// <param name="outFeatures">Rows of W.</param>
    /// <param name="inFeatures">Columns of W.</param>
    /// <exception cref="ArgumentException">The columns are no whole number of blocks, or the region's length is not what the shape needs.</exception>
    internal static Linear Create<TFormat>(ByteRegion data, int outFeatures, int inFeatures) where TFormat : IWeightFormat
    {
        CheckEncoding<TFormat>(data, outFeatures, inFeatures);
        if (typeof(TFormat) == typeof(F32)) return new DenseLinear(data, outFeatures, inFeatures, null);
        if (typeof(TFormat) == typeof(BF16)) return new HalfLinear<BF16, BF16Weights>(data, outFeatures, inFeatures);
        if (typeof(TFormat) == typeof(F16)) return new HalfLinear<F16, F16Weights>(data, outFeatures, inFeatures);
        return new EncodedLinear<TFormat>(data, outFeatures, inFeatures);
    }

    /// <summary>
    /// A layer for products with <see cref="ActivationPrecision.Int8"/> or <see cref="ActivationPrecision.Int16"/>: weights of a block format are packed into memory that the layer owns, and <paramref name="data"/> is not needed any more.
    /// Other formats are as <see cref="Create(string, ByteRegion, int, int)"/> makes them.
    /// </summary>
    /// <param name="format">The name of the encoding, such as <c>Q4_1</c>.</param>
    /// <param name="data">The rows one after another, each of whole blocks.</param>
    /// <param name="outFeatures">Rows of W.</param>
    /// <param name="inFeatures">Columns of W.</param>
    /// <param name="pool">The threads to pack on.</param>
    /// <exception cref="SlipstreamException">No such encoding, or none that can be read.</exception>
    /// <exception cref="ArgumentException">The columns are no whole number of blocks, or the region's length is not what the shape needs.</exception>
    public static Linear Pack(string format, ByteRegion data, int outFeatures, int inFeatures, ComputePool pool)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(outFeatures, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(inFeatures, 1);
        ArgumentNullException.ThrowIfNull(pool);
        return Pack(format, data, outFeatures, inFeatures, pool, null);
    }

    /// <summary>As <see cref="Pack(string, ByteRegion, int, int, ComputePool)"/>, into memory of an arena that must outlive the layer.</summary>
    /// <param name="format">The name of the encoding, such as <c>Q4_1</c>.</param>
    /// <param name="data">The rows one after another, each of whole blocks.</param>
    /// <param name="outFeatures">Rows of W.</param>
    /// <param name="inFeatures">Columns of W.</param>
    /// <param name="pool">The threads to pack on.</param>
    /// <param name="arena">The arena; null for memory of the layer's own.</param>
    /// <param name="pairs">Whether BF16 weights are packed too, for products with <see cref="ActivationPrecision.Bf16"/> and no others.</param>
    internal static Linear Pack(string format, ByteRegion data, int outFeatures, int inFeatures, ComputePool pool, WeightArena? arena, bool pairs = false)
        => WeightFormats.Accept(format, new Packing(data, outFeatures, inFeatures, pool, arena, pairs));

    /// <inheritdoc cref="Pack(string, ByteRegion, int, int, ComputePool)"/>
    internal static Linear Pack<TFormat>(ByteRegion data, int outFeatures, int inFeatures, ComputePool pool, WeightArena? arena = null) where TFormat : IIntegerFormat
    {
        CheckEncoding<TFormat>(data, outFeatures, inFeatures);
        return IntegerLinear.Create<TFormat>(data, outFeatures, inFeatures, pool, arena);
    }

    /// <summary>A layer over 32-bit floats, which it owns and frees when disposed.</summary>
    /// <param name="weights"><c>[outFeatures, inFeatures]</c>.</param>
    /// <param name="outFeatures">Rows of W.</param>
    /// <param name="inFeatures">Columns of W.</param>
    /// <exception cref="ArgumentException">The buffer's length is not what the shape needs.</exception>
    public static Linear Create(NativeBuffer<float> weights, int outFeatures, int inFeatures)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentOutOfRangeException.ThrowIfLessThan(outFeatures, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(inFeatures, 1);
        if (weights.Length != (long)outFeatures * inFeatures)
            throw new ArgumentException($"A layer of {outFeatures} x {inFeatures} needs {(long)outFeatures * inFeatures} floats, not {weights.Length}.", nameof(weights));
        return new DenseLinear(weights.Region, outFeatures, inFeatures, weights);
    }

    private static void CheckEncoding<TFormat>(ByteRegion data, int outFeatures, int inFeatures) where TFormat : IWeightFormat
    {
        if (inFeatures % TFormat.BlockLength != 0)
            throw new ArgumentException($"{inFeatures} columns are no whole number of {TFormat.Name} blocks of {TFormat.BlockLength}.", nameof(inFeatures));
        long rowBytes = (long)inFeatures / TFormat.BlockLength * TFormat.BlockBytes;
        if (rowBytes > int.MaxValue)
            throw new ArgumentException($"A row of {inFeatures} {TFormat.Name} weights is longer than 2 GiB.", nameof(inFeatures));
        if (data.Length != outFeatures * rowBytes)
            throw new ArgumentException($"A {TFormat.Name} layer of {outFeatures} x {inFeatures} needs {outFeatures * rowBytes} bytes, not {data.Length}.", nameof(data));
    }

    internal void CheckShapes(Activations x, Matrix y)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.Width != InFeatures || y.Rows != x.Rows || y.Columns != OutFeatures)
            throw new ArgumentException($"[{x.Rows}, {x.Width}] times the transpose of [{OutFeatures}, {InFeatures}] does not fit into [{y.Rows}, {y.Columns}].", nameof(y));
    }

    private protected void CheckRow(int row, Span<float> destination)
    {
        if ((uint)row >= (uint)OutFeatures) throw new ArgumentOutOfRangeException(nameof(row), row, $"The layer has rows 0 to {OutFeatures - 1}.");
        if (destination.Length < InFeatures) throw new ArgumentException($"A row of {InFeatures} floats does not fit into {destination.Length}.", nameof(destination));
    }

    private sealed class Creation(ByteRegion data, int outFeatures, int inFeatures) : IFormatVisitor<Linear>
    {
        public Linear Visit<TFormat>() where TFormat : struct, IWeightFormat => Create<TFormat>(data, outFeatures, inFeatures);

        public Linear VisitInteger<TFormat>() where TFormat : struct, IIntegerFormat => Create<TFormat>(data, outFeatures, inFeatures);
    }

    private sealed class Packing(ByteRegion data, int outFeatures, int inFeatures, ComputePool pool, WeightArena? arena, bool pairs) : IFormatVisitor<Linear>
    {
        public Linear Visit<TFormat>() where TFormat : struct, IWeightFormat
        {
            if (!pairs || typeof(TFormat) != typeof(BF16)) return Create<TFormat>(data, outFeatures, inFeatures);
            CheckEncoding<TFormat>(data, outFeatures, inFeatures);
            return PairLinear.Create(data, outFeatures, inFeatures, pool, arena);
        }

        public Linear VisitInteger<TFormat>() where TFormat : struct, IIntegerFormat => Pack<TFormat>(data, outFeatures, inFeatures, pool, arena);
    }
}
