using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <summary>
/// Attention over tiles of 64 original positions with an online softmax (Dao et al., arXiv:2205.14135; Milakov and Gimelshein, arXiv:1805.02867),
/// for multi-head, grouped-query (arXiv:2305.13245) and multi-query attention, windows and draft trees.
/// </summary>
/// <remarks>
/// <para>
/// The order of accumulation depends on positions alone: a tile is the positions [64 t, 64 t + 64), a row sits in its tile at position mod 64, a score is added up as in every product (<see cref="Lanes"/>; in bfloat16 <see cref="AttentionPairs"/>),
/// a result in one chain of fused additions over the seen rows of the span in ascending position; four tiles are a span, spans are merged in ascending order, and a tile with no visible row is skipped.
/// So block size, chunking, batching, threads and the splitting of positions over threads (arXiv:2311.01282) cannot change a bit.
/// </para>
/// <para>
/// An item is some rows of one sequence and one key-value head. A tile is widened once for all rows and query heads of the item (<see cref="AttentionPacking"/>);
/// floats are read where they lie, unless they are rounded, and so is bfloat16 where a group of sixteen rows lies together (<see cref="CachePairs"/>). A row that is not seen takes no part in a result, whatever it holds.
/// </para>
/// </remarks>
internal readonly unsafe ref partial struct TiledAttention : IRangeJob
{
    /// <summary>Positions in a tile.</summary>
    public const int Tile = 64;

    private const MethodImplOptions KernelCode = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    // A row is asked for while the rows before it are worked on, by the first query rows that go over them; where there are many, the processor keeps up by itself with floats, which take twice as long.
    private const int MostQueriesToAsk = 32;

    private readonly AttentionPlan _plan;
    private readonly AttentionScratch _scratch;
    private readonly ReadOnlySpan<float> _queries;
    private readonly Span<float> _output;
    private readonly byte* _keys, _values;
    private readonly CacheType _type;
    private readonly int _group, _kvHeads, _headSize, _stride, _queryStride, _outputStride, _window, _partialStride;
    private readonly long _rowBytes, _headStride, _chunkBytes;
    private readonly int _chunkShift, _chunkMask;
    private readonly float _scale;
    private readonly bool _split, _inPlace, _isWhole, _isPaired, _rounds;
    private readonly AttentionUnit _unit;
    private readonly ComputeCounters _counters;

    /// <summary>Describes one layer's attention.</summary>
    /// <param name="plan">Who sees whom.</param>
    /// <param name="scratch">Memory to work in; one job uses it at a time.</param>
    /// <param name="queries"><c>[rows, heads · headSize]</c>, rotated.</param>
    /// <param name="keys">The layer's keys, <c>[kvHeads, slots, headSize]</c> in the first chunk and on to the end of the last, each head's as <see cref="CacheRows"/> or <see cref="CachePairs"/> stores it: what one head reads lies together.</param>
    /// <param name="values">The layer's values, the same shape.</param>
    /// <param name="type">How keys and values are stored.</param>
    /// <param name="output"><c>[rows, heads · headSize]</c>, overwritten.</param>
    /// <param name="kvHeads">Key-value heads.</param>
    /// <param name="scale">Factor of the scores, usually 1 / √headSize.</param>
    /// <param name="window">Positions a row sees, itself included; 0 for all.</param>
    /// <param name="counters">Receives the bytes read.</param>
    /// <param name="rounds">Whether queries, keys, weights and values are rounded to bfloat16 (<see cref="AttentionPairs"/>); over a cache of bfloat16 they are in any case.</param>
    /// <param name="chunks">How the slots are parted; in a single chunk <paramref name="keys"/> and <paramref name="values"/> are all of the layer's.</param>
    public TiledAttention(AttentionPlan plan, AttentionScratch scratch, Matrix queries, ByteRegion keys, ByteRegion values, CacheType type, Matrix output, int kvHeads, float scale, int window, ComputeCounters counters, bool rounds = false,
        CacheChunks chunks = default)
    {
        _plan = plan;
        _scratch = scratch;
        _queries = queries.Data;
        _output = output.Data;
        _keys = keys.Pointer;
        _values = values.Pointer;
        _type = type;
        _kvHeads = kvHeads;
        (_group, _headSize, _stride) = (scratch.Group, scratch.HeadSize, scratch.Stride);
        _rowBytes = CacheRows.HeadBytes(type, _headSize);
        _headStride = chunks.Rows == 0 ? keys.Length / kvHeads : chunks.Rows * _rowBytes;
        (_chunkShift, _chunkMask, _chunkBytes) = (chunks.Shift, (int)((1L << chunks.Shift) - 1), chunks.Bytes);
        _queryStride = queries.Stride;
        _outputStride = output.Stride;
        _window = window;
        _counters = counters;
        _isWhole = type == CacheType.F32 && _stride == _headSize;
        _isPaired = type == CacheType.Bf16;
        _rounds = rounds || _isPaired;
        _inPlace = _isWhole && !_rounds;
        _scale = _rounds ? scale * PowerOfTwo.Log2E : scale;
        _unit = scratch.Unit;
        _partialStride = (plan.MostRows * _group * (_stride + 2) + 15) / 16 * 16;
        _split = plan.SpanCount > plan.ItemCount && plan.ItemCount * kvHeads < scratch.ItemsToSplit && (long)plan.SpanCount * kvHeads * _partialStride <= scratch.PartialLength;
        if (_split) scratch.Done[..(plan.ItemCount * kvHeads)].Clear();
    }

    /// <summary>Items of work: one for each item of the plan and key-value head; where these are few, one for each of their spans.</summary>
    public int Count => (_split ? _plan.SpanCount : _plan.ItemCount) * _kvHeads;

    /// <inheritdoc/>
    public void Execute(int from, int to, int worker)
    {
        AttentionWork work = _scratch.Worker(worker);
        work.QueriesOf = (-1, -1);
        for (int i = 0; i < Tile && !_inPlace; i++) work.Offsets[i] = (long)i * _stride * sizeof(float);
        // SAFETY: the spans' memory cannot move or go while it is fixed; every index below comes from the plan, whose slots the store gave out.
        fixed (float* queries = _queries)
        fixed (float* output = _output)
            for (int i = from, count; i < to; i += count)
            {
                (int Item, int Span, int KvHead) part = Part(i);
                ref readonly AttentionItem item = ref _plan.Item(part.Item);
                // Spans of an item that follow each other go together.
                count = _split ? Math.Min(to - i, item.Spans - part.Span) : 1;
                AttendSpans(part, _split ? count : item.Spans, i + count < Count ? Part(i + count) : None, queries, output, ref work);
            }
        _counters.AddKv(worker, work.RowsRead * _rowBytes * 2);
        if (work.TileRows > 0) AmxTiles.Release();
    }

    // What comes after the last part.
    private static (int, int, int) None => (-1, 0, 0);

    /// <summary>What a piece of work is: an item, its first span and a key-value head.</summary>
    private (int Item, int Span, int KvHead) Part(int index)
    {
        // The last rows see most: what is left for the end is small.
        if (!_split) return (_plan.ItemCount - 1 - index / _kvHeads, 0, index % _kvHeads);
        // One head after the other: what it reads lies together.
        int span = index % _plan.SpanCount, item = _plan.ItemOfSpan(span);
        return (item, span - _plan.Item(item).SpanStart, index / _plan.SpanCount);
    }

    private void AttendSpans((int Item, int Span, int KvHead) part, int spans, (int Item, int Span, int KvHead) next, float* queries, float* output, ref AttentionWork work)
    {
        (int index, int first, int kvHead) = part;
        ref readonly AttentionItem item = ref _plan.Item(index);
        int count = item.Rows * _group;
        LoadQueries(index, kvHead, queries, ref work);
        AttentionState spare = work.Span;
        for (int span = first, whole; span < first + spans; span += whole)
        {
            work.Span = spare;
            whole = AttendWholeSpans(in item, span, first + spans, first > 0, kvHead, next, ref work);
            if (whole > 0) continue;
            whole = 1;
            // What is merged with nothing is itself.
            if (span == 0) work.Span = work.Total;
            Begin(in work.Span, count);
            AttendSpan(in item, span, kvHead, span + 1 < first + spans ? (index, span + 1, kvHead) : next, ref work);
            if (first > 0) Leave(Partial(item.SpanStart + span, kvHead, count), in work.Span, count);
            else if (span > 0) Merge(in work.Total, in work.Span, count);
        }
        work.Span = spare;
        if (spans < item.Spans)
        {
            // Whoever comes last merges, in ascending order, what all have left; the first spans are merged already.
            if (first == 0)
            {
                Leave(Partial(item.SpanStart, kvHead, count), in work.Total, count);
                for (int span = 1; span < spans; span++) LeaveNothing(Partial(item.SpanStart + span, kvHead, count), count);
            }
            if (Interlocked.Add(ref _scratch.Done[index * _kvHeads + kvHead], spans) < item.Spans) return;
            Begin(in work.Total, count);
            for (int span = 0; span < item.Spans; span++) Merge(in work.Total, Partial(item.SpanStart + span, kvHead, count), count);
        }
        Finish(in part, next, queries, output, ref work);
    }

    /// <summary>Writes the result of an item; where it is not finite in bfloat16, the item is attended for once more, so that what one row sees does not reach another.</summary>
    private void Finish(in (int Item, int Span, int KvHead) part, (int Item, int Span, int KvHead) next, float* queries, float* output, ref AttentionWork work)
    {
        if (Finish(in _plan.Item(part.Item), part.KvHead, in work.Total, output) || !_rounds || work.RowByRow) return;
        work.RowByRow = true;
        AttendSpans(part with { Span = 0 }, _plan.Item(part.Item).Spans, next, queries, output, ref work);
        work.RowByRow = false;
    }

    private void LoadQueries(int index, int kvHead, float* queries, ref AttentionWork work)
    {
        // Spans of an item mostly follow each other.
        if (work.QueriesOf == (index, kvHead)) return;
        work.QueriesOf = (index, kvHead);
        ref readonly AttentionItem item = ref _plan.Item(index);
        LoadQueries(in item, kvHead, queries, work.Queries);
        if (_rounds) RoundQueries(item.Rows * _group, ref work);
    }

    [MethodImpl(KernelCode)]
    private void LoadQueries(in AttentionItem item, int kvHead, float* queries, float* scaled)
    {
        long first = _plan.Sequence(item.Sequence).FirstRow + item.First;
        for (int r = 0; r < item.Rows; r++)
            for (int h = 0; h < _group; h++)
            {
                float* from = queries + (first + r) * _queryStride + (long)(kvHead * _group + h) * _headSize, to = scaled + (long)(r * _group + h) * _stride;
                int d = 0;
                for (; d + 8 <= _headSize; d += 8) (Vector256.Load(from + d) * _scale).Store(to + d);
                for (; d < _headSize; d++) to[d] = from[d] * _scale;
                for (; d < _stride; d++) to[d] = 0;
            }
    }

    [MethodImpl(KernelCode)]
    private void AttendSpan(in AttentionItem item, int span, int kvHead, (int Item, int Span, int KvHead) next, ref AttentionWork work)
    {
        ref readonly AttentionSequence s = ref _plan.Sequence(item.Sequence);
        int from = FirstTile(in item, span);
        int to = Math.Min(span * AttentionPlan.SpanPositions + AttentionPlan.SpanPositions - 1, item.Most) / Tile;
        for (int tile = from; tile <= to; tile++)
        {
            if (AttendWhole(in item, tile, to, kvHead, next, ref work) is > 0 and int whole)
            {
                work.RowsRead += whole * Tile;
                tile += whole - 1;
                continue;
            }
            int begin = tile * Tile, end = begin + Tile;
            work.Asks = _isPaired || item.Rows * _group <= MostQueriesToAsk;
            FindNext(in item, tile, to, kvHead, next, ref work);
            (int cached0, int cached1) = CachedRange(in s, begin, end);
            ulong cached = 0;
            if (cached1 - cached0 == Tile)
            {
                cached = ulong.MaxValue;
                s.Slots.AsSpan(cached0, Tile).CopyTo(new Span<int>(work.Slots, Tile));
            }
            else
                for (int c = cached0; c < cached1; c++)
                {
                    int place = s.Positions[c] - begin;
                    work.Slots[place] = s.Slots[c];
                    cached |= 1UL << place;
                }
            if (end <= s.FirstPosition || s.IsChain) work.RowsRead += AttendChain(in s, in item, begin, cached, kvHead, ref work);
            else work.RowsRead += AttendTree(in s, in item, begin, cached, kvHead, ref work);
        }
    }

    private int FirstTile(in AttentionItem item, int span) => Math.Max(span * AttentionPlan.SpanPositions, WindowStart(item.Least)) / Tile;

    /// <summary>Finds the rows of the tile that comes after one of a part, to ask for them.</summary>
    private void FindNext(in AttentionItem item, int tile, int last, int kvHead, (int Item, int Span, int KvHead) next, ref AttentionWork work)
    {
        work.NextRows = 0;
        if (work.Asks && tile < last) FindNext(in item, (tile + 1) * Tile, kvHead, ref work);
        else if (work.Asks && next.Item >= 0) FindNext(in _plan.Item(next.Item), FirstTile(in _plan.Item(next.Item), next.Span) * Tile, next.KvHead, ref work);
    }

    /// <summary>Finds the rows of the tile that comes next. A row left out or too many costs time, no more.</summary>
    [MethodImpl(KernelCode)]
    private void FindNext(in AttentionItem item, int begin, int kvHead, ref AttentionWork work)
    {
        ref readonly AttentionSequence s = ref _plan.Sequence(item.Sequence);
        int first = LowerBound(s.Positions, s.Cached, begin);
        work.NextRows = Math.Min(Tile, s.Cached + item.First + item.Rows - first);
        if (_isPaired)
        {
            if (work.NextRows > 0) work.NextOffsets[0] = GroupOffset(s.Slots[first], kvHead);
            return;
        }
        Offsets(s.Slots.AsSpan(first, work.NextRows), kvHead, work.NextOffsets);
    }

    /// <summary>A tile in which every position has one row: all rows of the item share it. Returns the rows read.</summary>
    [MethodImpl(KernelCode)]
    private int AttendChain(in AttentionSequence s, in AttentionItem item, int begin, ulong cached, int kvHead, ref AttentionWork work)
    {
        int first = s.FirstPosition - begin;
        if (first < Tile)
            for (int j = Math.Max(0, -first); j < s.Rows && first + j < Tile; j++) work.Slots[first + j] = s.Slots[s.Cached + j];
        ulong seen = 0;
        for (int r = 0; r < item.Rows; r++)
        {
            int row = item.First + r;
            ulong mask = cached | (first < Tile ? Bits(_plan.Ancestors(in s, row), first) : 0);
            mask &= From(WindowStart(s.Positions[s.Cached + row]) - begin);
            seen |= mask;
            for (int h = 0; h < _group; h++) work.Masks[r * _group + h] = mask;
        }
        if (seen == 0) return 0;
        ulong packed = 0;
        for (int r = 0; r < item.Rows && work.RowByRow; r++)
        {
            ulong mask = work.Masks[r * _group];
            if (mask == 0) continue;
            Pack(mask, ref packed, kvHead, ref work);
            Attend(r * _group, (r + 1) * _group, ref work);
        }
        if (work.RowByRow) return BitOperations.PopCount(seen);
        Pack(seen, ref packed, kvHead, ref work);
        Attend(0, item.Rows * _group, ref work);
        return BitOperations.PopCount(seen);
    }

    /// <summary>A tile with rows of a tree, where siblings share a position: one row after the other; what the last one had in place stays there. Returns the rows read, each once.</summary>
    private int AttendTree(in AttentionSequence s, in AttentionItem item, int begin, ulong cached, int kvHead, ref AttentionWork work)
    {
        ulong packed = 0, seen = 0;
        for (int r = 0; r < item.Rows; r++)
        {
            int row = item.First + r;
            ulong mask = cached, window = From(WindowStart(s.Positions[s.Cached + row]) - begin);
            for (int j = 0; j <= row; j++)
            {
                int place = s.Positions[s.Cached + j] - begin;
                if ((uint)place >= Tile || !Sees(in s, row, j)) continue;
                work.Slots[place] = s.Slots[s.Cached + j];
                mask |= 1UL << place;
            }
            mask &= window;
            seen |= cached & window;
            if (mask == 0) continue;
            for (int h = 0; h < _group; h++) work.Masks[r * _group + h] = mask;
            Pack(mask, ref packed, kvHead, ref work);
            Attend(r * _group, (r + 1) * _group, ref work);
        }
        return BitOperations.PopCount(seen) + CountVisible(in s, in item, begin);
    }

    /// <summary>Adds the tile to the query rows [from, to) of the item.</summary>
    [MethodImpl(KernelCode)]
    private void Attend(int from, int to, ref AttentionWork work)
    {
        if (_rounds)
        {
            AttendRounded(from, to, ref work);
            return;
        }
        byte* keys = _inPlace ? _keys : (byte*)work.Keys;
        int blocks = (to - from + AttentionScores.MaxRows - 1) / AttentionScores.MaxRows, size = (to - from + blocks - 1) / blocks;
        for (int q = from, pass = 0; q < to; q += size, pass += 2)
        {
            int rows = Math.Min(size, to - q);
            ulong any = 0, all = ulong.MaxValue;
            for (int i = 0; i < rows; i++)
            {
                ulong mask = work.Masks[q + i];
                any |= mask;
                all &= mask;
            }
            if (any == 0) continue;
            int count = (Tile - BitOperations.LeadingZeroCount(any) + 15) / 16 * 16;
            AttentionScores.Multiply(rows, work.Queries + (long)q * _stride, keys, work.Offsets, count, _stride, work.Scores, Ahead(pass, 2 * blocks, in work));
            AttentionSoftmax.Step<Exponential>(rows, work.Scores, work.Masks + q, work.Span.Max + q, work.Span.Sum + q, work.Keep);
            AddValues(q, rows, any, all, Ahead(pass + 1, 2 * blocks, in work), ref work);
        }
        work.Asks = false;
    }

    /// <summary>What to ask for in each pass over a tile: the next tile's keys and values; or, where a tile is used in place, first its own values and then the next tile's keys.</summary>
    [MethodImpl(KernelCode)]
    private RowsAhead Ahead(int pass, int passes, in AttentionWork work)
    {
        if (!work.Asks) return default;
        if (_inPlace && pass == 0) return new RowsAhead(_values, work.Offsets, Tile, (int)_rowBytes);
        RowsAhead next = new(_inPlace || 2 * pass < passes ? _keys : _values, work.NextOffsets, work.NextRows, (int)_rowBytes);
        return _inPlace ? next.Share(pass - 1, passes - 1) : next.Share(pass % (passes / 2), passes / 2);
    }

    [MethodImpl(KernelCode)]
    private void AddValues(int q, int rows, ulong any, ulong all, RowsAhead ahead, ref AttentionWork work)
    {
        // What every row of the block sees is added for all together, if it comes before what only some see: each row's order is ascending either way.
        bool together = all != 0 && (any == all || BitOperations.TrailingZeroCount(any & ~all) > BitOperations.Log2(all));
        if (together) AddValues(q, rows, 0, all, work.Keep, in ahead, ref work);
        if (any == all) return;
        for (int i = 0; i < rows; i++)
        {
            ulong mask = work.Masks[q + i];
            if (together) (mask, work.Keep[i]) = (mask & ~all, 1);
            if (mask != 0) AddValues(q + i, 1, i, mask, work.Keep + i, together || i > 0 ? default : ahead, ref work);
        }
    }

    [MethodImpl(KernelCode)]
    private void AddValues(int q, int rows, int scoreRow, ulong mask, float* keep, in RowsAhead ahead, ref AttentionWork work)
    {
        int count = BitOperations.PopCount(mask), first = BitOperations.TrailingZeroCount(mask);
        int* lanes = work.Identity + first;
        long* offsets = work.Offsets + first;
        if (Tile - BitOperations.LeadingZeroCount(mask) - first != count)
        {
            lanes = work.ListLanes;
            offsets = work.ListOffsets;
            for (int n = 0; mask != 0; mask &= mask - 1, n++)
            {
                lanes[n] = BitOperations.TrailingZeroCount(mask);
                offsets[n] = work.Offsets[lanes[n]];
            }
        }
        byte* values = _inPlace ? _values : (byte*)work.Values;
        WeightedValues.Add(rows, _stride, work.Scores + scoreRow * Tile, Tile, lanes, values, offsets, count, work.Span.Values + (long)q * _stride, _stride, keep, in ahead);
    }
}
