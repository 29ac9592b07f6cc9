using System.Buffers;

namespace Slipstream.Models;

/// <summary>Applies merges to the symbols of a word, lowest rank first and of equal ranks the leftmost.</summary>
/// <remarks>A heap of candidates over a linked list: n log n, so that a word of 100,000 letters is no trap.</remarks>
internal static class BpeMerger
{
    /// <summary>Merges in place; a symbol that went into its left neighbour gets width 0.</summary>
    /// <param name="ranks">Rank of each pair of ids.</param>
    /// <param name="merges">The merges by rank.</param>
    /// <param name="ids"><c>[count]</c>.</param>
    /// <param name="widths"><c>[count]</c>, above 0.</param>
    /// <param name="count">Number of symbols.</param>
    /// <returns>How many symbols are left.</returns>
    public static int Merge(Dictionary<ulong, int> ranks, IReadOnlyList<(int Left, int Right, int Result)> merges, int[] ids, int[] widths, int count)
    {
        if (count < 2)
            return count;
        int[] next = ArrayPool<int>.Shared.Rent(count), previous = ArrayPool<int>.Shared.Rent(count);
        // Each merge takes one candidate and adds two at most.
        ulong[] heap = ArrayPool<ulong>.Shared.Rent(3 * count);
        int size = 0, left = count;
        for (int i = 0; i < count; i++)
        {
            next[i] = i + 1 < count ? i + 1 : -1;
            previous[i] = i - 1;
            if (i + 1 < count)
                Push(i, i + 1);
        }
        while (size > 0)
        {
            ulong top = Pop(heap, ref size);
            int rank = (int)(top >> 32), at = (int)(uint)top, right = next[at];
            // A candidate may be out of date: its symbols were merged since. What counts is whether the pair there now makes the same token.
            if (widths[at] == 0 || right < 0
                || !ranks.TryGetValue(BpeModel.Pair(ids[at], ids[right]), out int now) || merges[now].Result != merges[rank].Result)
                continue;
            ids[at] = merges[rank].Result;
            widths[at] += widths[right];
            widths[right] = 0;
            next[at] = next[right];
            if (next[right] >= 0)
                previous[next[right]] = at;
            left--;
            if (previous[at] >= 0)
                Push(previous[at], at);
            if (next[at] >= 0)
                Push(at, next[at]);
        }
        ArrayPool<int>.Shared.Return(next);
        ArrayPool<int>.Shared.Return(previous);
        ArrayPool<ulong>.Shared.Return(heap);
        return left;

        void Push(int first, int second)
        {
            if (!ranks.TryGetValue(BpeModel.Pair(ids[first], ids[second]), out int rank))
                return;
            ulong key = (ulong)(uint)rank << 32 | (uint)first;
            int at = size++;
            for (; at > 0 && heap[(at - 1) / 2] > key; at = (at - 1) / 2)
                heap[at] = heap[(at - 1) / 2];
            heap[at] = key;
        }
    }

    private static ulong Pop(ulong[] heap, ref int size)
    {
        ulong top = heap[0], moved = heap[--size];
        int at = 0;
        for (int child = 1; child < size; child = 2 * at + 1)
        {
            if (child + 1 < size && heap[child + 1] < heap[child])
                child++;
            if (heap[child] >= moved)
                break;
            heap[at] = heap[child];
            at = child;
        }
        heap[at] = moved;
        return top;
    }
}
