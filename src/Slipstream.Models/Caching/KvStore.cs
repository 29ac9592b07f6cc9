using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>
/// The bytes of cached keys and values, in blocks of rows that sequences take and give back (Kwon et al. 2023, arXiv:2309.06180).
/// A slot is a row's place: <c>block · BlockRows + row</c>. Not for two threads at a time.
/// </summary>
public sealed class KvStore : IDisposable
{
    private readonly NativeBuffer<float> _data;
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
        _data = new NativeBuffer<float>(2L * layout.Layers * blocks * blockRows * layout.Width);
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

    /// <summary>The keys of a slot in a layer, <c>[KvHeads, HeadSize]</c>.</summary>
    public Span<float> Key(int layer, int slot) => _data.Span(Offset(layer, 0, slot), Layout.Width);

    /// <summary>The values of a slot in a layer, <c>[KvHeads, HeadSize]</c>.</summary>
    public Span<float> Value(int layer, int slot) => _data.Span(Offset(layer, 1, slot), Layout.Width);

    /// <summary>All keys of a layer, <c>[Slots, Width]</c>, for kernels.</summary>
    internal ByteRegion Keys(int layer) => _data.Region.Slice(Offset(layer, 0, 0) * sizeof(float), (long)Slots * Layout.Width * sizeof(float));

    /// <summary>All values of a layer, <c>[Slots, Width]</c>, for kernels.</summary>
    internal ByteRegion Values(int layer) => _data.Region.Slice(Offset(layer, 1, 0) * sizeof(float), (long)Slots * Layout.Width * sizeof(float));

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

    private long Offset(int layer, int part, int slot) => ((2L * layer + part) * Slots + slot) * Layout.Width;
}
