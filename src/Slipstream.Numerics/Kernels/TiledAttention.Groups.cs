using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <content>Tiles of a cache of bfloat16 (<see cref="CachePairs"/>), which are in the shape of the products already: a group of sixteen rows is read where it lies.</content>
internal readonly unsafe ref partial struct TiledAttention
{
    /// <summary>Where a slot's group begins, in bytes.</summary>
    // SAFETY: (all below) slots are the store's, whose groups are whole; the scratch has room for a tile.
    private long GroupOffset(int slot, int kvHead) => Offset(slot & -Step, kvHead);

    /// <summary>
    /// Finds the groups of the tile that have wanted places. Rows of a chain lie in one group, each at its place; where they do not (siblings of a tree, what came after them), the group is put together in the scratch.
    /// What else a group holds has weight zero; where each row has the tile to itself, it is zero.
    /// </summary>
    [MethodImpl(KernelCode)]
    private void FindGroups(ulong wanted, int kvHead, ref AttentionWork work)
    {
        for (int group = 0; group < Groups; group++)
        {
            int mask = (int)(wanted >> group * Step & 0xFFFF), at = group * Step * _stride / 2;
            int* slots = work.Slots + group * Step;
            if (mask == 0 && !work.RowByRow) continue;
            if (!work.RowByRow && IsInPlace(slots, mask, out int begin))
            {
                long offset = GroupOffset(begin, kvHead);
                work.KeyGroups[group] = (uint*)(_keys + offset);
                work.ValueGroups[group] = (uint*)(_values + offset);
                continue;
            }
            work.KeyGroups[group] = work.KeyPairs + at;
            work.ValueGroups[group] = work.ValuePairs + at;
            Gather(slots, mask, kvHead, work.KeyPairs + at, work.ValuePairs + at);
        }
        if (_unit == AttentionUnit.Tiles)
            for (int group = 0; group < Groups; group += AttentionPairs.TileGroups) Join(group, wanted >> group * Step, kvHead, ref work);
    }

    /// <summary>Sees to it that a group of values and the one after it follow each other, which tiles take together: where they do not in the cache, they are copied. What nobody wants of them has weight zero, whatever finite numbers it holds.</summary>
    private void Join(int group, ulong wanted, int kvHead, ref AttentionWork work)
    {
        bool wantsFirst = (wanted & 0xFFFF) != 0 || work.RowByRow, wantsSecond = (wanted & 0xFFFF_0000) != 0 || work.RowByRow;
        if (!wantsFirst && !wantsSecond) return;
        int pairs = Step * _stride / 2;
        uint* room = work.ValuePairs + group * pairs, first = work.ValueGroups[group], second = work.ValueGroups[group + 1];
        if (wantsFirst && wantsSecond ? second == first + pairs : wantsFirst ? first != room && HasGroup(first + pairs, kvHead) : second != room + pairs && HasGroup(second - pairs, kvHead))
        {
            work.ValueGroups[group] = wantsFirst ? first : second - pairs;
            return;
        }
        Put(wantsFirst, first, room);
        Put(wantsSecond, second, room + pairs);
        work.ValueGroups[group] = room;

        void Put(bool wants, uint* from, uint* to)
        {
            if (!wants) new Span<uint>(to, pairs).Clear();
            else if (from != to) new ReadOnlySpan<uint>(from, pairs).CopyTo(new Span<uint>(to, pairs));
        }
    }

    /// <summary>Whether a group of values, right before or after one of a head, is one of this head's, too.</summary>
    private bool HasGroup(uint* group, int kvHead)
    {
        long offset = (byte*)group - _values;
        if (_chunkBytes > 0) offset %= _chunkBytes;
        offset -= kvHead * _headStride;
        return offset >= 0 && offset + Step * _rowBytes <= _headStride;
    }

    /// <summary>Whether the wanted rows, at least one, lie in one group, each at its place.</summary>
    private static bool IsInPlace(int* slots, int mask, out int begin)
    {
        int first = BitOperations.TrailingZeroCount(mask);
        begin = slots[first] - first;
        Vector512<int> turn = Vector512.Create(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        return begin % Step == 0 && (mask & ~(int)Vector512.Equals(Vector512.Load(slots), turn + Vector512.Create(begin)).ExtractMostSignificantBits()) == 0;
    }

    /// <summary>Copies the wanted rows of a group to their places and zeros to the others.</summary>
    private void Gather(int* slots, int mask, int kvHead, uint* keys, uint* values)
    {
        if (mask != 0xFFFF)
        {
            new Span<uint>(keys, Step * _stride / 2).Clear();
            new Span<uint>(values, Step * _stride / 2).Clear();
        }
        for (; mask != 0; mask &= mask - 1)
        {
            int place = BitOperations.TrailingZeroCount(mask), row = slots[place] % Step;
            long offset = GroupOffset(slots[place], kvHead);
            uint* key = (uint*)(_keys + offset) + row, toKey = keys + place;
            for (int i = 0; i < _stride / 2; i++) toKey[i * Step] = key[i * Step];
            ushort* value = (ushort*)(_values + offset) + row / 2 * 2 * _stride + row % 2, toValue = (ushort*)values + place / 2 * 2 * _stride + place % 2;
            for (int i = 0; i < 2 * _stride; i += 2) toValue[i] = value[i];
        }
    }
}
