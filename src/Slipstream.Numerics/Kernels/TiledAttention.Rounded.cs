using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <content>A tile in bfloat16 (<see cref="AttentionPairs"/>): brought into shape once for all query rows of an item.</content>
internal readonly unsafe ref partial struct TiledAttention
{
    // Rows that are brought into shape together.
    private const int Step = CachePairs.GroupRows, Groups = Tile / Step;

    // Places that the products of values take together.
    private int ValueStep => _unit == AttentionUnit.Tiles ? AttentionPairs.TileGroups * Step : Step;

    /// <summary>Makes the wanted places of the tile pairs of bfloat16, where they are not yet.</summary>
    // SAFETY: (all below) slots are the store's, places are those of a tile, and the scratch has room for a tile in each form.
    [MethodImpl(KernelCode)]
    private void PackRounded(ulong wanted, ref ulong packed, int kvHead, ref AttentionWork work)
    {
        ulong after = work.RowByRow ? wanted : packed | wanted;
        int count = List(wanted, packed, kvHead, ref work);
        if (count == 0 && packed == after) return;
        bool isFirst = packed == 0;
        packed = after;
        byte* keys = _keys, values = _values;
        long* offset = work.ListOffsets, valueOffset = offset;
        int step = ValueStep, first = BitOperations.TrailingZeroCount(after) & ~(step - 1), end = (Tile + step - 1 - BitOperations.LeadingZeroCount(after)) & ~(step - 1);
        if (!_isWhole)
        {
            AttentionPacking.Unpack(_type, _keys, work.ListOffsets, work.ListLanes, count, _headSize, work.Keys, _scratch.UsesEmitted);
            AttentionPacking.Unpack(_type, _values, work.ListOffsets, work.ListLanes, count, _headSize, work.Values, _scratch.UsesEmitted);
            Ask(in work);
            keys = (byte*)work.Keys;
            values = (byte*)work.Values;
            offset = valueOffset = work.Offsets;
        }
        // A weight of zero takes any finite value out of a result; what no row sees may hold others, and is zero here.
        ulong unseen = ~after & From(first) & ~From(end);
        if (!isFirst || first > 0 || unseen != 0 || !_isWhole)
        {
            for (int i = first; i < end; i++)
            {
                bool isSeen = (unseen >> i & 1) == 0;
                long place = _isWhole ? Offset(work.Packed[i], kvHead) : work.Offsets[i];
                work.KeyOffsets[i] = isSeen ? place : (byte*)work.Zeros - keys;
                work.ValueOffsets[i] = isSeen ? place : (byte*)work.Zeros - values;
            }
            offset = work.KeyOffsets;
            valueOffset = work.ValueOffsets;
        }
        // The next tile mostly lies as this one does, so many bytes on.
        work.Ahead = work.Asks && _isWhole && work.NextRows > 0 ? (nint)(work.NextOffsets[0] - offset[first]) : 0;
        AttentionPairs.PairColumns(keys, offset, first, end, _stride, work.Bits, work.KeyPairs, _unit != AttentionUnit.Compiled, work.Ahead);
        // Values wait for their weights: there is no room for all of it in the first-level cache.
        (work.FirstValue, work.EndValue) = (first, end);
        work.ValueBase = values;
        work.ValuePlaces = valueOffset;
        work.Asks = false;
    }

    /// <summary>Makes pairs of the values of the tile, where that waits to be done.</summary>
    private void PackValues(ref AttentionWork work)
    {
        if (work.FirstValue == work.EndValue) return;
        AttentionPairs.PairRows(work.ValueBase, work.ValuePlaces, work.FirstValue, work.EndValue, _stride, work.Bits, work.ValuePairs, _unit != AttentionUnit.Compiled, work.Ahead);
        work.FirstValue = work.EndValue;
    }

    /// <summary>Asks for the rows of the next tile, if rows are asked for at all: those that are not read where they lie, and so not asked for line by line.</summary>
    private void Ask(in AttentionWork work)
    {
        if (!work.Asks) return;
        RowsAhead keys = new(_keys, work.NextOffsets, work.NextRows, (int)_rowBytes), values = new(_values, work.NextOffsets, work.NextRows, (int)_rowBytes);
        for (int i = 0; i < work.NextRows; i++) keys.Ask(i);
        for (int i = 0; i < work.NextRows; i++) values.Ask(i);
    }

    /// <summary>Adds the tile to the query rows [from, to) of the item.</summary>
    [MethodImpl(KernelCode)]
    private void AttendRounded(int from, int to, ref AttentionWork work)
    {
        // Blocks are as even as can be: tiles are configured for a number of rows, and doing so takes longer than the products of a small block.
        bool tiles = _unit == AttentionUnit.Tiles;
        int most = tiles ? AttentionPairs.MaxTileRows : AttentionPairs.MaxRows, blocks = (to - from + most - 1) / most, size = (to - from + blocks - 1) / blocks, step = ValueStep;
        // Four lines with each pair are a whole tile of the cache: the next one is shared out among the blocks, in order.
        int asks = !_isPaired || !work.Asks || work.NextRows <= 0 ? 0 : blocks == 1 ? 4 : blocks < 4 ? 2 : 1, left = asks > 0 ? 4 / asks : 0;
        long ask = asks > 0 ? work.NextOffsets[0] : 0;
        // Values are added when the next block has its weights: so the processor goes on with products while it makes weights, which is one long chain.
        int pending = 0, pendingAsks = 0, turn = 0;
        ValueCall values = default;
        for (int q = from; q < to; q += size)
        {
            int rows = Math.Min(size, to - q);
            ulong any = 0;
            for (int i = 0; i < rows; i++) any |= work.Masks[q + i];
            if (any == 0) continue;
            if (tiles && work.TileRows != rows)
            {
                if (pending > 0) AttentionPairs.AddValues(pending, _stride, values, _unit, pendingAsks);
                pending = 0;
                AmxAttentionKernels.Configure(work.TileRows = rows, _stride);
            }
            int first = BitOperations.TrailingZeroCount(any) / step * (step / Step), end = (Tile + step - 1 - BitOperations.LeadingZeroCount(any)) / step * (step / Step);
            ushort* weights = work.WeightBits + turn * Tile * AttentionPairs.MaxTileRows;
            float* keep = work.Keep + turn * AttentionPairs.MaxTileRows;
            turn ^= 1;
            ScoreCall scores = new()
            {
                Queries = (uint*)(work.QueryBits + (nint)q * _stride), QueryBytes = _stride * sizeof(ushort), Keys = work.KeyGroups, Pairs = _stride / 2, Ask = _keys + ask,
                Masks = work.Masks + q, Max = work.Span.Max + q, Sum = work.Span.Sum + q, Keep = keep, Weights = weights, Scores = work.Scores,
            };
            AttentionPairs.Weigh(rows, end, scores, _unit, asks);
            if (pending > 0) AttentionPairs.AddValues(pending, _stride, values, _unit, pendingAsks);
            else PackValues(ref work);
            values = new ValueCall
            {
                Weights = (uint*)weights + first * (Step / 2), WeightBytes = Tile * sizeof(ushort), Values = work.ValueGroups + first, RowBytes = _stride * sizeof(uint), Groups = end - first,
                Results = work.Span.Values + (nint)q * _stride, ResultBytes = _stride * sizeof(float), Keep = keep, Ask = _values + ask,
            };
            (pending, pendingAsks) = (rows, asks);
            ask += _stride / 2 * Lines.Bytes * asks;
            if (--left == 0) asks = 0;
        }
        if (pending > 0) AttentionPairs.AddValues(pending, _stride, values, _unit, pendingAsks);
        work.Asks = false;
    }

    /// <summary>Rounds the item's queries.</summary>
    private void RoundQueries(int count, ref AttentionWork work)
        => BF16.Encode(new ReadOnlySpan<float>(work.Queries, count * _stride), MemoryMarshal.AsBytes(new Span<ushort>(work.QueryBits, count * _stride)));
}
