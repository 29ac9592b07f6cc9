using System.Runtime.CompilerServices;

namespace Slipstream.Numerics.Kernels;

// SAFETY: (both structs) pointers into a cache and a scratch that whoever fills them in holds.
/// <summary>A tile that lies in the cache in one piece.</summary>
internal unsafe struct SpanTile
{
    /// <summary>Its keys, <c>[4, columns / 2, 16]</c> pairs of columns, and its values, <c>[32, columns]</c> pairs of rows (<see cref="CachePairs"/>).</summary>
    public byte* Keys, Values;

    /// <summary>What to ask for while it is worked on: keys and values that come later.</summary>
    public byte* AskKeys, AskValues;

    /// <summary>Where its span's results are: for each row the greatest score and the sum of the weights so far, and the results so far, <c>[rows, columns]</c>.</summary>
    public float* Max, Sum, Results;

    /// <summary>Not 0 for the first of its span: results so far are zero, whatever is there; maxima and sums are there.</summary>
    public nint IsFirst;

    /// <summary>Says where its results go.</summary>
    public void PutIn(in AttentionState state, bool isFirst)
    {
        Max = state.Max;
        Sum = state.Sum;
        Results = state.Values;
        IsFirst = isFirst ? 1 : 0;
    }

    /// <summary>Leaves rows out that others were attended for.</summary>
    public void Skip(int rows, int columns)
    {
        Max += rows;
        Sum += rows;
        Results += (nint)rows * columns;
    }
}

/// <summary>Whole tiles of some spans, and one more, which is looked at but not followed.</summary>
[InlineArray(TiledAttention.MostSpansTogether * AttentionPlan.SpanTiles + 1)]
internal struct WholeTiles
{
    private SpanTile _first;
}

/// <summary>Blocks of query rows and whole tiles, which every row sees (<see cref="Emitted.AmxSpanKernels"/>). Every field has 8 bytes: the kernel reads them by their place, and counts down or moves on from <see cref="Left"/> on.</summary>
internal unsafe struct SpanCall
{
    /// <summary>Rounded queries, <c>[blocks · rows, columns]</c>, scaled by 1 / ln 2 too.</summary>
    public ushort* Queries;

    /// <summary>Room for the scores of a block, <c>[rows, 64]</c>, for what its results are worth, 16, and for its weights, <c>[rows, 64]</c>.</summary>
    public float* Scores, Keep;

    /// <inheritdoc cref="Scores"/>
    public ushort* Weights;

    /// <summary>Blocks of rows.</summary>
    public nint Blocks;

    /// <summary>Tiles times blocks that are left.</summary>
    public nint Left;

    /// <summary>Where the tile is whose scores come next, and where the one whose values come next.</summary>
    public SpanTile* NextTile, Tile;

    /// <summary>Blocks that are left for each of the two.</summary>
    public nint NextBlocks, BlocksLeft;
}
