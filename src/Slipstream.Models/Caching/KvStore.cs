using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>
/// The bytes of cached keys and values, in blocks of rows that sequences take and give back (Kwon et al. 2023, arXiv:2309.06180).
/// A slot is a row's place: <c>block · BlockRows + row</c>. Not for two threads at a time.
/// </summary>
public sealed class KvStore : IDisposable
{
    private readonly NativeBuffer<byte> _data;
    private readonly long _slotStride;
    private readonly int _groupRows;
    private readonly int[] _free, _liveRows;
    private int _freeCount;

    /// <summary>Reserves <paramref name="blocks"/> blocks of <paramref name="blockRows"/> rows; pages are touched when first written.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no block or no row, or the slots would not fit an <see cref="int"/>.</exception>
    public KvStore(KvLayout layout, int blocks, int blockRows)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(blocks, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(blockRows, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)blocks * blockRows, int.MaxValue, nameof(blocks));
        Layout = layout;
        Blocks = blocks;
        BlockRows = blockRows;
        // Groups are whole.
        _groupRows = CacheRows.GroupRows(layout.Type);
        long slots = ((long)blocks * blockRows + _groupRows - 1) / _groupRows * _groupRows;
        Chunks = CacheChunks.For(slots, layout.BytesPerRow);
        _slotStride = Chunks.Rows == 0 ? slots : Chunks.Rows;
        _data = new NativeBuffer<byte>((slots + _slotStride - 1) / _slotStride * _slotStride * layout.BytesPerRow);
        _liveRows = new int[blocks];
        _free = new int[blocks];
        for (int block = blocks - 1; block >= 0; block--) _free[_freeCount++] = block;
    }

    /// <summary>What a row holds.</summary>
    public KvLayout Layout { get; }

    /// <summary>Blocks in all.</summary>
    public int Blocks { get; }

    /// <summary>Rows in a block.</summary>
    public int BlockRows { get; }

    /// <summary>Rows in all blocks.</summary>
    public int Slots => Blocks * BlockRows;

    /// <summary>Blocks no sequence holds.</summary>
    public int FreeBlocks => _freeCount;

    /// <summary>Reserved bytes.</summary>
    public long Bytes => _data.Bytes;

    /// <summary>Rounds a row's keys and values to the cache's type and writes them.</summary>
    /// <param name="layer">Which layer.</param>
    /// <param name="slot">The row's place.</param>
    /// <param name="key"><c>[KvHeads, HeadSize]</c>.</param>
    /// <param name="value"><c>[KvHeads, HeadSize]</c>.</param>
    /// <exception cref="ArgumentException">The lengths are not those of a row.</exception>
    public void Write(int layer, int slot, ReadOnlySpan<float> key, ReadOnlySpan<float> value)
    {
        Check(key.Length, value.Length);
        for (int head = 0; head < Layout.KvHeads; head++)
        {
            CacheRows.StoreKey(Layout.Type, key.Slice(head * Layout.HeadSize, Layout.HeadSize), Group(layer, 0, head, slot), slot % _groupRows);
            CacheRows.StoreValue(Layout.Type, value.Slice(head * Layout.HeadSize, Layout.HeadSize), Group(layer, 1, head, slot), slot % _groupRows);
        }
    }

    /// <summary>The same for several rows.</summary>
    /// <param name="layer">Which layer.</param>
    /// <param name="slots">The rows' places.</param>
    /// <param name="keys"><c>[slots, KvHeads · HeadSize]</c>.</param>
    /// <param name="values"><c>[slots, KvHeads · HeadSize]</c>.</param>
    /// <exception cref="ArgumentException">The widths are not those of a row.</exception>
    internal void Write(int layer, ReadOnlySpan<int> slots, Matrix keys, Matrix values)
    {
        Check(keys.Columns, values.Columns);
        for (int first = 0, count; first < slots.Length; first += count)
        {
            int slot = slots[first], row = slot % _groupRows;
            // Rows that follow each other in a group go together.
            for (count = 1; row + count < _groupRows && first + count < slots.Length && slots[first + count] == slot + count;) count++;
            for (int head = 0; head < Layout.KvHeads; head++)
                CacheRows.Store(Layout.Type, Part(keys, head), Part(values, head), Group(layer, 0, head, slot), Group(layer, 1, head, slot), row);

            Matrix Part(Matrix rows, int head) => rows.RowRange(first, count).ColumnRange(head * Layout.HeadSize, Layout.HeadSize);
        }
    }

    /// <summary>Reads a row's keys and values as they are stored.</summary>
    /// <param name="layer">Which layer.</param>
    /// <param name="slot">The row's place.</param>
    /// <param name="key"><c>[KvHeads, HeadSize]</c>, overwritten.</param>
    /// <param name="value"><c>[KvHeads, HeadSize]</c>, overwritten.</param>
    /// <exception cref="ArgumentException">The lengths are not those of a row.</exception>
    public void Read(int layer, int slot, Span<float> key, Span<float> value)
    {
        Check(key.Length, value.Length);
        for (int head = 0; head < Layout.KvHeads; head++)
        {
            CacheRows.LoadKey(Layout.Type, Group(layer, 0, head, slot), slot % _groupRows, key.Slice(head * Layout.HeadSize, Layout.HeadSize));
            CacheRows.LoadValue(Layout.Type, Group(layer, 1, head, slot), slot % _groupRows, value.Slice(head * Layout.HeadSize, Layout.HeadSize));
        }
    }

    /// <summary>How the slots are parted: few rows touch few pages, which are huge where there are such.</summary>
    internal CacheChunks Chunks { get; }

    /// <summary>All keys of a layer for kernels, in each chunk <c>[KvHeads, rows, HeadSize]</c>, rows rounded up to whole groups: what one head reads of a chunk lies together. Of several chunks, from the first one's on.</summary>
    internal ByteRegion Keys(int layer) => Part(layer, 0);

    /// <summary>All values of a layer, in the same shape.</summary>
    internal ByteRegion Values(int layer) => Part(layer, 1);

    internal int TakeBlock() => _freeCount > 0
        ? _free[--_freeCount]
        : throw new InvalidOperationException("The cache has no free block; the scheduler admits by FreeBlocks.");

    internal void AddRow(int slot) => _liveRows[slot / BlockRows]++;

    internal void DropRow(int slot)
    {
        int block = slot / BlockRows;
        if (--_liveRows[block] == 0) _free[_freeCount++] = block;
    }

    /// <inheritdoc/>
    public void Dispose() => _data.Dispose();

    private ByteRegion Part(int layer, int part)
    {
        long start = Offset(layer, part, 0, 0);
        return _data.Region.Slice(start, Chunks.Rows == 0 ? _slotStride * Layout.KvHeads * Layout.HeadBytes : _data.Bytes - start);
    }

    private long Offset(int layer, int part, int head, int slot) => ((2L * layer + part) * Layout.KvHeads + head) * _slotStride * Layout.HeadBytes + Chunks.Offset(slot, Layout.HeadBytes);

    private Span<byte> Group(int layer, int part, int head, int slot) => _data.Span(Offset(layer, part, head, slot - slot % _groupRows), _groupRows * Layout.HeadBytes);

    private void Check(int key, int value)
    {
        if (key != Layout.Width || value != Layout.Width) throw new ArgumentException($"A row has {Layout.Width} numbers of keys and of values, not {key} and {value}.");
    }
}
