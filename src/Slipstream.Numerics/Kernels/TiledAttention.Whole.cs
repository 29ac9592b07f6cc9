using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <content>Tiles of a cache of bfloat16 that lie in one piece and that every row of an item sees whole, as most tiles of a long sequence: nothing is looked up row by row, and the matrix unit takes those of a span together.</content>
internal readonly unsafe ref partial struct TiledAttention
{
    // While a tile is worked on, the keys of the tile after the next are asked for and the values of the next: the next one's keys are in use by then (AmxSpanKernels).
    private const int KeysAhead = 2, ValuesAhead = 1;

    /// <summary>Attends over the whole tiles from one on; gives how many they were, 0 where the first is not whole.</summary>
    // SAFETY: (all below) slots are the store's, whose groups are whole and stay; the scratch has room for blocks of sixteen rows.
    [MethodImpl(KernelCode)]
    private int AttendWhole(in AttentionItem item, int tile, int last, int kvHead, (int Item, int Span, int KvHead) next, ref AttentionWork work)
    {
        if (!_isPaired || work.RowByRow) return 0;
        ref readonly AttentionSequence s = ref _plan.Sequence(item.Sequence);
        if (_unit != AttentionUnit.Tiles || !AmxSpanKernels.Takes(_stride))
        {
            if (!IsWhole(in s, in item, tile * Tile, kvHead, out long place)) return 0;
            for (int group = 0; group < Groups; group++, place += Step * _rowBytes)
            {
                work.KeyGroups[group] = (uint*)(_keys + place);
                work.ValueGroups[group] = (uint*)(_values + place);
            }
            new Span<ulong>(work.Masks, item.Rows * _group).Fill(ulong.MaxValue);
            work.Asks = true;
            FindNext(in item, tile, last, kvHead, next, ref work);
            AttendRounded(0, item.Rows * _group, ref work);
            return 1;
        }
        SpanTiles places = default;
        SpanTile* tiles = (SpanTile*)&places;
        int count = 0;
        for (; tile + count <= last && IsWhole(in s, in item, (tile + count) * Tile, kvHead, out long place); count++)
            tiles[count] = new SpanTile { Keys = _keys + place, Values = _values + place };
        if (count == 0) return 0;
        for (int i = 0; i < count; i++)
        {
            tiles[i].AskKeys = i + KeysAhead < count ? tiles[i + KeysAhead].Keys : FindPlace(in item, tile + i + KeysAhead, last, kvHead, next, out long keys) ? _keys + keys : tiles[i].Keys;
            tiles[i].AskValues = i + ValuesAhead < count ? tiles[i + ValuesAhead].Values : FindPlace(in item, tile + i + ValuesAhead, last, kvHead, next, out long values) ? _values + values : tiles[i].Values;
        }
        int rows = item.Rows * _group, blocks = (rows + AttentionPairs.MaxTileRows - 1) / AttentionPairs.MaxTileRows, size = (rows + blocks - 1) / blocks, even = rows / size;
        AttendWhole(0, size, even, tiles, count, ref work);
        if (even < blocks) AttendWhole(even * size, rows - even * size, 1, tiles, count, ref work);
        return count;
    }

    [MethodImpl(KernelCode)]
    private void AttendWhole(int from, int rows, int blocks, SpanTile* tiles, int count, ref AttentionWork work)
    {
        if (work.TileRows != rows) AmxAttentionKernels.Configure(work.TileRows = rows, _stride);
        SpanCall call = new()
        {
            Queries = work.QueryBits + (nint)from * _stride, Max = work.Span.Max + from, Sum = work.Span.Sum + from, Results = work.Span.Values + (nint)from * _stride,
            Scores = work.Scores, Keep = work.Keep, Weights = work.WeightBits, Blocks = blocks, Left = blocks * count, NextTile = tiles, Tile = tiles, NextBlocks = blocks, BlocksLeft = blocks,
        };
        AmxSpanKernels.Attend(rows, _stride, blocks).Entry(&call);
    }

    /// <summary>Whether a tile lies in the cache in one piece and every row of the item sees it whole.</summary>
    [MethodImpl(KernelCode)]
    private bool IsWhole(in AttentionSequence s, in AttentionItem item, int begin, int kvHead, out long place)
    {
        Unsafe.SkipInit(out place);
        // Positions ascend: where the first and the last are their own indices, all are; among rows of the batch that hold for each other, too.
        int end = begin + Tile, known = s.SeesAll ? s.Cached + s.Rows : s.Cached, seen = s.SeesAll ? item.Least + 1 : s.FirstPosition;
        if (end > known || end > seen || s.Positions[begin] != begin || s.Positions[end - 1] != end - 1 || WindowStart(item.Most) > begin) return false;
        if (end > s.Cached && begin < s.Cached && s.Positions[s.Cached - 1] != s.Cached - 1) return false;
        ReadOnlySpan<int> slots = s.Slots.AsSpan(begin, Tile);
        int first = slots[0];
        if (first % Step != 0) return false;
        Vector512<int> expected = Vector512<int>.Indices + Vector512.Create(first);
        for (int group = 0; group < Groups; group++, expected += Vector512.Create(Step))
            if (!Vector512.EqualsAll(Vector512.Create(slots[(group * Step)..]), expected)) return false;
        place = GroupOffset(first, kvHead);
        return true;
    }

    /// <summary>Finds where a tile of a part begins, or, after its last one, one as far into the next part; gives false where there is none: asking for what is there already costs no memory's time.</summary>
    [MethodImpl(KernelCode)]
    private bool FindPlace(in AttentionItem item, int tile, int last, int kvHead, (int Item, int Span, int KvHead) next, out long place)
    {
        if (tile <= last) return FindPlace(in item, tile, kvHead, out place);
        place = 0;
        if (next.Item < 0) return false;
        ref readonly AttentionItem other = ref _plan.Item(next.Item);
        return FindPlace(in other, FirstTile(in other, next.Span) + tile - last - 1, next.KvHead, out place);
    }

    private bool FindPlace(in AttentionItem item, int tile, int kvHead, out long place)
    {
        ref readonly AttentionSequence s = ref _plan.Sequence(item.Sequence);
        int index = LowerBound(s.Positions, s.Cached, tile * Tile);
        bool isThere = index < s.Cached + item.First + item.Rows;
        place = isThere ? GroupOffset(s.Slots[index], kvHead) : 0;
        return isThere;
    }
}
