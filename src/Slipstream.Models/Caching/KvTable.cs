namespace Slipstream.Models;

/// <summary>
/// Which rows a sequence has in a store: row → slot and position. Committed rows ascend in position; the rows of the step in progress follow.
/// <see cref="Retain"/> is the one way rows leave: rejected drafts, released sequences, evictions. Not for two threads at a time.
/// </summary>
public sealed class KvTable
{
    private int[] _slots = new int[64], _positions = new int[64];
    private int _next = -1;

    /// <summary>Creates an empty table.</summary>
    public KvTable(KvStore store) => Store = store;

    /// <summary>Where the rows' bytes are.</summary>
    public KvStore Store { get; }

    /// <summary>Number of rows.</summary>
    public int Count { get; private set; }

    /// <summary>The slot of each row.</summary>
    public ReadOnlySpan<int> Slots => _slots.AsSpan(0, Count);

    /// <summary>The position of each row in its sequence.</summary>
    public ReadOnlySpan<int> Positions => _positions.AsSpan(0, Count);

    internal int[] SlotArray => _slots;

    internal int[] PositionArray => _positions;

    /// <summary>How many blocks <paramref name="rows"/> more rows would take.</summary>
    public int BlocksFor(int rows)
    {
        int inTail = _next < 0 ? 0 : Store.BlockRows - _next % Store.BlockRows;
        return rows <= inTail ? 0 : (rows - inTail + Store.BlockRows - 1) / Store.BlockRows;
    }

    /// <summary>How many rows fit the tail block and <paramref name="blocks"/> more.</summary>
    public long RowsIn(int blocks) => (_next < 0 ? 0 : Store.BlockRows - _next % Store.BlockRows) + (long)blocks * Store.BlockRows;

    /// <summary>Makes room in the table's own lists, so that <see cref="Append"/> does not allocate up to that many rows.</summary>
    public void Reserve(int rows)
    {
        if (rows <= _slots.Length) return;
        Array.Resize(ref _slots, rows);
        Array.Resize(ref _positions, rows);
    }

    /// <summary>Reserves a slot for a row at <paramref name="position"/>; takes a block only when the tail block is full.</summary>
    /// <returns>The slot.</returns>
    /// <exception cref="InvalidOperationException">The store has no free block.</exception>
    public int Append(int position)
    {
        if (Count == _slots.Length) Reserve(Count * 2);
        int slot = _next < 0 ? Store.TakeBlock() * Store.BlockRows : _next;
        (_slots[Count], _positions[Count]) = (slot, position);
        Count++;
        Store.AddRow(slot);
        _next = (slot + 1) % Store.BlockRows == 0 ? -1 : slot + 1;
        return slot;
    }

    /// <summary>Keeps the rows whose flag is set, in order, and gives back blocks with no row left. No key or value moves.</summary>
    /// <param name="keep">One flag a row.</param>
    /// <exception cref="ArgumentException">There are not as many flags as rows.</exception>
    public void Retain(ReadOnlySpan<bool> keep)
    {
        if (keep.Length != Count) throw new ArgumentException($"Expected {Count} flags, got {keep.Length}.", nameof(keep));
        int write = 0;
        bool tailDropped = false;
        for (int row = 0; row < keep.Length; row++)
        {
            tailDropped = !keep[row];
            if (tailDropped)
            {
                Store.DropRow(_slots[row]);
                continue;
            }
            (_slots[write], _positions[write]) = (_slots[row], _positions[row]);
            write++;
        }
        Finish(write, tailDropped);
    }

    /// <summary>Keeps the first <paramref name="rows"/> rows.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many.</exception>
    public void Truncate(int rows)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows, Count);
        bool dropped = rows < Count;
        for (int row = rows; row < Count; row++) Store.DropRow(_slots[row]);
        Finish(rows, dropped);
    }

    private void Finish(int count, bool tailDropped)
    {
        Count = count;
        // Append goes on right after the last row; the rest of its block is this table's alone.
        if (tailDropped) _next = count == 0 || (_slots[count - 1] + 1) % Store.BlockRows == 0 ? -1 : _slots[count - 1] + 1;
    }
}
