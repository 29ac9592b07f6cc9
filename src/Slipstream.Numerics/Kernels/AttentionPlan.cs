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
}

/// <summary>
/// Which rows see which, made once a forward pass and used by every layer. A row sees the cached rows before it, its ancestors in the batch and itself.
/// Reused from pass to pass; allocates nothing once its lists have grown.
/// </summary>
internal sealed class AttentionPlan
{
    /// <summary>Rows of one sequence that one work item attends for.</summary>
    public const int RowsPerItem = 16;

    private AttentionSequence[] _sequences = new AttentionSequence[8];
    private (int Sequence, int Row)[] _items = new (int, int)[64];
    private ulong[] _ancestors = new ulong[256];
    private int _ancestorCount;

    /// <summary>Sequences in the batch.</summary>
    public int SequenceCount { get; private set; }

    /// <summary>Work items, each a sequence and the first of up to <see cref="RowsPerItem"/> of its rows.</summary>
    public int ItemCount { get; private set; }

    public ref readonly AttentionSequence Sequence(int index) => ref _sequences[index];

    public (int Sequence, int Row) Item(int index) => _items[index];

    /// <summary>The ancestor bits of a row: bit j of word j / 64 is set if it sees row j of its sequence's rows in the batch.</summary>
    public ReadOnlySpan<ulong> Ancestors(in AttentionSequence sequence, int row)
        => _ancestors.AsSpan(sequence.AncestorStart + row * sequence.AncestorWords, sequence.AncestorWords);

    /// <summary>Forgets the last batch.</summary>
    public void Begin() => SequenceCount = ItemCount = _ancestorCount = 0;

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
        Grow(ref _items, ItemCount + (rows + RowsPerItem - 1) / RowsPerItem);
        Grow(ref _ancestors, start + rows * words);
        _ancestorCount = start + rows * words;
        bool chain = true;
        int least = int.MaxValue;
        for (int row = 0; row < rows; row++)
        {
            int parent = parents[row];
            if (parent >= row || parent < -1) throw new ArgumentException($"Row {row} names row {parent} as its parent; it must be earlier, or -1.", nameof(parents));
            Span<ulong> own = _ancestors.AsSpan(start + row * words, words);
            if (parent < 0) own.Clear();
            else _ancestors.AsSpan(start + parent * words, words).CopyTo(own);
            own[row / 64] |= 1UL << (row % 64);
            chain &= positions[cached + row] == positions[cached] + row;
            least = Math.Min(least, positions[cached + row]);
        }
        _sequences[SequenceCount] = new AttentionSequence
        {
            FirstRow = firstRow, Rows = rows, Slots = slots, Positions = positions, Cached = cached,
            AncestorStart = start, AncestorWords = words, FirstPosition = least, IsChain = chain,
        };
        for (int row = 0; row < rows; row += RowsPerItem) _items[ItemCount++] = (SequenceCount, row);
        SequenceCount++;
    }

    private static void Grow<T>(ref T[] array, int length)
    {
        if (length > array.Length) Array.Resize(ref array, (int)BitOperations.RoundUpToPowerOf2((uint)length));
    }
}
