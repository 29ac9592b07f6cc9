using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Sampling;

/// <summary>Tells whether a row of logits can be sampled from.</summary>
internal static class RowCheck
{
    /// <summary>Whether no element is NaN or +∞ (−∞ excludes a token) and at least one is finite.</summary>
    public static bool IsFinite(ReadOnlySpan<float> logits)
    {
        ref float p = ref MemoryMarshal.GetReference(logits);
        nuint i = 0, n = (nuint)logits.Length;
        bool any = false;
        if (Vector256.IsHardwareAccelerated)
        {
            Vector256<float> max = Vector256.Create(float.NegativeInfinity), infinity = Vector256.Create(float.PositiveInfinity);
            for (; i + 8 <= n; i += 8)
            {
                Vector256<float> x = Vector256.LoadUnsafe(ref p, i);
                if (!Vector256.LessThanAll(x, infinity)) return false;
                max = Vector256.Max(max, x);
            }
            for (int lane = 0; lane < 8; lane++) any |= max[lane] > float.NegativeInfinity;
        }
        for (int k = (int)i; k < logits.Length; k++)
        {
            if (!(logits[k] < float.PositiveInfinity)) return false;
            any |= logits[k] > float.NegativeInfinity;
        }
        return any;
    }
}
