using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Rotates pairs of floats: <c>(a, b) → (a·cos − b·sin, b·cos + a·sin)</c>. Source: Su et al. 2021, arXiv:2104.09864.</summary>
internal static class RotaryKernel
{
    /// <summary>Rotates <c>(first[i], second[i])</c>. All four lengths are equal.</summary>
    public static void Halves(Span<float> first, Span<float> second, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
    {
        if (second.Length != first.Length || cos.Length != first.Length || sin.Length != first.Length)
            throw new ArgumentException($"Lengths differ: {first.Length}, {second.Length}, {cos.Length}, {sin.Length}.", nameof(second));
        ref float a = ref MemoryMarshal.GetReference(first), b = ref MemoryMarshal.GetReference(second);
        ref float c = ref MemoryMarshal.GetReference(cos), s = ref MemoryMarshal.GetReference(sin);
        nuint i = 0, n = (nuint)first.Length;
        if (Vector256.IsHardwareAccelerated)
            for (; i + 8 <= n; i += 8)
            {
                Vector256<float> x = Vector256.LoadUnsafe(ref a, i), y = Vector256.LoadUnsafe(ref b, i);
                Vector256<float> vc = Vector256.LoadUnsafe(ref c, i), vs = Vector256.LoadUnsafe(ref s, i);
                (x * vc - y * vs).StoreUnsafe(ref a, i);
                (y * vc + x * vs).StoreUnsafe(ref b, i);
            }
        HalvesReference(first[(int)i..], second[(int)i..], cos[(int)i..], sin[(int)i..]);
    }

    /// <summary>The definition of <see cref="Halves"/>, one pair at a time.</summary>
    internal static void HalvesReference(Span<float> first, Span<float> second, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
    {
        for (int i = 0; i < first.Length; i++)
            (first[i], second[i]) = (first[i] * cos[i] - second[i] * sin[i], second[i] * cos[i] + first[i] * sin[i]);
    }

    /// <summary>Rotates <c>(head[2i], head[2i + 1])</c>; the head is twice as long as the angles.</summary>
    public static void Interleaved(Span<float> head, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
    {
        if (head.Length != 2 * cos.Length || sin.Length != cos.Length)
            throw new ArgumentException($"Lengths do not fit: {head.Length}, {cos.Length}, {sin.Length}.", nameof(head));
        for (int i = 0; i < cos.Length; i++)
        {
            float a = head[2 * i], b = head[2 * i + 1];
            head[2 * i] = a * cos[i] - b * sin[i];
            head[2 * i + 1] = b * cos[i] + a * sin[i];
        }
    }
}
