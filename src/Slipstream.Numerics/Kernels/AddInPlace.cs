using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Sums into place: residuals and biases.</summary>
internal static class AddInPlace
{
    /// <summary><c>y[i] += x[i]</c>. Has the bits of <see cref="Reference"/>.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void Apply(Span<float> y, ReadOnlySpan<float> x) => Elementwise.Run<Sum>(y, x, y);

    /// <summary>The definition, one element at a time.</summary>
    internal static void Reference(Span<float> y, ReadOnlySpan<float> x)
    {
        for (int i = 0; i < y.Length; i++) y[i] += x[i];
    }

    private readonly struct Sum : IElementwise
    {
        public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b) => a + b;
    }
}
