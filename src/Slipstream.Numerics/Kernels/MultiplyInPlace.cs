using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary><c>y[i] = y[i] · x[i]</c>.</summary>
internal static class MultiplyInPlace
{
    /// <summary>Multiplies one row, or many that lie end to end. Allocates nothing; the same bits as <see cref="Reference"/>.</summary>
    /// <exception cref="ArgumentException">The two lengths differ.</exception>
    public static void Apply(Span<float> y, ReadOnlySpan<float> x) => Elementwise.Run<Product>(y, x, y);

    /// <summary>The definition, one element at a time.</summary>
    internal static void Reference(Span<float> y, ReadOnlySpan<float> x)
    {
        for (int i = 0; i < y.Length; i++) y[i] *= x[i];
    }

    private readonly struct Product : IElementwise
    {
        public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b) => a * b;
    }
}
