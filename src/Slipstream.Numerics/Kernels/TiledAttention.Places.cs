using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <content>Which places of a tile are seen, where their rows lie, and how they become readable.</content>
internal readonly unsafe ref partial struct TiledAttention
{
    // SAFETY: (all below) slots are the store's, places are those of a tile, and the scratch has room for a tile.
    private int WindowStart(int position) => _window == 0 ? 0 : Math.Max(0, position - _window + 1);

    private static (int From, int To) CachedRange(in AttentionSequence s, int begin, int end)
        => (LowerBound(s.Positions, s.Cached, begin), LowerBound(s.Positions, s.Cached, end));

    private static int LowerBound(int[] positions, int count, int position)
    {
        // Without evictions a row's index is its position.
        if (position >= 0 && position < count && positions[position] == position) return position;
        int low = 0, high = count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (positions[middle] < position) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    /// <summary>Rows of the batch in the tile that at least one row of the item sees.</summary>
    private int CountVisible(in AttentionSequence s, in AttentionItem item, int begin)
    {
        int count = 0;
        for (int j = 0; j < item.First + item.Rows; j++)
        {
            int position = s.Positions[s.Cached + j];
            if (position < begin || position >= begin + Tile) continue;
            for (int r = Math.Max(0, j - item.First); r < item.Rows; r++)
            {
                int row = item.First + r;
                if (position < WindowStart(s.Positions[s.Cached + row]) || !Sees(in s, row, j)) continue;
                count++;
                break;
            }
        }
        return count;
    }

    private bool Sees(in AttentionSequence s, int row, int other) => (_plan.Ancestors(in s, row)[other / 64] >> (other % 64) & 1) != 0;

    /// <summary>The bits [−first, 64 − first) of a row's ancestors: those whose places in the tile are 0 to 63.</summary>
    private static ulong Bits(ReadOnlySpan<ulong> ancestors, int first)
    {
        if (first >= 0) return ancestors[0] << first;
        int word = -first / 64, shift = -first % 64;
        if (word >= ancestors.Length) return 0;
        ulong low = ancestors[word] >> shift;
        return shift == 0 || word + 1 == ancestors.Length ? low : low | ancestors[word + 1] << (64 - shift);
    }

    /// <summary>The bits from <paramref name="place"/> on.</summary>
    private static ulong From(int place) => place <= 0 ? ulong.MaxValue : place >= Tile ? 0 : ulong.MaxValue << place;

    /// <summary>Where a slot's row begins, in bytes.</summary>
    private long Offset(int slot, int kvHead) => (slot & _chunkMask) * _rowBytes + (slot >> _chunkShift) * _chunkBytes + kvHead * _headStride;

    private void Offsets(ReadOnlySpan<int> slots, int kvHead, long* offsets)
    {
        int i = 0;
        if (Vector512.IsHardwareAccelerated)
            for (; i + 8 <= slots.Length; i += 8)
            {
                Vector512<long> slot = Vector512.WidenLower(Vector256.Create(slots[i..]).ToVector512Unsafe());
                ((slot & Vector512.Create((long)_chunkMask)) * _rowBytes + (slot >> _chunkShift) * _chunkBytes + Vector512.Create(kvHead * _headStride)).Store(offsets + i);
            }
        for (; i < slots.Length; i++) offsets[i] = Offset(slots[i], kvHead);
    }

    /// <summary>Makes the wanted places of the tile readable, where they are not yet: floats lie where they are, all else is widened.</summary>
    [MethodImpl(KernelCode)]
    private void Pack(ulong wanted, ref ulong packed, int kvHead, ref AttentionWork work)
    {
        if (_inPlace)
        {
            // A place that is not wanted stands for one that is: it is not seen, but it is read.
            Offsets(new ReadOnlySpan<int>(work.Slots, Tile), kvHead, work.Offsets);
            long any = work.Offsets[BitOperations.TrailingZeroCount(wanted)];
            for (ulong missing = ~wanted; missing != 0; missing &= missing - 1) work.Offsets[BitOperations.TrailingZeroCount(missing)] = any;
            return;
        }
        if (_isPaired)
        {
            FindGroups(wanted, kvHead, ref work);
            return;
        }
        if (_rounds)
        {
            PackRounded(wanted, ref packed, kvHead, ref work);
            return;
        }
        int count = List(wanted, packed, kvHead, ref work);
        packed |= wanted;
        AttentionPacking.Unpack(_type, _keys, work.ListOffsets, work.ListLanes, count, _headSize, work.Keys, _scratch.UsesEmitted);
        AttentionPacking.Unpack(_type, _values, work.ListOffsets, work.ListLanes, count, _headSize, work.Values, _scratch.UsesEmitted);
    }

    /// <summary>Lists the wanted places that are not there yet.</summary>
    private int List(ulong wanted, ulong packed, int kvHead, ref AttentionWork work)
    {
        int count = 0;
        if (packed == 0 && (wanted & (wanted + 1)) == 0)
        {
            // All places from the first on, as in every tile but the last of a chain.
            count = BitOperations.PopCount(wanted);
            ReadOnlySpan<int> slots = new(work.Slots, count);
            Offsets(slots, kvHead, work.ListOffsets);
            slots.CopyTo(new Span<int>(work.Packed, count));
            new ReadOnlySpan<int>(work.Identity, count).CopyTo(new Span<int>(work.ListLanes, count));
            return count;
        }
        for (ulong want = wanted; want != 0; want &= want - 1)
        {
            int i = BitOperations.TrailingZeroCount(want);
            if ((packed >> i & 1) != 0 && work.Packed[i] == work.Slots[i]) continue;
            work.ListLanes[count] = i;
            work.ListOffsets[count++] = Offset(work.Packed[i] = work.Slots[i], kvHead);
        }
        return count;
    }
}
