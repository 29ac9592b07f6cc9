namespace Slipstream.Numerics;

/// <summary>Decodes whole blocks to floats.</summary>
/// <param name="blocks">The encoded blocks.</param>
/// <param name="destination">As many floats as the blocks hold weights.</param>
/// <exception cref="ArgumentException">The lengths are not the same whole number of blocks.</exception>
public delegate void BlockDecoder(ReadOnlySpan<byte> blocks, Span<float> destination);

/// <summary>Encodes floats to whole blocks, byte for byte as ggml's reference quantiser does.</summary>
/// <param name="source">The weights, finite.</param>
/// <param name="blocks">Room for exactly their blocks.</param>
/// <exception cref="ArgumentException">The lengths are not the same whole number of blocks.</exception>
public delegate void BlockEncoder(ReadOnlySpan<float> source, Span<byte> blocks);

/// <summary>One encoding of tensors that GGUF knows: a row of the table <see cref="WeightFormats"/>.</summary>
/// <remarks>Source: the enumeration <c>ggml_type</c> and the block structures of ggml.</remarks>
public sealed class WeightFormat
{
    internal WeightFormat(string name, int ggmlType, int blockLength, int blockBytes)
    {
        Name = name;
        GgmlType = ggmlType;
        BlockLength = blockLength;
        BlockBytes = blockBytes;
    }

    /// <summary>The name GGUF gives the format, such as <c>Q4_1</c>.</summary>
    public string Name { get; }

    /// <summary>The number that stands for the format in a GGUF file.</summary>
    public int GgmlType { get; }

    /// <summary>Weights in a block.</summary>
    public int BlockLength { get; }

    /// <summary>Bytes in a block.</summary>
    public int BlockBytes { get; }

    /// <summary>Decodes whole blocks, bit for bit as ggml does; null where <see cref="IsSupported"/> is false.</summary>
    public BlockDecoder? Decode { get; internal init; }

    /// <summary>Encodes whole blocks; null where the format is only read.</summary>
    public BlockEncoder? Encode { get; internal init; }

    /// <summary>Whether the format can be read as weights. The others are known by name and size only, so that a reader can refuse them in plain words.</summary>
    public bool IsSupported => Decode is not null;

    /// <summary>Bits a weight takes, scales included.</summary>
    public double BitsPerWeight => 8.0 * BlockBytes / BlockLength;

    /// <summary>Bytes that <paramref name="weights"/> weights take.</summary>
    /// <param name="weights">A multiple of <see cref="BlockLength"/>, zero or more.</param>
    /// <exception cref="ArgumentException">The number is negative, no whole number of blocks, or the bytes exceed 2⁶³ − 1.</exception>
    public long BytesOf(long weights)
    {
        if (weights < 0 || weights % BlockLength != 0 || weights / BlockLength > long.MaxValue / BlockBytes)
            throw new ArgumentException($"{weights} weights are no whole number of {Name} blocks of {BlockLength}.", nameof(weights));
        return weights / BlockLength * BlockBytes;
    }

    /// <inheritdoc/>
    public override string ToString() => Name;
}
