using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Sampling;

/// <summary>Tells whether a row of logits can be sampled from.</summary>
internal static class RowCheck
{
    private const int Infinity = 0x7F800000;
    private const uint NegativeInfinity = 0xFF800000;

    /// <summary>Whether no element is NaN or +∞ (−∞ excludes a token) and at least one is finite.</summary>
    public static bool IsFinite(ReadOnlySpan<float> logits)
    {
        ref float p = ref MemoryMarshal.GetReference(logits);
        // Bits of numbers not below zero are in their order, as signed integers, with +∞ and the NaN of that sign above all; without regard to the sign −∞ is above all other numbers, with only NaN above it.
        Vector512<int> signed = Vector512.Create(int.MinValue);
        Vector512<uint> greatest = Vector512<uint>.Zero, least = Vector512<uint>.AllBitsSet;
        nuint i = 0, n = (nuint)logits.Length;
        for (; i + 16 <= n; i += 16)
        {
            Vector512<int> bits = Vector512.LoadUnsafe(ref p, i).AsInt32();
            signed = Vector512.Max(signed, bits);
            greatest = Vector512.Max(greatest, bits.AsUInt32());
            least = Vector512.Min(least, bits.AsUInt32());
        }
        if (Vector512.GreaterThanOrEqualAny(signed, Vector512.Create(Infinity)) || Vector512.GreaterThanAny(greatest, Vector512.Create(NegativeInfinity))) return false;
        bool any = Vector512.LessThanAny(least, Vector512.Create(NegativeInfinity));
        for (int k = (int)i; k < logits.Length; k++)
        {
            if (!(logits[k] < float.PositiveInfinity)) return false;
            any |= logits[k] > float.NegativeInfinity;
        }
        return any;
    }
}
