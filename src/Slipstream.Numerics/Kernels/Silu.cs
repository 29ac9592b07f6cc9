using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>SiLU: <c>y[i] = x[i] · σ(x[i])</c>.</summary>
/// <remarks>Source: Elfwing et al. 2017, arXiv:1702.03118.</remarks>
internal static class Silu
{
    /// <summary>Applies it to one row, or to many that lie end to end. Allocates nothing; within 8 ulp of <see cref="Reference"/>.</summary>
    /// <param name="x"><c>[n]</c>, finite.</param>
    /// <param name="y"><c>[n]</c>; may be exactly <paramref name="x"/>, never a partial overlap.</param>
    /// <exception cref="ArgumentException">The two lengths differ.</exception>
    public static void Apply(ReadOnlySpan<float> x, Span<float> y) => Elementwise.Run<Sigmoid>(x, x, y);

    /// <summary>The definition, one element at a time.</summary>
    internal static void Reference(ReadOnlySpan<float> x, Span<float> y)
    {
        for (int i = 0; i < y.Length; i++) y[i] = x[i] / (1f + MathF.Exp(-x[i]));
    }

    private readonly struct Sigmoid : IElementwise
    {
        public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b) => a / (Vector512<float>.One + Vector512.Exp(-a));
    }
}
