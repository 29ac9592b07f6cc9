using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Layer normalisation: <c>y[i] = (x[i] − mean) / √(variance + eps) · weight[i] + bias[i]</c>.</summary>
/// <remarks>Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450. The variance is that of the population, in a second pass over the row.</remarks>
internal static class LayerNorm
{
    /// <summary>Normalises one row. Allocates nothing; has the bits of <see cref="Reference"/>.</summary>
    /// <param name="x"><c>[n]</c>.</param>
    /// <param name="weight"><c>[n]</c>.</param>
    /// <param name="bias"><c>[n]</c>, or empty for none.</param>
    /// <param name="eps">Keeps the divisor from zero.</param>
    /// <param name="y"><c>[n]</c>; may be exactly <paramref name="x"/>, never a partial overlap.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void Apply(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, float eps, Span<float> y)
    {
        if (x.Length != y.Length || weight.Length != y.Length) Elementwise.ThrowLengths(x.Length, weight.Length, y.Length);
        if (!bias.IsEmpty && bias.Length != y.Length) Elementwise.ThrowLengths(x.Length, bias.Length, y.Length);
        ref float source = ref MemoryMarshal.GetReference(x);
        nuint i = 0, n = (nuint)x.Length;
        Vector512<float> sum = default;
        for (; i + Lanes.Count <= n; i += Lanes.Count) sum += Vector512.LoadUnsafe(ref source, i);
        if (i < n) sum += Elementwise.Tail(x[(int)i..]);
        float mean = Lanes.Sum(sum) / x.Length;

        Vector512<float> center = Vector512.Create(mean), squares = default;
        for (i = 0; i + Lanes.Count <= n; i += Lanes.Count)
        {
            Vector512<float> d = Vector512.LoadUnsafe(ref source, i) - center;
            squares = Vector512.FusedMultiplyAdd(d, d, squares);
        }
        if (i < n)
        {
            Vector512<float> d = Elementwise.Tail(x[(int)i..], mean) - center; // Padding at the mean adds nothing.
            squares = Vector512.FusedMultiplyAdd(d, d, squares);
        }
        float scale = 1f / MathF.Sqrt(Lanes.Sum(squares) / x.Length + eps);

        ref float w = ref MemoryMarshal.GetReference(weight);
        ref float b = ref MemoryMarshal.GetReference(bias);
        ref float result = ref MemoryMarshal.GetReference(y);
        for (i = 0; i + Lanes.Count <= n; i += Lanes.Count)
        {
            Vector512<float> offset = bias.IsEmpty ? default : Vector512.LoadUnsafe(ref b, i);
            Vector512.FusedMultiplyAdd((Vector512.LoadUnsafe(ref source, i) - center) * scale, Vector512.LoadUnsafe(ref w, i), offset).StoreUnsafe(ref result, i);
        }
        for (int k = (int)i; k < y.Length; k++) y[k] = MathF.FusedMultiplyAdd((x[k] - mean) * scale, weight[k], bias.IsEmpty ? 0 : bias[k]);
    }

    /// <summary>The definition, one element at a time; the sums in the 16 partial sums of <see cref="Lanes"/>.</summary>
    internal static void Reference(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, float eps, Span<float> y)
    {
        Span<float> lanes = stackalloc float[Lanes.Count];
        lanes.Clear();
        for (int i = 0; i < x.Length; i++) lanes[i % Lanes.Count] += x[i];
        float mean = Lanes.Reference(lanes) / x.Length;
        lanes.Clear();
        for (int i = 0; i < x.Length; i++) lanes[i % Lanes.Count] = MathF.FusedMultiplyAdd(x[i] - mean, x[i] - mean, lanes[i % Lanes.Count]);
        float scale = 1f / MathF.Sqrt(Lanes.Reference(lanes) / x.Length + eps);
        for (int i = 0; i < x.Length; i++) y[i] = MathF.FusedMultiplyAdd((x[i] - mean) * scale, weight[i], bias.IsEmpty ? 0 : bias[i]);
    }
}
