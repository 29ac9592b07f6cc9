namespace Slipstream.Numerics;

/// <summary>A block-wise encoding of weights. One struct per format; drivers are specialised over it. Source: the block layouts of ggml and the GGUF specification.</summary>
public interface IWeightFormat
{
    /// <summary>The name GGUF gives the format, such as <c>Q4_1</c>.</summary>
    static abstract string Name { get; }

    /// <summary>Weights in a block.</summary>
    static abstract int BlockLength { get; }

    /// <summary>Bytes in a block.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>Decodes whole blocks. Allocates nothing.</summary>
    /// <param name="blocks"><c>[n · BlockBytes]</c>.</param>
    /// <param name="destination"><c>[n · BlockLength]</c>.</param>
    static abstract void Decode(ReadOnlySpan<byte> blocks, Span<float> destination);
}

/// <summary>A format that can also be written.</summary>
public interface IEncodableFormat : IWeightFormat
{
    /// <summary>Encodes whole blocks, byte for byte as ggml's reference quantiser does.</summary>
    /// <param name="source"><c>[n · BlockLength]</c>, finite.</param>
    /// <param name="blocks"><c>[n · BlockBytes]</c>.</param>
    static abstract void Encode(ReadOnlySpan<float> source, Span<byte> blocks);
}

/// <summary>
/// A format whose weights are <c>scale[g] · (code − Zero) + offset[g]</c> for every group g of <see cref="GroupLength"/> weights, with integer codes:
/// what integer kernels need.
/// </summary>
internal interface IIntegerFormat : IWeightFormat
{
    /// <summary>Weights that share a scale: 16 or 32.</summary>
    static abstract int GroupLength { get; }

    /// <summary>The code that stands for zero before the offset.</summary>
    static abstract int Zero { get; }

    /// <summary>No code is above it. Below 130, two products with 8-bit activations fit into 16 bits, and products are faster.</summary>
    static virtual int MaxCode => 255;

    /// <summary>Whether groups have an offset; where they have none, <c>offsets</c> is not written.</summary>
    static abstract bool HasOffsets { get; }

    /// <summary>Bits of a code in the low plane of the packed layout: 2, 4 or 8; see <see cref="Kernels.PackedLayout"/>.</summary>
    static abstract int LowBits { get; }

    /// <summary>Bits of a code above those, in a plane of their own: 0, 1 or 2.</summary>
    static virtual int HighBits => 0;

    /// <summary>
    /// The scales of one block as they are stored, so that a packed layout can keep them in as few bytes: where the block is one group, the scale is <paramref name="d"/> and the offset
    /// <paramref name="m"/>; where it has several, group g has the scale <c>d · scales[g]</c> and the offset <c>m · minima[g]</c>, rounded once.
    /// </summary>
    /// <param name="block"><c>[BlockBytes]</c>.</param>
    /// <param name="d">The bits of a half.</param>
    /// <param name="m">The bits of a half; zero where <see cref="HasOffsets"/> is false.</param>
    /// <param name="scales"><c>[BlockLength / GroupLength]</c>; not written where the block is one group.</param>
    /// <param name="minima">The same; not written where <see cref="HasOffsets"/> is false.</param>
    static abstract void ReadScales(ReadOnlySpan<byte> block, out ushort d, out ushort m, Span<sbyte> scales, Span<sbyte> minima);

    /// <summary>Splits whole blocks into codes, scales and offsets. Allocates nothing.</summary>
    /// <param name="blocks"><c>[n · BlockBytes]</c>.</param>
    /// <param name="codes"><c>[n · BlockLength]</c>, 0 to 255, in the order of the weights.</param>
    /// <param name="scales"><c>[n · BlockLength / GroupLength]</c>.</param>
    /// <param name="offsets"><c>[n · BlockLength / GroupLength]</c>, or empty where <see cref="HasOffsets"/> is false.</param>
    /// <remarks>Marked <c>AggressiveOptimization</c>: a model is packed while its user waits, and code that begins unoptimised took a fifth of the time to the first answer (ADR 11).</remarks>
    static abstract void Unpack(ReadOnlySpan<byte> blocks, Span<byte> codes, Span<float> scales, Span<float> offsets);
}
