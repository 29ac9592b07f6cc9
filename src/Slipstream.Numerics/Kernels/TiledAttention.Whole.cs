using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <content>Tiles of a cache of bfloat16 that lie in one piece and that every row of an item sees whole, as most tiles of a long sequence: nothing is looked up row by row, and the matrix unit takes those of a span together.</content>
internal readonly unsafe ref partial struct TiledAttention
{
    // While a tile is worked on, the keys of the tile after the next are asked for and the values of the next: the next one's keys are in use by then (AmxSpanKernels).
    private const int KeysAhead = 2, ValuesAhead = 1;

    /// <summary>The most spans that the matrix unit takes in one call: between them it need not wait for scores.</summary>
    public const int MostSpansTogether = 8;

    private bool TakesWhole => _isPaired && _unit == AttentionUnit.Tiles && AmxSpanKernels.Takes(_stride);

    /// <summary>Attends over whole tiles of a span from one on; gives how many they were, 0 where the first is not whole.</summary>
    // SAFETY: (all below) slots are the store's, whose groups are whole and stay; the scratch has room for blocks of sixteen rows.
    [MethodImpl(KernelCode)]
    private int AttendWhole(in AttentionItem item, int tile, int last, int kvHead, (int Item, int Span, int KvHead) next, ref AttentionWork work)
    {
        if (!_isPaired || work.RowByRow) return 0;
        if (!TakesWhole)
        {
            if (!IsWhole(in _plan.Sequence(item.Sequence), in item, tile * Tile, kvHead, out long place)) return 0;
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
        Unsafe.SkipInit(out WholeTiles places);
        SpanTile* tiles = (SpanTile*)&places;
        int count = FindWhole(in item, tile, last, kvHead, tiles);
        for (int i = 0; i < count; i++) tiles[i].PutIn(in work.Span, isFirst: false);
        AttendWhole(in item, tile, last, kvHead, next, tiles, count, ref work);
        return count;
    }

    /// <summary>Attends over whole spans from one to the end of a part, as many as there is room for, and merges or leaves what they give; gives how many they were, 0 where the first has a tile that is not whole.</summary>
    [MethodImpl(KernelCode)]
    private int AttendWholeSpans(in AttentionItem item, int span, int end, bool leaves, int kvHead, (int Item, int Span, int KvHead) next, ref AttentionWork work)
    {
        if (!TakesWhole || work.RowByRow) return 0;
        // The room that one span of the most rows takes holds several of few rows.
        int count = item.Rows * _group, size = (count * (_stride + 2) + 15) / 16 * 16, room = leaves ? MostSpansTogether : Math.Max(1, _scratch.RowsPerItem * _group * _stride / size);
        int most = Math.Min(Math.Min(end - span, room), MostSpansTogether), tile = span * AttentionPlan.SpanTiles;
        Unsafe.SkipInit(out WholeTiles places);
        SpanTile* tiles = (SpanTile*)&places;
        int spans = FindWhole(in item, tile, Math.Min(tile + most * AttentionPlan.SpanTiles - 1, item.Most / Tile), kvHead, tiles) / AttentionPlan.SpanTiles;
        if (spans == 0) return 0;
        AttentionState* states = stackalloc AttentionState[MostSpansTogether];
        for (int i = 0; i < spans; i++)
        {
            // What is merged with nothing is itself.
            states[i] = leaves ? Partial(item.SpanStart + span + i, kvHead, count) : span + i == 0 ? work.Total : room == 1 ? work.Span : StateAt(work.Span.Values + (long)i * size, count);
            BeginSums(in states[i], count);
            for (int n = 0; n < AttentionPlan.SpanTiles; n++) tiles[i * AttentionPlan.SpanTiles + n].PutIn(in states[i], isFirst: n == 0);
        }
        AttendWhole(in item, tile, Math.Min(end * AttentionPlan.SpanTiles - 1, item.Most / Tile), kvHead, next, tiles, spans * AttentionPlan.SpanTiles, ref work);
        work.RowsRead += spans * AttentionPlan.SpanPositions;
        for (int i = 0; i < spans && !leaves; i++)
            if (span + i > 0) Merge(in work.Total, in states[i], count);
        return spans;
    }

    private int FindWhole(in AttentionItem item, int tile, int last, int kvHead, SpanTile* tiles)
    {
        ref readonly AttentionSequence s = ref _plan.Sequence(item.Sequence);
        int count = 0;
        for (; tile + count <= last && IsWhole(in s, in item, (tile + count) * Tile, kvHead, out long place); count++)
        {
            tiles[count].Keys = _keys + place;
            tiles[count].Values = _values + place;
        }
        return count;
    }

    [MethodImpl(KernelCode)]
    private void AttendWhole(in AttentionItem item, int tile, int last, int kvHead, (int Item, int Span, int KvHead) next, SpanTile* tiles, int count, ref AttentionWork work)
    {
        if (count == 0) return;
        for (int i = 0; i < count; i++)
        {
            tiles[i].AskKeys = i + KeysAhead < count ? tiles[i + KeysAhead].Keys : FindPlace(in item, tile + i + KeysAhead, last, kvHead, next, out long keys) ? _keys + keys : tiles[i].Keys;
            tiles[i].AskValues = i + ValuesAhead < count ? tiles[i + ValuesAhead].Values : FindPlace(in item, tile + i + ValuesAhead, last, kvHead, next, out long values) ? _values + values : tiles[i].Values;
        }
        int rows = item.Rows * _group, blocks = (rows + AttentionPairs.MaxTileRows - 1) / AttentionPairs.MaxTileRows, size = (rows + blocks - 1) / blocks, even = rows / size;
        AttendBlocks(work.QueryBits, size, even, tiles, count, ref work);
        if (even == blocks) return;
        for (int i = 0; i < count; i++) tiles[i].Skip(even * size, _stride);
        AttendBlocks(work.QueryBits + (nint)even * size * _stride, rows - even * size, 1, tiles, count, ref work);
    }

    [MethodImpl(KernelCode)]
    private void AttendBlocks(ushort* queries, int rows, int blocks, SpanTile* tiles, int count, ref AttentionWork work)
    {
        if (work.TileRows != rows) AmxAttentionKernels.Configure(work.TileRows = rows, _stride);
        SpanCall call = new()
        {
            Queries = queries, Scores = work.Scores, Keep = work.Keep, Weights = work.WeightBits, Blocks = blocks, Left = blocks * count, NextTile = tiles, Tile = tiles, NextBlocks = blocks, BlocksLeft = blocks,
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
        if (first % Step != 0 || (first & _chunkMask) > _chunkMask + 1L - Tile) return false;
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
