using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Tiles of four weight rows that follow one another, to be multiplied with the same rows of activations over a range of columns.</summary>
internal unsafe struct RowChunk
{
    /// <summary>The most tiles.</summary>
    public const int MaxTiles = 64;

    /// <summary>Floats a kernel may need for the results of a chunk before they are spread.</summary>
    public const int ResultFloats = MaxTiles * 8 * RowTile.WeightRows;

    /// <summary>The four weight rows of the first tile, from the range's first column on.</summary>
    public byte* Row0, Row1, Row2, Row3;

    /// <summary>Bytes from a tile's rows to those of the next.</summary>
    public nint Advance;

    /// <summary>Tiles.</summary>
    public int Count;

    /// <summary>The result of the first weight row of the first tile, for the first row of activations there is.</summary>
    public float* Y;

    /// <summary>Floats from a result of a tile's first weight row to those of the others.</summary>
    public nint Y1, Y2, Y3;

    /// <summary>Floats from a tile's results to those of the next.</summary>
    public nint YAdvance;

    /// <summary>Bytes between rows of activations.</summary>
    public nint XStride;

    /// <summary>Floats between rows of results.</summary>
    public nint YStride;

    /// <summary>Columns in the range.</summary>
    public nint Width;

    /// <summary>Whether the range begins at the first column, and whether it reaches the last.</summary>
    public bool First, Last;

    // SAFETY: (all below) the product sets rows that exist, and results that have room for them.

    /// <summary>Takes rows that lie <paramref name="apart"/> rows apart, each stream of them going on with the row after.</summary>
    public void SetStreams(byte* weights, nint rowBytes, int row, int apart, int count, float* y)
    {
        Set(weights, rowBytes, row, row + apart, row + 2 * apart, row + 3 * apart, y);
        Advance = rowBytes;
        YAdvance = 1;
        Count = count;
    }

    /// <summary>Takes rows that follow each other, four to a tile.</summary>
    public void SetNeighbours(byte* weights, nint rowBytes, int row, int count, float* y)
    {
        Set(weights, rowBytes, row, row + 1, row + 2, row + 3, y);
        Advance = RowTile.WeightRows * rowBytes;
        YAdvance = RowTile.WeightRows;
        Count = count;
    }

    /// <summary>Takes one tile of the last rows, fewer than four: the last stands for those that are not there.</summary>
    public void SetLast(byte* weights, nint rowBytes, int row, int last, float* y)
    {
        Set(weights, rowBytes, row, Math.Min(row + 1, last), Math.Min(row + 2, last), last, y);
        Count = 1;
    }

    /// <summary>Writes results that lie tile after tile, and in a tile four to each of <paramref name="tileRows"/> rows of activations.</summary>
    /// <param name="results">The results.</param>
    /// <param name="tileRows">Rows of results in a tile.</param>
    /// <param name="rows">Rows that count.</param>
    /// <param name="row">The number of the first.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public readonly void Spread(float* results, int tileRows, int rows, nint row)
    {
        int step = tileRows * RowTile.WeightRows, count = Count;
        bool neighbours = Y1 == 1 && Y2 == 2 && Y3 == 3;
        for (int m = 0; m < rows; m++)
        {
            float* from = results + m * RowTile.WeightRows, to = Y + (row + m) * YStride, to1 = to + Y1, to2 = to + Y2, to3 = to + Y3;
            if (neighbours)
                for (int tile = 0; tile < count; tile++) Vector128.Load(from + tile * step).Store(to + tile * YAdvance);
            else
                for (int tile = 0; tile < count; tile++)
                {
                    float* four = from + tile * step;
                    nint at = tile * YAdvance;
                    to[at] = four[0];
                    to1[at] = four[1];
                    to2[at] = four[2];
                    to3[at] = four[3];
                }
        }
    }

    private void Set(byte* weights, nint rowBytes, nint row0, nint row1, nint row2, nint row3, float* y)
    {
        Row0 = weights + row0 * rowBytes;
        Row1 = weights + row1 * rowBytes;
        Row2 = weights + row2 * rowBytes;
        Row3 = weights + row3 * rowBytes;
        Y = y + row0;
        Y1 = row1 - row0;
        Y2 = row2 - row0;
        Y3 = row3 - row0;
    }
}
