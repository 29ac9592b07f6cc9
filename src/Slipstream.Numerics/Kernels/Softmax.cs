using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Softmax of one row: <c>y[i] = exp(x[i] − max) / Σ exp(x[j] − max)</c>.</summary>
/// <remarks>The largest value is taken off first, so that no exponential overflows; <c>TensorPrimitives.SoftMax</c> does not do that and is banned.</remarks>
internal static class Softmax
{
    /// <summary>Normalises one row. Allocates nothing; within 1e-6 of <see cref="Reference"/>, relatively.</summary>
    /// <param name="x"><c>[n]</c>, finite or −∞ (which gets exactly 0); where every value is −∞, every result is 0.</param>
    /// <param name="y"><c>[n]</c>; may be exactly <paramref name="x"/>, never a partial overlap.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void Apply(ReadOnlySpan<float> x, Span<float> y)
    {
        if (x.Length != y.Length) Elementwise.ThrowLengths(x.Length, y.Length, y.Length);
        float max = Max(x);
        if (float.IsNegativeInfinity(max))
        {
            y.Clear();
            return;
        }
        ref float source = ref MemoryMarshal.GetReference(x);
        ref float result = ref MemoryMarshal.GetReference(y);
        Vector512<float> shift = Vector512.Create(max), sums = default;
        nuint i = 0, n = (nuint)x.Length;
        for (; i + Lanes.Count <= n; i += Lanes.Count)
        {
            Vector512<float> e = Vector512.Exp(Vector512.LoadUnsafe(ref source, i) - shift);
            sums += e;
            e.StoreUnsafe(ref result, i);
        }
        if (i < n)
        {
            Span<float> last = stackalloc float[Lanes.Count];
            Vector512<float> e = Vector512.Exp(Elementwise.Tail(x[(int)i..], float.NegativeInfinity) - shift);
            sums += e;
            e.CopyTo(last);
            last[..(int)(n - i)].CopyTo(y[(int)i..]);
        }
        float inverse = 1f / Lanes.Sum(sums);
        Scale(y, inverse);
    }

    /// <summary>The definition, one element at a time.</summary>
    internal static void Reference(ReadOnlySpan<float> x, Span<float> y)
    {
        float max = float.NegativeInfinity;
        foreach (float v in x) max = MathF.Max(max, v);
        double sum = 0;
        foreach (float v in x) sum += float.IsNegativeInfinity(v) ? 0 : Math.Exp((double)v - max);
        for (int i = 0; i < x.Length; i++) y[i] = float.IsNegativeInfinity(x[i]) ? 0 : (float)(Math.Exp((double)x[i] - max) / sum);
    }

    private static float Max(ReadOnlySpan<float> x)
    {
        ref float source = ref MemoryMarshal.GetReference(x);
        Vector512<float> lanes = Vector512.Create(float.NegativeInfinity);
        nuint i = 0, n = (nuint)x.Length;
        for (; i + Lanes.Count <= n; i += Lanes.Count) lanes = Vector512.Max(lanes, Vector512.LoadUnsafe(ref source, i));
        if (i < n) lanes = Vector512.Max(lanes, Elementwise.Tail(x[(int)i..], float.NegativeInfinity));
        float max = float.NegativeInfinity;
        for (int lane = 0; lane < Lanes.Count; lane++) max = MathF.Max(max, lanes.GetElement(lane));
        return max;
    }

    private static void Scale(Span<float> y, float factor)
    {
        ref float result = ref MemoryMarshal.GetReference(y);
        nuint i = 0, n = (nuint)y.Length;
        for (; i + Lanes.Count <= n; i += Lanes.Count) (Vector512.LoadUnsafe(ref result, i) * factor).StoreUnsafe(ref result, i);
        for (; i < n; i++) y[(int)i] *= factor;
    }
}
