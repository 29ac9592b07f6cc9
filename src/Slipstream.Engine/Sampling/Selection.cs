namespace Slipstream.Sampling;

/// <summary>Partial selection among distinct 64-bit keys: no full sort, no allocation, the same result whatever the pivots.</summary>
internal static class Selection
{
    private const int Small = 24;

    /// <summary>Reorders the keys so that the <paramref name="count"/> largest come first, the smallest of them at <c>count − 1</c>.</summary>
    /// <param name="keys">Distinct keys, at least <paramref name="count"/>.</param>
    /// <param name="count">At least 1.</param>
    public static void TakeLargest(Span<ulong> keys, int count)
    {
        int low = 0, high = keys.Length;
        for (int rounds = 0; high - low > Small; rounds++)
        {
            if (rounds == 64)
            {
                // Bad pivots again and again: give up on linear time.
                keys[low..high].Sort();
                keys[low..high].Reverse();
                return;
            }
            int middle = low + Partition(keys[low..high]);
            if (middle == count - 1) return;
            if (middle >= count) high = middle;
            else low = middle + 1;
        }
        InsertionSort(keys[low..high]);
    }

    /// <summary>
    /// Reorders the items so that those kept come first and returns how many they are: in descending order of key, an item is kept while the
    /// weight of those before it is under <paramref name="mass"/>. The last kept item stands last among them.
    /// </summary>
    public static int TakeMass(Span<ulong> keys, Span<float> weights, double mass)
    {
        int low = 0, high = keys.Length;
        double above = 0;
        for (int rounds = 0; high - low > Small && rounds < 64; rounds++)
        {
            int middle = low + Partition(keys[low..high], weights[low..high]);
            double sum = above;
            for (int i = low; i < middle; i++) sum += weights[i];
            if (sum >= mass && middle > low)
            {
                high = middle;
                continue;
            }
            above = sum + weights[middle];
            if (above >= mass) return middle + 1;
            low = middle + 1;
        }
        keys[low..high].Sort(weights[low..high]);
        keys[low..high].Reverse();
        weights[low..high].Reverse();
        for (int i = low; i < high; i++)
        {
            if (above >= mass && i > 0) return i;
            above += weights[i];
        }
        return high;
    }

    /// <summary>Moves larger keys before a pivot and smaller ones after it; returns where the pivot stands.</summary>
    private static int Partition(Span<ulong> keys)
    {
        int last = keys.Length - 1;
        int pivotAt = MedianOfThree(keys);
        ulong pivot = keys[pivotAt];
        keys[pivotAt] = keys[last];
        int store = 0;
        for (int i = 0; i < last; i++)
        {
            // Swaps always, so that nothing is left to guess: a branch here would be wrong every second time.
            ulong key = keys[i];
            keys[i] = keys[store];
            keys[store] = key;
            store += key > pivot ? 1 : 0;
        }
        keys[last] = keys[store];
        keys[store] = pivot;
        return store;
    }

    private static int Partition(Span<ulong> keys, Span<float> weights)
    {
        int last = keys.Length - 1;
        int pivotAt = MedianOfThree(keys);
        (ulong pivot, float pivotWeight) = (keys[pivotAt], weights[pivotAt]);
        (keys[pivotAt], weights[pivotAt]) = (keys[last], weights[last]);
        int store = 0;
        for (int i = 0; i < last; i++)
        {
            (ulong key, float weight) = (keys[i], weights[i]);
            (keys[i], weights[i]) = (keys[store], weights[store]);
            (keys[store], weights[store]) = (key, weight);
            store += key > pivot ? 1 : 0;
        }
        (keys[last], weights[last]) = (keys[store], weights[store]);
        (keys[store], weights[store]) = (pivot, pivotWeight);
        return store;
    }

    private static int MedianOfThree(Span<ulong> keys)
    {
        int a = 0, b = keys.Length / 2, c = keys.Length - 1;
        if (keys[a] < keys[b]) (a, b) = (b, a);
        if (keys[b] >= keys[c]) return b;
        return keys[a] < keys[c] ? a : c;
    }

    private static void InsertionSort(Span<ulong> keys)
    {
        for (int i = 1; i < keys.Length; i++)
        {
            ulong key = keys[i];
            int at = i;
            for (; at > 0 && keys[at - 1] < key; at--) keys[at] = keys[at - 1];
            keys[at] = key;
        }
    }
}
