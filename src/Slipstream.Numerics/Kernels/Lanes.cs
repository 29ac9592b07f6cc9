using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>
/// The one order in which the 16 partial sums of an element of a product are added, for every kernel and instruction set:
/// lane i + lane i + 8, then i + 4, then i + 2, then i + 1. (<c>Vector512.Sum</c> promises no order.)
/// </summary>
internal static class Lanes
{
    /// <summary>Partial sums of an element.</summary>
    public const int Count = 16;

    /// <summary>The sum of the lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector512<float> v)
    {
        Vector128<float> four = Four(v);
        return (four[0] + four[2]) + (four[1] + four[3]);
    }

    /// <summary>The sums of four vectors; each has the bits of <see cref="Sum"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sum4(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        if (!Sse.IsSupported) return Vector128.Create(Sum(a), Sum(b), Sum(c), Sum(d));
        Vector128<float> a4 = Four(a), b4 = Four(b), c4 = Four(c), d4 = Four(d);
        Vector128<float> ab = Sse.UnpackLow(a4, b4), cd = Sse.UnpackLow(c4, d4);           // a0 b0 a1 b1
        Vector128<float> abHigh = Sse.UnpackHigh(a4, b4), cdHigh = Sse.UnpackHigh(c4, d4); // a2 b2 a3 b3
        return (Sse.MoveLowToHigh(ab, cd) + Sse.MoveLowToHigh(abHigh, cdHigh))
             + (Sse.MoveHighToLow(cd, ab) + Sse.MoveHighToLow(cdHigh, abHigh));
    }

    /// <summary>Writes the first <paramref name="live"/> of four sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe void Store(Vector128<float> sums, int live, float* y)
    {
        // SAFETY: the caller's y holds `live` floats.
        if (live == 4) { sums.Store(y); return; }
        for (int i = 0; i < live; i++) y[i] = sums.GetElement(i);
    }

    /// <summary>The definition, one addition at a time.</summary>
    internal static float Reference(ReadOnlySpan<float> lanes)
    {
        Span<float> s = stackalloc float[Count];
        lanes[..Count].CopyTo(s);
        for (int half = Count / 2; half > 0; half /= 2)
            for (int i = 0; i < half; i++) s[i] += s[i + half];
        return s[0];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Four(Vector512<float> v)
    {
        Vector256<float> eight = v.GetLower() + v.GetUpper();
        return eight.GetLower() + eight.GetUpper();
    }
}
