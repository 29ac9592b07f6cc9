using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Products of four float weight rows with many rows of activations.</summary>
/// <remarks>
/// Element order: partial sum <c>j</c> of 16 is the fused sum of <c>w[i] · x[i]</c> over ascending <c>i ≡ j (mod 16)</c>; then <see cref="Lanes"/>.
/// Where the width is no multiple of 16, both sides are padded with zeros. Tiles only change which elements are done together, never this order.
/// </remarks>
internal static unsafe class FloatTile
{
    /// <summary>Weight rows in a tile.</summary>
    public const int WeightRows = 4;

    // Fully optimised at first use; and apart: inlined with its callers, a kernel exhausts the compiler's budget, and its own vector helpers become calls.
    private const MethodImplOptions KernelCode = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    /// <summary>Writes <c>y[m, 0..live)</c> for every row m.</summary>
    /// <param name="w">Four weight rows of <paramref name="width"/> floats; where fewer are live, the others repeat a live one.</param>
    /// <param name="live">Weight rows whose results are written, 1 to 4.</param>
    /// <param name="x">The first row of activations; rows begin <paramref name="xStride"/> floats apart.</param>
    /// <param name="xStride">Floats between rows of activations.</param>
    /// <param name="rows">Rows of activations.</param>
    /// <param name="width">Floats in a row, a multiple of 16.</param>
    /// <param name="y">The first result; rows begin <paramref name="yStride"/> floats apart.</param>
    /// <param name="yStride">Floats between rows of results.</param>
    public static void Multiply(in WeightTile w, int live, float* x, nint xStride, int rows, int width, float* y, nint yStride)
    {
        int m = 0;
        for (; m + 3 <= rows; m += 4)
        {
            // Three rows left cost less as a full tile with one row done twice than one by one.
            nint last = m + 3 < rows ? 3 : 2;
            float* x0 = x + m * xStride, y0 = y + m * yStride;
            Four(w, live, x0, x0 + xStride, x0 + 2 * xStride, x0 + last * xStride, width, y0, y0 + yStride, y0 + 2 * yStride, y0 + last * yStride);
        }
        for (; m < rows; m++) One(w, live, x + m * xStride, width, y + m * yStride);
    }

    /// <summary>The definition of one element.</summary>
    internal static float Reference(ReadOnlySpan<float> w, ReadOnlySpan<float> x)
    {
        Span<float> lanes = stackalloc float[Lanes.Count];
        lanes.Clear();
        int padded = (w.Length + Lanes.Count - 1) / Lanes.Count * Lanes.Count;
        for (int i = 0; i < padded; i++)
            lanes[i % Lanes.Count] = MathF.FusedMultiplyAdd(i < w.Length ? w[i] : 0, i < w.Length ? x[i] : 0, lanes[i % Lanes.Count]);
        return Lanes.Reference(lanes);
    }

    // SAFETY: (all below) callers pass rows of at least `width` floats and results of at least `live`; width is a multiple of 16.
    [MethodImpl(KernelCode)]
    private static void Four(in WeightTile w, int live, float* x0, float* x1, float* x2, float* x3, int width, float* y0, float* y1, float* y2, float* y3)
    {
        float* w0 = w.Row0, w1 = w.Row1, w2 = w.Row2, w3 = w.Row3;
        Vector512<float> a00 = default, a01 = default, a02 = default, a03 = default, a10 = default, a11 = default, a12 = default, a13 = default;
        Vector512<float> a20 = default, a21 = default, a22 = default, a23 = default, a30 = default, a31 = default, a32 = default, a33 = default;
        for (nint i = 0; i < width; i += Lanes.Count)
        {
            Vector512<float> v0 = Vector512.Load(w0 + i), v1 = Vector512.Load(w1 + i), v2 = Vector512.Load(w2 + i), v3 = Vector512.Load(w3 + i);
            Vector512<float> u = Vector512.Load(x0 + i);
            a00 = Vector512.FusedMultiplyAdd(v0, u, a00);
            a01 = Vector512.FusedMultiplyAdd(v1, u, a01);
            a02 = Vector512.FusedMultiplyAdd(v2, u, a02);
            a03 = Vector512.FusedMultiplyAdd(v3, u, a03);
            u = Vector512.Load(x1 + i);
            a10 = Vector512.FusedMultiplyAdd(v0, u, a10);
            a11 = Vector512.FusedMultiplyAdd(v1, u, a11);
            a12 = Vector512.FusedMultiplyAdd(v2, u, a12);
            a13 = Vector512.FusedMultiplyAdd(v3, u, a13);
            u = Vector512.Load(x2 + i);
            a20 = Vector512.FusedMultiplyAdd(v0, u, a20);
            a21 = Vector512.FusedMultiplyAdd(v1, u, a21);
            a22 = Vector512.FusedMultiplyAdd(v2, u, a22);
            a23 = Vector512.FusedMultiplyAdd(v3, u, a23);
            u = Vector512.Load(x3 + i);
            a30 = Vector512.FusedMultiplyAdd(v0, u, a30);
            a31 = Vector512.FusedMultiplyAdd(v1, u, a31);
            a32 = Vector512.FusedMultiplyAdd(v2, u, a32);
            a33 = Vector512.FusedMultiplyAdd(v3, u, a33);
        }
        Lanes.Store(Lanes.Sum4(a00, a01, a02, a03), live, y0);
        Lanes.Store(Lanes.Sum4(a10, a11, a12, a13), live, y1);
        Lanes.Store(Lanes.Sum4(a20, a21, a22, a23), live, y2);
        Lanes.Store(Lanes.Sum4(a30, a31, a32, a33), live, y3);
    }

    [MethodImpl(KernelCode)]
    private static void One(in WeightTile w, int live, float* x, int width, float* y)
    {
        float* w0 = w.Row0, w1 = w.Row1, w2 = w.Row2, w3 = w.Row3;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        for (nint i = 0; i < width; i += Lanes.Count)
        {
            Vector512<float> u = Vector512.Load(x + i);
            a0 = Vector512.FusedMultiplyAdd(Vector512.Load(w0 + i), u, a0);
            a1 = Vector512.FusedMultiplyAdd(Vector512.Load(w1 + i), u, a1);
            a2 = Vector512.FusedMultiplyAdd(Vector512.Load(w2 + i), u, a2);
            a3 = Vector512.FusedMultiplyAdd(Vector512.Load(w3 + i), u, a3);
        }
        Lanes.Store(Lanes.Sum4(a0, a1, a2, a3), live, y);
    }
}

/// <summary>Four weight rows, as floats.</summary>
internal unsafe struct WeightTile
{
    public float* Row0, Row1, Row2, Row3;
}
