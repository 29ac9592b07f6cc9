using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Root mean square normalisation: <c>y[i] = x[i] / √(mean(x²) + eps) · weight[i]</c>.</summary>
/// <remarks>Source: Zhang and Sennrich 2019, arXiv:1910.07467.</remarks>
internal static class RmsNorm
{
    private const int Chains = 4;

    /// <summary>Normalises one row. Allocates nothing; has the bits of <see cref="Reference"/>.</summary>
    /// <param name="x"><c>[n]</c>.</param>
    /// <param name="weight"><c>[n]</c>.</param>
    /// <param name="eps">Keeps the divisor from zero.</param>
    /// <param name="y"><c>[n]</c>; may be exactly <paramref name="x"/>, never a partial overlap.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Apply(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float eps, Span<float> y)
    {
        if (x.Length != y.Length || weight.Length != y.Length) Elementwise.ThrowLengths(x.Length, weight.Length, y.Length);
        ref float source = ref MemoryMarshal.GetReference(x);
        ref float w = ref MemoryMarshal.GetReference(weight);
        ref float result = ref MemoryMarshal.GetReference(y);
        nuint i = 0, n = (nuint)y.Length;
        // One chain of additions would be waited for at every step.
        Vector512<float> a = default, b = default, c = default, d = default;
        for (; i + Chains * Lanes.Count <= n; i += Chains * Lanes.Count)
        {
            Vector512<float> first = Vector512.LoadUnsafe(ref source, i), second = Vector512.LoadUnsafe(ref source, i + Lanes.Count);
            Vector512<float> third = Vector512.LoadUnsafe(ref source, i + 2 * Lanes.Count), fourth = Vector512.LoadUnsafe(ref source, i + 3 * Lanes.Count);
            a = Vector512.FusedMultiplyAdd(first, first, a);
            b = Vector512.FusedMultiplyAdd(second, second, b);
            c = Vector512.FusedMultiplyAdd(third, third, c);
            d = Vector512.FusedMultiplyAdd(fourth, fourth, d);
        }
        for (; i + Lanes.Count <= n; i += Lanes.Count)
        {
            Vector512<float> values = Vector512.LoadUnsafe(ref source, i);
            a = Vector512.FusedMultiplyAdd(values, values, a);
        }
        if (i < n)
        {
            Vector512<float> values = Elementwise.Tail(x[(int)i..]);
            a = Vector512.FusedMultiplyAdd(values, values, a);
        }
        float scale = 1f / MathF.Sqrt(Lanes.Sum((a + b) + (c + d)) / x.Length + eps);
        for (i = 0; i + Lanes.Count <= n; i += Lanes.Count)
            (Vector512.LoadUnsafe(ref source, i) * scale * Vector512.LoadUnsafe(ref w, i)).StoreUnsafe(ref result, i);
        for (int k = (int)i; k < y.Length; k++) y[k] = x[k] * scale * weight[k];
    }

    /// <summary>The definition, one element at a time; the squares in 64 partial sums, those after the last 64 in the first 16 of them.</summary>
    internal static void Reference(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float eps, Span<float> y)
    {
        Span<float> sums = stackalloc float[Chains * Lanes.Count];
        sums.Clear();
        for (int i = 0, whole = x.Length - x.Length % sums.Length; i < x.Length; i++)
        {
            ref float sum = ref sums[i < whole ? i % sums.Length : i % Lanes.Count];
            sum = MathF.FusedMultiplyAdd(x[i], x[i], sum);
        }
        for (int i = 0; i < Lanes.Count; i++) sums[i] = (sums[i] + sums[i + Lanes.Count]) + (sums[i + 2 * Lanes.Count] + sums[i + 3 * Lanes.Count]);
        float scale = 1f / MathF.Sqrt(Lanes.Reference(sums) / x.Length + eps);
        for (int i = 0; i < y.Length; i++) y[i] = x[i] * scale * weight[i];
    }
}
