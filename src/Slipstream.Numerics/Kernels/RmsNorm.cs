using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Root mean square normalisation: <c>y[i] = x[i] / √(mean(x²) + eps) · weight[i]</c>.</summary>
/// <remarks>Source: Zhang and Sennrich 2019, arXiv:1910.07467.</remarks>
internal static class RmsNorm
{
    /// <summary>Normalises one row. Allocates nothing; has the bits of <see cref="Reference"/>.</summary>
    /// <param name="x"><c>[n]</c>.</param>
    /// <param name="weight"><c>[n]</c>.</param>
    /// <param name="eps">Keeps the divisor from zero.</param>
    /// <param name="y"><c>[n]</c>; may be exactly <paramref name="x"/>, never a partial overlap.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void Apply(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float eps, Span<float> y)
    {
        if (x.Length != y.Length || weight.Length != y.Length) Elementwise.ThrowLengths(x.Length, weight.Length, y.Length);
        float scale = 1f / MathF.Sqrt(Dot.Product(x, x) / x.Length + eps);
        ref float source = ref MemoryMarshal.GetReference(x);
        ref float w = ref MemoryMarshal.GetReference(weight);
        ref float result = ref MemoryMarshal.GetReference(y);
        nuint i = 0, n = (nuint)y.Length;
        for (; i + Lanes.Count <= n; i += Lanes.Count)
            (Vector512.LoadUnsafe(ref source, i) * scale * Vector512.LoadUnsafe(ref w, i)).StoreUnsafe(ref result, i);
        for (; i < n; i++) y[(int)i] = x[(int)i] * scale * weight[(int)i];
    }

    /// <summary>The definition, one element at a time; the sum of squares in the order of <see cref="Dot"/>.</summary>
    internal static void Reference(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float eps, Span<float> y)
    {
        float scale = 1f / MathF.Sqrt(Dot.Reference(x, x) / x.Length + eps);
        for (int i = 0; i < y.Length; i++) y[i] = x[i] * scale * weight[i];
    }
}
