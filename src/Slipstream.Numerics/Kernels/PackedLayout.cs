namespace Slipstream.Numerics.Kernels;

/// <summary>
/// Where a format's codes and scales lie once its weights are packed for products: sixteen rows of W together, so that one vector holds four weights of each row, and nothing is summed
/// across a vector.
/// </summary>
/// <remarks>
/// A block is 16 rows by <see cref="BlockLength"/> columns, in this order:
/// the halves d of the rows (32 bytes) · the halves m, for formats with offsets · for formats with several groups in a block, their scales as signed bytes <c>[group][row]</c>, then minima
/// <c>[group][row]</c> · for each 32 columns their planes.
/// A step is 4 columns of 16 rows: 64 codes, <c>[row][column]</c>; 32 columns are 8 steps. The low plane of 32 columns is, for 8 bits, the 8 steps; for 4 bits, 4 vectors of 64 bytes of which
/// vector v holds step v in the low nibbles and step v + 4 in the high ones; for 2 bits, 2 vectors of which vector v holds the steps 4 v .. 4 v + 3, from the low bits on. The high plane is,
/// for 1 bit, a vector with step s in bit s; for 2 bits, two vectors as the low plane of 2 bits has them.
/// The bytes are those of the format itself, but for K formats with packed scales, which become bytes (2.8 % more for Q4_K).
/// </remarks>
internal readonly record struct PackedLayout
{
    /// <summary>Rows that lie together.</summary>
    public const int Rows = 16;

    /// <summary>Columns of a step, and columns whose planes lie together.</summary>
    public const int StepLength = 4, PlaneLength = 32;

    /// <summary>Where the halves m of a block begin.</summary>
    public const int OffsetsAt = 2 * Rows;

    /// <summary>Columns of a block.</summary>
    public int BlockLength { get; private init; }

    /// <summary>Columns that share a scale.</summary>
    public int GroupLength { get; private init; }

    /// <summary>Bits of a code in each plane.</summary>
    public int LowBits { get; private init; }

    /// <inheritdoc cref="LowBits"/>
    public int HighBits { get; private init; }

    /// <summary>The code that stands for zero before the offset.</summary>
    public int Zero { get; private init; }

    /// <summary>Whether groups have an offset.</summary>
    public bool HasOffsets { get; private init; }

    /// <summary>The layout of a format.</summary>
    public static PackedLayout Of<TFormat>() where TFormat : IIntegerFormat => new()
    {
        BlockLength = TFormat.BlockLength,
        GroupLength = TFormat.GroupLength,
        LowBits = TFormat.LowBits,
        HighBits = TFormat.HighBits,
        Zero = TFormat.Zero,
        HasOffsets = TFormat.HasOffsets,
    };

    /// <summary>Groups of a block; where it is more than one, scales are a half times a byte.</summary>
    public int Groups => BlockLength / GroupLength;

    /// <summary>Where the scale bytes, the minima and the planes of a block begin.</summary>
    public int ScaleBytesAt => (HasOffsets ? 4 : 2) * Rows;

    /// <inheritdoc cref="ScaleBytesAt"/>
    public int MinimaAt => ScaleBytesAt + Groups * Rows;

    /// <inheritdoc cref="ScaleBytesAt"/>
    public int PlanesAt => ScaleBytesAt + (Groups > 1 ? Groups * Rows * (HasOffsets ? 2 : 1) : 0);

    /// <summary>Bytes of the low plane of 32 columns, after which the high plane begins.</summary>
    public int LowPlaneBytes => 64 * LowBits;

    /// <summary>Bytes of the planes of 32 columns.</summary>
    public int PlaneBytes => 64 * (LowBits + HighBits);

    /// <summary>Bytes of a block.</summary>
    public int BlockBytes => PlanesAt + BlockLength / PlaneLength * PlaneBytes;

    /// <summary>Bytes of 32 columns, with their part of what a block has besides.</summary>
    public int StepBytes => BlockBytes * PlaneLength / BlockLength;

    /// <summary>Bytes of sixteen rows of <paramref name="width"/> columns.</summary>
    public long BytesOf(int width) => (long)width / BlockLength * BlockBytes;
}
