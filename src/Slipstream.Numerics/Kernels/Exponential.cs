using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>A power of one base, for a softmax: of numbers that are never above 0.</summary>
internal interface IExponential
{
    /// <summary>Sixteen at once.</summary>
    static abstract Vector512<float> NonPositive(Vector512<float> x);

    /// <summary>Eight at once.</summary>
    static abstract Vector256<float> NonPositive(Vector256<float> x);

    /// <summary>One.</summary>
    static abstract float NonPositive(float x);
}

/// <summary>
/// e to the power x for the softmax, where x is never above 0. Relative error at most 2e-7; exactly 1 at 0 and exactly 0 below −87.3; NaN stays NaN.
/// </summary>
/// <remarks>
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, e^r by the polynomial of Cephes' <c>expf</c> (Moshier 1989), 2^n by adding n to the exponent bits.
/// <c>Vector512.Exp</c> goes through double precision and costs about three times as much. The forms below give the same bits for every width.
/// </remarks>
internal readonly struct Exponential : IExponential
{
    private const float Log2E = 1.44269504088896341f, Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f;

    // 1.5 · 2^23: adding it rounds to a whole number, which then stands in the low bits.
    private const float Magic = 12582912f;

    // Below it a result might not be a normal number.
    private const float Least = -87.3f;
    private const float P0 = 1.9875691500e-4f, P1 = 1.3981999507e-3f, P2 = 8.3334519073e-3f, P3 = 4.1665795894e-2f, P4 = 1.6666665459e-1f, P5 = 5.0000001201e-1f;

    /// <summary>Sixteen at once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> NonPositive(Vector512<float> x)
    {
        Vector512<float> y = Vector512.MaxNative(Vector512.Create(Least), x);
        Vector512<float> t = Vector512.FusedMultiplyAdd(y, Vector512.Create(Log2E), Vector512.Create(Magic));
        Vector512<float> n = t - Vector512.Create(Magic);
        Vector512<float> r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2High), y);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2Low), r);
        Vector512<float> p = Vector512.FusedMultiplyAdd(Vector512.Create(P0), r, Vector512.Create(P1));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(P2));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(P3));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(P4));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(P5));
        p = Vector512.FusedMultiplyAdd(p, r * r, r) + Vector512<float>.One;
        Vector512<float> e = (p.AsInt32() + (t.AsInt32() << 23)).AsSingle();
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(Least)), Vector512<float>.Zero, e);
    }

    /// <summary>Eight at once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> NonPositive(Vector256<float> x)
    {
        Vector256<float> y = Vector256.MaxNative(Vector256.Create(Least), x);
        Vector256<float> t = Vector256.FusedMultiplyAdd(y, Vector256.Create(Log2E), Vector256.Create(Magic));
        Vector256<float> n = t - Vector256.Create(Magic);
        Vector256<float> r = Vector256.FusedMultiplyAdd(n, Vector256.Create(-Ln2High), y);
        r = Vector256.FusedMultiplyAdd(n, Vector256.Create(-Ln2Low), r);
        Vector256<float> p = Vector256.FusedMultiplyAdd(Vector256.Create(P0), r, Vector256.Create(P1));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(P2));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(P3));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(P4));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(P5));
        p = Vector256.FusedMultiplyAdd(p, r * r, r) + Vector256<float>.One;
        Vector256<float> e = (p.AsInt32() + (t.AsInt32() << 23)).AsSingle();
        return Vector256.ConditionalSelect(Vector256.LessThan(x, Vector256.Create(Least)), Vector256<float>.Zero, e);
    }

    /// <summary>One.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float NonPositive(float x)
    {
        if (x < Least) return 0;
        float t = MathF.FusedMultiplyAdd(x, Log2E, Magic), n = t - Magic;
        float r = MathF.FusedMultiplyAdd(n, -Ln2Low, MathF.FusedMultiplyAdd(n, -Ln2High, x));
        float p = MathF.FusedMultiplyAdd(P0, r, P1);
        p = MathF.FusedMultiplyAdd(p, r, P2);
        p = MathF.FusedMultiplyAdd(p, r, P3);
        p = MathF.FusedMultiplyAdd(p, r, P4);
        p = MathF.FusedMultiplyAdd(p, r, P5);
        p = MathF.FusedMultiplyAdd(p, r * r, r) + 1f;
        return BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(p) + (BitConverter.SingleToInt32Bits(t) << 23));
    }
}
