namespace Slipstream.Numerics.Kernels;

/// <summary>Where a product writes its results as the next one will read them, instead of as floats.</summary>
/// <param name="pointer">The first row.</param>
/// <param name="tileBytes">Bytes from a tile of rows to the next.</param>
/// <param name="zero">The code for zero of the weights that are multiplied next.</param>
/// <param name="write">How.</param>
internal readonly unsafe struct NextForm(byte* pointer, nint tileBytes, int zero, delegate*<in NextForm, in NextBlock, void> write)
{
    /// <summary>Columns that are written at once.</summary>
    public const int Columns = 2 * PackedLayout.Rows;

    // SAFETY: (all) the form has room for the rows and columns of every block; blocks that threads write do not overlap.

    /// <summary>The first row.</summary>
    public byte* Pointer => pointer;

    /// <summary>Bytes from a tile of rows to the next.</summary>
    public nint TileBytes => tileBytes;

    /// <summary>The code for zero of the weights that are multiplied next.</summary>
    public int Zero => zero;

    /// <summary>Writes a block.</summary>
    public void Write(in NextBlock block) => write(in this, in block);
}

/// <summary>Some rows of 32 columns.</summary>
internal readonly unsafe struct NextBlock
{
    /// <summary>The first sixteen columns; rows follow each other.</summary>
    public float* X { get; init; }

    /// <summary>Floats from the first sixteen columns of the rows to the others.</summary>
    public nint HalfStride { get; init; }

    /// <summary>The number of the first row, which begins a tile.</summary>
    public int FirstRow { get; init; }

    /// <summary>Rows.</summary>
    public int Rows { get; init; }

    /// <summary>The number of the block among those of a row.</summary>
    public int Index { get; init; }
}
