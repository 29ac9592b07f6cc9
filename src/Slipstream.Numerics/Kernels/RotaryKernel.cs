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
        ref float x = ref MemoryMarshal.GetReference(head), c = ref MemoryMarshal.GetReference(cos), s = ref MemoryMarshal.GetReference(sin);
        nuint done = 0, n = (nuint)cos.Length;
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<int> twice = Vector512.Create(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), other = Vector512.Create(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
            // Subtracting is adding the negative, to the bit.
            Vector512<int> even = Vector512.Create(int.MinValue, 0, int.MinValue, 0, int.MinValue, 0, int.MinValue, 0, int.MinValue, 0, int.MinValue, 0, int.MinValue, 0, int.MinValue, 0);
            for (; done + 8 <= n; done += 8)
            {
                Vector512<float> pairs = Vector512.LoadUnsafe(ref x, 2 * done);
                Vector512<float> vc = Vector512.Shuffle(Vector256.LoadUnsafe(ref c, done).ToVector512Unsafe(), twice), vs = Vector512.Shuffle(Vector256.LoadUnsafe(ref s, done).ToVector512Unsafe(), twice);
                (pairs * vc + Vector512.Shuffle(pairs, other) * (vs.AsInt32() ^ even).AsSingle()).StoreUnsafe(ref x, 2 * done);
            }
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            Vector256<int> twice = Vector256.Create(0, 0, 1, 1, 2, 2, 3, 3), other = Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6), even = Vector256.Create(int.MinValue, 0, int.MinValue, 0, int.MinValue, 0, int.MinValue, 0);
            for (; done + 4 <= n; done += 4)
            {
                Vector256<float> pairs = Vector256.LoadUnsafe(ref x, 2 * done);
                Vector256<float> vc = Vector256.Shuffle(Vector128.LoadUnsafe(ref c, done).ToVector256Unsafe(), twice), vs = Vector256.Shuffle(Vector128.LoadUnsafe(ref s, done).ToVector256Unsafe(), twice);
                (pairs * vc + Vector256.Shuffle(pairs, other) * (vs.AsInt32() ^ even).AsSingle()).StoreUnsafe(ref x, 2 * done);
            }
        }
        int rest = (int)done;
        InterleavedReference(head[(2 * rest)..], cos[rest..], sin[rest..]);
    }

    /// <summary>The definition of <see cref="Interleaved"/>, one pair at a time.</summary>
    internal static void InterleavedReference(Span<float> head, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
    {
        for (int i = 0; i < cos.Length; i++)
        {
            float a = head[2 * i], b = head[2 * i + 1];
            head[2 * i] = a * cos[i] - b * sin[i];
            head[2 * i + 1] = b * cos[i] + a * sin[i];
        }
    }
}
