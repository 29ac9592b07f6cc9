using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static Slipstream.Numerics.Kernels.Counts;

namespace Slipstream.Numerics.Kernels;

/// <summary>
/// Adds weighted values to what query rows have so far: <c>c[r, j] = c[r, j] · keep[r] + Σ a[r, index[i]] · b[i, j]</c>, fused, in ascending i.
/// </summary>
/// <remarks>Each element has that one chain of additions however many rows and columns are done together, so blocking cannot change a bit.</remarks>
internal static unsafe class WeightedValues
{
    /// <summary>The most rows done together.</summary>
    public const int MaxRows = 4;

    private const MethodImplOptions KernelCode = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    /// <summary>Does up to <see cref="MaxRows"/> rows.</summary>
    /// <param name="rows">Rows, 1 to <see cref="MaxRows"/>.</param>
    /// <param name="width">Columns, a multiple of 16.</param>
    /// <param name="a">Weights; rows begin <paramref name="aStride"/> floats apart.</param>
    /// <param name="aStride">Floats between rows of weights.</param>
    /// <param name="index">Which weight goes with each row of <paramref name="b"/>.</param>
    /// <param name="b">Where offsets count from.</param>
    /// <param name="offset">Where each row of b begins, in bytes.</param>
    /// <param name="count">Rows of b.</param>
    /// <param name="c">Results; rows begin <paramref name="cStride"/> floats apart.</param>
    /// <param name="cStride">Floats between rows of results.</param>
    /// <param name="keep">One factor a row for what is there.</param>
    /// <param name="ahead">Rows to ask for, one with each row of b.</param>
    public static void Add(int rows, int width, float* a, nint aStride, int* index, byte* b, long* offset, int count, float* c, nint cStride, float* keep, in RowsAhead ahead)
    {
        int column = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            RowsAhead asked = ahead; // The first columns ask, for whole rows.
            for (; column + 64 <= width; column += 64, asked = default) Wide<Four>(rows, a, aStride, index, b + sizeof(float) * column, offset, count, c + column, cStride, keep, in asked);
            switch ((width - column) / 16)
            {
                case 3: Wide<Three>(rows, a, aStride, index, b + sizeof(float) * column, offset, count, c + column, cStride, keep, in asked); break;
                case 2: Wide<Two>(rows, a, aStride, index, b + sizeof(float) * column, offset, count, c + column, cStride, keep, in asked); break;
                case 1: Wide<One>(rows, a, aStride, index, b + sizeof(float) * column, offset, count, c + column, cStride, keep, in asked); break;
            }
            for (int i = count; i < ahead.Count; i++) ahead.Ask(i);
            return;
        }
        for (int i = 0; i < ahead.Count; i++) ahead.Ask(i);
        for (; column < width; column += 16)
            switch (rows)
            {
                case 1: Narrow<One>(a, aStride, index, b + sizeof(float) * column, offset, count, c + column, cStride, keep); break;
                case 2: Narrow<Two>(a, aStride, index, b + sizeof(float) * column, offset, count, c + column, cStride, keep); break;
                case 3: Narrow<Three>(a, aStride, index, b + sizeof(float) * column, offset, count, c + column, cStride, keep); break;
                default: Narrow<Four>(a, aStride, index, b + sizeof(float) * column, offset, count, c + column, cStride, keep); break;
            }
    }

    /// <summary>The definition, one element at a time.</summary>
    internal static void Reference(int rows, int width, float* a, nint aStride, int* index, byte* b, long* offset, int count, float* c, nint cStride, float* keep)
    {
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < width; j++)
            {
                float sum = c[r * cStride + j] * keep[r];
                for (int i = 0; i < count; i++) sum = MathF.FusedMultiplyAdd(a[r * aStride + index[i]], ((float*)(b + offset[i]))[j], sum);
                c[r * cStride + j] = sum;
            }
    }

    private static void Wide<TVectors>(int rows, float* a, nint aStride, int* index, byte* b, long* offset, int count, float* c, nint cStride, float* keep, in RowsAhead ahead) where TVectors : ICount
    {
        switch (rows)
        {
            case 1: Block<One, TVectors>(a, aStride, index, b, offset, count, c, cStride, keep, in ahead); break;
            case 2: Block<Two, TVectors>(a, aStride, index, b, offset, count, c, cStride, keep, in ahead); break;
            case 3: Block<Three, TVectors>(a, aStride, index, b, offset, count, c, cStride, keep, in ahead); break;
            default: Block<Four, TVectors>(a, aStride, index, b, offset, count, c, cStride, keep, in ahead); break;
        }
    }

    // SAFETY: (both kernels) a row of b has the block's columns at every offset, a row of a has every index, c has the block's rows and columns.
    // The counts are constants to the compiler, which drops the rows and columns that a shape has not: 16 sums, 4 values and a weight.
    [MethodImpl(KernelCode)]
    private static void Block<TRows, TVectors>(float* a, nint aStride, int* index, byte* b, long* offset, int count, float* c, nint cStride, float* keep, in RowsAhead ahead)
        where TRows : ICount where TVectors : ICount
    {
        Vector512<float> s00 = default, s01 = default, s02 = default, s03 = default, s10 = default, s11 = default, s12 = default, s13 = default;
        Vector512<float> s20 = default, s21 = default, s22 = default, s23 = default, s30 = default, s31 = default, s32 = default, s33 = default;
        Begin<TVectors>(c, keep[0], ref s00, ref s01, ref s02, ref s03);
        if (TRows.Count > 1) Begin<TVectors>(c + cStride, keep[1], ref s10, ref s11, ref s12, ref s13);
        if (TRows.Count > 2) Begin<TVectors>(c + 2 * cStride, keep[2], ref s20, ref s21, ref s22, ref s23);
        if (TRows.Count > 3) Begin<TVectors>(c + 3 * cStride, keep[3], ref s30, ref s31, ref s32, ref s33);
        float* a1 = a + aStride, a2 = a1 + aStride, a3 = a2 + aStride;
        for (nint i = 0; i < count; i++)
        {
            float* row = (float*)(b + offset[i]);
            nint at = index[i];
            ahead.Ask(i);
            Vector512<float> b0 = Vector512.Load(row), b1 = default, b2 = default, b3 = default;
            if (TVectors.Count > 1) b1 = Vector512.Load(row + 16);
            if (TVectors.Count > 2) b2 = Vector512.Load(row + 32);
            if (TVectors.Count > 3) b3 = Vector512.Load(row + 48);
            Step<TVectors>(Vector512.Create(a[at]), b0, b1, b2, b3, ref s00, ref s01, ref s02, ref s03);
            if (TRows.Count > 1) Step<TVectors>(Vector512.Create(a1[at]), b0, b1, b2, b3, ref s10, ref s11, ref s12, ref s13);
            if (TRows.Count > 2) Step<TVectors>(Vector512.Create(a2[at]), b0, b1, b2, b3, ref s20, ref s21, ref s22, ref s23);
            if (TRows.Count > 3) Step<TVectors>(Vector512.Create(a3[at]), b0, b1, b2, b3, ref s30, ref s31, ref s32, ref s33);
        }
        End<TVectors>(c, s00, s01, s02, s03);
        if (TRows.Count > 1) End<TVectors>(c + cStride, s10, s11, s12, s13);
        if (TRows.Count > 2) End<TVectors>(c + 2 * cStride, s20, s21, s22, s23);
        if (TRows.Count > 3) End<TVectors>(c + 3 * cStride, s30, s31, s32, s33);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Begin<TVectors>(float* c, float keep, ref Vector512<float> s0, ref Vector512<float> s1, ref Vector512<float> s2, ref Vector512<float> s3) where TVectors : ICount
    {
        Vector512<float> k = Vector512.Create(keep);
        s0 = Vector512.Load(c) * k;
        if (TVectors.Count > 1) s1 = Vector512.Load(c + 16) * k;
        if (TVectors.Count > 2) s2 = Vector512.Load(c + 32) * k;
        if (TVectors.Count > 3) s3 = Vector512.Load(c + 48) * k;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<TVectors>(Vector512<float> x, Vector512<float> b0, Vector512<float> b1, Vector512<float> b2, Vector512<float> b3,
        ref Vector512<float> s0, ref Vector512<float> s1, ref Vector512<float> s2, ref Vector512<float> s3) where TVectors : ICount
    {
        s0 = Vector512.FusedMultiplyAdd(x, b0, s0);
        if (TVectors.Count > 1) s1 = Vector512.FusedMultiplyAdd(x, b1, s1);
        if (TVectors.Count > 2) s2 = Vector512.FusedMultiplyAdd(x, b2, s2);
        if (TVectors.Count > 3) s3 = Vector512.FusedMultiplyAdd(x, b3, s3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void End<TVectors>(float* c, Vector512<float> s0, Vector512<float> s1, Vector512<float> s2, Vector512<float> s3) where TVectors : ICount
    {
        s0.Store(c);
        if (TVectors.Count > 1) s1.Store(c + 16);
        if (TVectors.Count > 2) s2.Store(c + 32);
        if (TVectors.Count > 3) s3.Store(c + 48);
    }

    // Sixteen columns: two vectors of eight, for machines of 16 registers.
    [MethodImpl(KernelCode)]
    private static void Narrow<TRows>(float* a, nint aStride, int* index, byte* b, long* offset, int count, float* c, nint cStride, float* keep) where TRows : ICount
    {
        Vector256<float> s00 = default, s01 = default, s10 = default, s11 = default, s20 = default, s21 = default, s30 = default, s31 = default;
        Begin(c, keep[0], ref s00, ref s01);
        if (TRows.Count > 1) Begin(c + cStride, keep[1], ref s10, ref s11);
        if (TRows.Count > 2) Begin(c + 2 * cStride, keep[2], ref s20, ref s21);
        if (TRows.Count > 3) Begin(c + 3 * cStride, keep[3], ref s30, ref s31);
        float* a1 = a + aStride, a2 = a1 + aStride, a3 = a2 + aStride;
        for (nint i = 0; i < count; i++)
        {
            float* row = (float*)(b + offset[i]);
            nint at = index[i];
            Vector256<float> b0 = Vector256.Load(row), b1 = Vector256.Load(row + 8);
            Step(Vector256.Create(a[at]), b0, b1, ref s00, ref s01);
            if (TRows.Count > 1) Step(Vector256.Create(a1[at]), b0, b1, ref s10, ref s11);
            if (TRows.Count > 2) Step(Vector256.Create(a2[at]), b0, b1, ref s20, ref s21);
            if (TRows.Count > 3) Step(Vector256.Create(a3[at]), b0, b1, ref s30, ref s31);
        }
        End(c, s00, s01);
        if (TRows.Count > 1) End(c + cStride, s10, s11);
        if (TRows.Count > 2) End(c + 2 * cStride, s20, s21);
        if (TRows.Count > 3) End(c + 3 * cStride, s30, s31);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Begin(float* c, float keep, ref Vector256<float> s0, ref Vector256<float> s1)
    {
        s0 = Vector256.Load(c) * keep;
        s1 = Vector256.Load(c + 8) * keep;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(Vector256<float> x, Vector256<float> b0, Vector256<float> b1, ref Vector256<float> s0, ref Vector256<float> s1)
    {
        s0 = Vector256.FusedMultiplyAdd(x, b0, s0);
        s1 = Vector256.FusedMultiplyAdd(x, b1, s1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void End(float* c, Vector256<float> s0, Vector256<float> s1)
    {
        s0.Store(c);
        s1.Store(c + 8);
    }
}
