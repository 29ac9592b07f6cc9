using System.Numerics;

namespace Slipstream.Numerics.Kernels;

/// <summary>One sequence's rows in a batch, as attention sees them.</summary>
internal struct AttentionSequence
{
    /// <summary>Its first row in the batch.</summary>
    public int FirstRow;

    /// <summary>Its rows in the batch.</summary>
    public int Rows;

    /// <summary>Slots of its cached rows and then of the batch's.</summary>
    public int[] Slots;

    /// <summary>Positions in the same order.</summary>
    public int[] Positions;

    /// <summary>Rows cached before this batch; their positions ascend.</summary>
    public int Cached;

    /// <summary>Where its ancestor bits begin, and how many words each row has.</summary>
    public int AncestorStart, AncestorWords;

    /// <summary>The least position of its rows in this batch.</summary>
    public int FirstPosition;

    /// <summary>Whether its rows are a chain of consecutive positions; only a hint where to look.</summary>
    public bool IsChain;

    /// <summary>Whether its rows are such a chain, and each sees all before it.</summary>
    public bool SeesAll;
}

/// <summary>Some rows of one sequence that are attended for together.</summary>
/// <param name="Sequence">Which sequence of the plan.</param>
/// <param name="First">The first of the rows.</param>
/// <param name="Rows">How many.</param>
/// <param name="Least">The least position among them.</param>
/// <param name="Most">The greatest position among them.</param>
/// <param name="SpanStart">Where its spans begin in the plan's list.</param>
internal readonly record struct AttentionItem(int Sequence, int First, int Rows, int Least, int Most, int SpanStart)
{
    /// <summary>Spans of positions from 0 to the last one it sees.</summary>
    public int Spans => Most / AttentionPlan.SpanPositions + 1;
}

/// <summary>
/// Which rows see which, made once a forward pass and used by every layer. A row sees the cached rows before it, its ancestors in the batch and itself.
/// Reused from pass to pass; allocates nothing once its lists have grown.
/// </summary>
internal sealed class AttentionPlan
{
    /// <summary>Positions of a span: four tiles, attended over one after the other. Spans may be attended over at the same time and are then merged in ascending order.</summary>
    public const int SpanPositions = SpanTiles * TiledAttention.Tile;

    /// <summary>Tiles of a span.</summary>
    public const int SpanTiles = 4;

    // Work that keeps workers this busy is shared out well enough: each part of a sequence's rows goes over its cached rows once more.
    private const double EvenEnough = 0.8;

    private const int MostParts = 4;

    private readonly int _rowsPerItem, _kvHeads, _workers;
    private bool _isAlone;
    private AttentionSequence[] _sequences = new AttentionSequence[8];
    private AttentionItem[] _items = new AttentionItem[64];
    private int[] _spanItems = new int[64];
    private ulong[] _ancestors = new ulong[256];
    private int _ancestorCount;

    /// <summary>Creates an empty plan.</summary>
    /// <param name="rowsPerItem">The most rows of one sequence that are attended for together.</param>
    /// <param name="kvHeads">Key-value heads: each is work of its own.</param>
    /// <param name="workers">Workers that share the work.</param>
    public AttentionPlan(int rowsPerItem, int kvHeads = 1, int workers = 1) => (_rowsPerItem, _kvHeads, _workers) = (rowsPerItem, kvHeads, workers);

    /// <summary>Sequences in the batch.</summary>
    public int SequenceCount { get; private set; }

    /// <summary>Items of work, each some rows of a sequence.</summary>
    public int ItemCount { get; private set; }

    /// <summary>Spans of all items.</summary>
    public int SpanCount { get; private set; }

    /// <summary>The most rows of an item.</summary>
    public int MostRows { get; private set; }

    public ref readonly AttentionSequence Sequence(int index) => ref _sequences[index];

    public ref readonly AttentionItem Item(int index) => ref _items[index];

    /// <summary>The item that a span of the plan's list belongs to.</summary>
    public int ItemOfSpan(int span) => _spanItems[span];

    /// <summary>How many rows an item should have where <paramref name="group"/> query heads share a key-value head: about a hundred query rows, so that bringing a tile into shape costs little of the work on it.</summary>
    public static int RowsFor(int group) => (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(1, 96 / group) / 2 + 1);

