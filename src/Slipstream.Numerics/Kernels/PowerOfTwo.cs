using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>
/// 2 to the power x for the softmax of attention in bfloat16, where x is never above 0. Relative error at most 3e-6, exactly 1 at 0 and exactly 0 below −125; NaN stays NaN.
/// </summary>
/// <remarks>
/// x = n + r with |r| ≤ 1/2, 2^r by a polynomial of least relative error that is 1 at 0, 2^n by adding n to the exponent bits. Results are rounded to 8 bits of mantissa, so that four coefficients are plenty.
/// All forms, emitted ones too, give the same bits.
/// </remarks>
internal readonly struct PowerOfTwo : IExponential
{
    /// <summary>The logarithm of e: scores are multiplied by it beforehand.</summary>
    public const float Log2E = 1.44269504088896341f;

    /// <summary>Below it a result might not be a normal number.</summary>
    public const float Least = -125;

    /// <summary>Coefficients of r to r⁴.</summary>
    public const float P1 = 0.693124175f, P2 = 0.240240991f, P3 = 0.0559064262f, P4 = 0.00958285294f;

    // 1.5 · 2^23: adding it rounds to a whole number, which then stands in the low bits.
    private const float Magic = 12582912f;

    /// <summary>Sixteen at once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> NonPositive(Vector512<float> x)
    {
        Vector512<float> y = Vector512.MaxNative(Vector512.Create(Least), x), t = y + Vector512.Create(Magic), r = y - (t - Vector512.Create(Magic));
        Vector512<float> p = Vector512.FusedMultiplyAdd(r, Vector512.Create(P4), Vector512.Create(P3));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(P2));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(P1));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512<float>.One);
        Vector512<float> e = (p.AsInt32() + (t.AsInt32() << 23)).AsSingle();
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(Least)), Vector512<float>.Zero, e);
    }

    /// <summary>Eight at once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> NonPositive(Vector256<float> x)
    {
        Vector256<float> y = Vector256.MaxNative(Vector256.Create(Least), x), t = y + Vector256.Create(Magic), r = y - (t - Vector256.Create(Magic));
        Vector256<float> p = Vector256.FusedMultiplyAdd(r, Vector256.Create(P4), Vector256.Create(P3));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(P2));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(P1));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256<float>.One);
        Vector256<float> e = (p.AsInt32() + (t.AsInt32() << 23)).AsSingle();
        return Vector256.ConditionalSelect(Vector256.LessThan(x, Vector256.Create(Least)), Vector256<float>.Zero, e);
    }

    /// <summary>One.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float NonPositive(float x) => NonPositive(Vector256.Create(x)).ToScalar();
}
