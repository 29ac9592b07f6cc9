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
public interface IIntegerFormat : IWeightFormat
{
    /// <summary>Weights that share a scale: 16 or 32.</summary>
    static abstract int GroupLength { get; }

    /// <summary>The code that stands for zero before the offset.</summary>
    static abstract int Zero { get; }

    /// <summary>No code is above it. Below 130, two products with 8-bit activations fit into 16 bits, and products are faster.</summary>
    static virtual int MaxCode => 255;

    /// <summary>Whether groups have an offset; where they have none, <c>offsets</c> is not written.</summary>
    static abstract bool HasOffsets { get; }

    /// <summary>Splits whole blocks into codes, scales and offsets. Allocates nothing.</summary>
    /// <param name="blocks"><c>[n · BlockBytes]</c>.</param>
    /// <param name="codes"><c>[n · BlockLength]</c>, 0 to 255, in the order of the weights.</param>
    /// <param name="scales"><c>[n · BlockLength / GroupLength]</c>.</param>
    /// <param name="offsets"><c>[n · BlockLength / GroupLength]</c>, or empty where <see cref="HasOffsets"/> is false.</param>
    static abstract void Unpack(ReadOnlySpan<byte> blocks, Span<byte> codes, Span<float> scales, Span<float> offsets);
}