    /// <summary>The ancestor bits of a row: bit j of word j / 64 is set if it sees row j of its sequence's rows in the batch.</summary>
    public ReadOnlySpan<ulong> Ancestors(in AttentionSequence sequence, int row)
        => _ancestors.AsSpan(sequence.AncestorStart + row * sequence.AncestorWords, sequence.AncestorWords);

    /// <summary>Forgets the last batch.</summary>
    /// <param name="sequences">Sequences to come; the rows of a single one are shared out evenly over the workers.</param>
    public void Begin(int sequences = 0)
    {
        SequenceCount = ItemCount = SpanCount = MostRows = _ancestorCount = 0;
        _isAlone = sequences == 1;
    }

    /// <summary>Adds a sequence.</summary>
    /// <param name="firstRow">Its first row in the batch.</param>
    /// <param name="slots">Slots of cached and new rows.</param>
    /// <param name="positions">Their positions.</param>
    /// <param name="cached">Cached rows.</param>
    /// <param name="parents">For each new row the earlier new row before it, or −1.</param>
    /// <exception cref="ArgumentException">A parent is not an earlier row.</exception>
    public void Add(int firstRow, int[] slots, int[] positions, int cached, ReadOnlySpan<int> parents)
    {
        int rows = parents.Length, words = (rows + 63) / 64, start = _ancestorCount;
        Grow(ref _sequences, SequenceCount + 1);
        Grow(ref _items, ItemCount + Math.Max(MostParts, (rows + _rowsPerItem - 1) / _rowsPerItem));
        Grow(ref _ancestors, start + rows * words);
        _ancestorCount = start + rows * words;
        bool chain = true, seesAll = true;
        int least = int.MaxValue, most = 0;
        for (int row = 0; row < rows; row++)
        {
            int parent = parents[row];
            if (parent >= row || parent < -1) throw new ArgumentException($"Row {row} names row {parent} as its parent; it must be earlier, or -1.", nameof(parents));
            Span<ulong> own = _ancestors.AsSpan(start + row * words, words);
            if (parent < 0) own.Clear();
            else _ancestors.AsSpan(start + parent * words, words).CopyTo(own);
            own[row / 64] |= 1UL << (row % 64);
            chain &= positions[cached + row] == positions[cached] + row;
            seesAll &= parent == row - 1;
            (least, most) = (Math.Min(least, positions[cached + row]), Math.Max(most, positions[cached + row]));
        }
        _sequences[SequenceCount] = new AttentionSequence
        {
            FirstRow = firstRow, Rows = rows, Slots = slots, Positions = positions, Cached = cached,
            AncestorStart = start, AncestorWords = words, FirstPosition = least, IsChain = chain, SeesAll = chain && seesAll,
        };
        int each = _isAlone ? RowsEach(rows, most / SpanPositions + 1) : _rowsPerItem;
        for (int row = 0; row < rows; row += each) AddItem(row, Math.Min(each, rows - row), positions.AsSpan(cached));
        SequenceCount++;
    }

    /// <summary>Rows of an item of the only sequence: fewer than could go together where its heads and spans do not share out evenly, such as three heads over two workers.</summary>
    private int RowsEach(int rows, int spans)
    {
        for (int parts = 1; parts <= Math.Min(rows, MostParts) && rows <= _rowsPerItem; parts++)
        {
            int pieces = parts * spans * _kvHeads;
            if (pieces >= EvenEnough * _workers * ((pieces + _workers - 1) / _workers)) return (rows + parts - 1) / parts;
        }
        return _rowsPerItem;
    }

    private void AddItem(int first, int rows, ReadOnlySpan<int> positions)
    {
        int least = int.MaxValue, most = 0;
        foreach (int position in positions.Slice(first, rows)) (least, most) = (Math.Min(least, position), Math.Max(most, position));
        AttentionItem item = new(SequenceCount, first, rows, least, most, SpanCount);
        Grow(ref _spanItems, SpanCount + item.Spans);
        _spanItems.AsSpan(SpanCount, item.Spans).Fill(ItemCount);
        SpanCount += item.Spans;
        MostRows = Math.Max(MostRows, rows);
        _items[ItemCount++] = item;
    }

    private static void Grow<T>(ref T[] array, int length)
    {
        if (length > array.Length) Array.Resize(ref array, (int)BitOperations.RoundUpToPowerOf2((uint)length));
    }
}
