namespace Slipstream.Bench;

/// <summary>The index of the greatest float, as greedy decoding takes it.</summary>
internal static class Greatest
{
    /// <summary>The lowest index of the greatest element.</summary>
    public static int Index(ReadOnlySpan<float> values)
    {
        int best = 0;
        for (int i = 1; i < values.Length; i++)
            if (values[i] > values[best]) best = i;
        return best;
    }
}
