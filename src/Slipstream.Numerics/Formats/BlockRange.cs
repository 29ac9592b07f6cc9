namespace Slipstream.Numerics;

/// <summary>What the encoders of 4 and 5 bit blocks share; the order and the rounding are those of ggml's reference quantisers.</summary>
internal static class BlockRange
{
    /// <summary>The smallest and the largest value.</summary>
    public static (float Low, float High) LowHigh(ReadOnlySpan<float> x)
    {
        float low = float.MaxValue, high = -float.MaxValue;
        foreach (float v in x)
        {
            if (v < low)
                low = v;
            if (v > high)
                high = v;
        }
        return (low, high);
    }

    /// <summary>The value farthest from zero, with its sign; of two equally far, the first.</summary>
    public static float Farthest(ReadOnlySpan<float> x)
    {
        float distance = 0f, farthest = 0f;
        foreach (float v in x)
            if (MathF.Abs(v) > distance)
            {
                distance = MathF.Abs(v);
                farthest = v;
            }
        return farthest;
    }

    /// <summary>Truncates to a code. Below zero and above the largest code can only be a rounding error, or the quotient of a block whose scale is too small to invert.</summary>
    public static int Code(float value, int largest) => Math.Clamp((int)value, 0, largest);
}
