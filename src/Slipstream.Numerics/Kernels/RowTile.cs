using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>Weights that become floats where they are used, sixteen at a time.</summary>
internal unsafe interface IRowWeights
{
    /// <summary>Bytes of a weight.</summary>
    static abstract int Bytes { get; }

    /// <summary>Whether <see cref="Load"/> costs as much as several multiplications.</summary>
    static abstract bool IsCostly { get; }

    /// <summary>Whether rows come from memory, so that they are worth fetching ahead.</summary>
    static abstract bool Fetches { get; }

    /// <summary>Weights <c>i</c> to <c>i + 15</c> of a row.</summary>
    static abstract Vector512<float> Load(byte* row, nint i);
}

/// <summary>Rows of <see cref="BF16"/> where they lie.</summary>
internal readonly unsafe struct BF16Weights : IRowWeights
{
    public static int Bytes => 2;

    public static bool IsCostly => false;

    public static bool Fetches => true;

    // SAFETY: (all Load below) the caller's row holds the sixteen weights.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* row, nint i)
        => (Vector512.WidenLower(Vector256.Load((ushort*)row + i).ToVector512Unsafe()) << 16).AsSingle();
}

/// <summary>Rows of <see cref="BF16"/> where they lie, in the order of <see cref="PairProduct"/>: of 32 weights the odd ones, then the even ones.</summary>
internal readonly unsafe struct PairedBF16Weights : IRowWeights
{
    public static int Bytes => 2;

    public static bool IsCostly => false;

    public static bool Fetches => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* row, nint i)
        => ((Vector512.Load((uint*)(row + 2 * (i & ~31))) << (int)(i & 16)) & Vector512.Create(0xFFFF_0000u)).AsSingle();
}

/// <summary>Rows of <see cref="F16"/> where they lie.</summary>
internal readonly unsafe struct F16Weights : IRowWeights
{
    public static int Bytes => 2;

    public static bool IsCostly => true;

    public static bool Fetches => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* row, nint i)
        => HalfBits.ToSingle(Vector512.WidenLower(Vector256.Load((ushort*)row + i).ToVector512Unsafe()).AsInt32());
}

/// <summary>Rows that were widened into the cache.</summary>
internal readonly unsafe struct WidenedWeights : IRowWeights
{
    public static int Bytes => 4;

    public static bool IsCostly => false;

    public static bool Fetches => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* row, nint i) => Vector512.Load((float*)row + i);
}

/// <summary>Products of four weight rows with up to six rows of activations, over a range of columns.</summary>
/// <remarks>
/// The element order is that of <see cref="FloatTile"/>: partial sum <c>j</c> of 16 over ascending columns, then <see cref="Lanes"/>. Where a range does not reach the last column,
/// the partial sums are kept, all 16, and taken up by the next range; so neither tiles nor ranges change a bit.
/// </remarks>
internal unsafe struct RowTile
{
    /// <summary>Weight rows in a tile.</summary>
    public const int WeightRows = 4;

    /// <summary>The most rows of activations in a tile: 24 sums, 4 weights and an activation fit into 32 registers.</summary>
    public const int MaxRows = 6;

    /// <summary>Floats of the partial sums of a tile.</summary>
    public const int SumFloats = WeightRows * MaxRows * Lanes.Count;

    private const int Ahead = 1536; // Bytes; far enough for memory, near enough to stay in the first-level cache.
    private const MethodImplOptions KernelCode = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    /// <summary>The weight rows, from the range's first column on; one may stand for several where fewer are left.</summary>
    public byte* Row0, Row1, Row2, Row3;

    /// <summary>Where the results of the weight rows lie in a row of results.</summary>
    public float* Y0, Y1, Y2, Y3;

    /// <summary>Bytes between rows of activations.</summary>
    public nint XStride;

    /// <summary>Floats between rows of results.</summary>
    public nint YStride;

    /// <summary>Columns in the range, a multiple of 16.</summary>
    public nint Width;

    /// <summary>Whether the range begins at the first column, and whether it reaches the last.</summary>
    public bool First, Last;

    /// <summary>Multiplies every tile of a chunk.</summary>
    /// <param name="chunk">The tiles.</param>
    /// <param name="x">The first row of activations, from the range's first column on.</param>
    /// <param name="rows">Rows, 1 to 6.</param>
    /// <param name="row">The number of the first among the results.</param>
    /// <param name="sums">Partial sums from and for other ranges, <see cref="SumFloats"/> a tile; unused where one range is all.</param>
    public static void Multiply<TWeights>(in RowChunk chunk, byte* x, int rows, nint row, float* sums) where TWeights : IRowWeights
    {
        RowTile tile = new() { XStride = chunk.XStride, YStride = chunk.YStride, Width = chunk.Width, First = chunk.First, Last = chunk.Last };
        for (int i = 0; i < chunk.Count; i++)
        {
            nint at = i * chunk.Advance;
            tile.Row0 = chunk.Row0 + at;
            tile.Row1 = chunk.Row1 + at;
            tile.Row2 = chunk.Row2 + at;
            tile.Row3 = chunk.Row3 + at;
            tile.Y0 = chunk.Y + i * chunk.YAdvance;
            tile.Y1 = tile.Y0 + chunk.Y1;
            tile.Y2 = tile.Y0 + chunk.Y2;
            tile.Y3 = tile.Y0 + chunk.Y3;
            tile.Multiply<TWeights>(x, rows, row, sums + i * SumFloats);
        }
    }

    /// <summary>Multiplies <paramref name="rows"/> rows of activations, 1 to 6.</summary>
    /// <param name="x">The first row, from the range's first column on.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="row">The number of the first row among the results.</param>
    /// <param name="sums">Partial sums from and for other ranges; unused where one range is all.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Multiply<TWeights>(byte* x, int rows, nint row, float* sums) where TWeights : IRowWeights
    {
        // Three or five rows cost less as a full tile with one row done twice than as two tiles.
        if (rows > 4) Six<TWeights>(this, x, rows, row, sums);
        else if (rows > 2) Four<TWeights>(this, x, rows, row, sums);
        else if (rows == 2) Two<TWeights>(this, x, row, sums);
        else One<TWeights>(this, x, row, sums);
    }

    // SAFETY: (all below) callers pass four rows of `Width` weights, `rows` rows of activations of that width, results for each, and SumFloats sums.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Finish(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d, nint row)
    {
        Vector128<float> y = Lanes.Sum4(a, b, c, d);
        nint at = row * YStride;
        Y0[at] = y[0];
        Y1[at] = y[1];
        Y2[at] = y[2];
        Y3[at] = y[3];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Keep(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d, float* sums)
    {
        a.Store(sums);
        b.Store(sums + 16);
        c.Store(sums + 32);
        d.Store(sums + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Take(out Vector512<float> a, out Vector512<float> b, out Vector512<float> c, out Vector512<float> d, float* sums)
    {
        a = Vector512.Load(sums);
        b = Vector512.Load(sums + 16);
        c = Vector512.Load(sums + 32);
        d = Vector512.Load(sums + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fetch<TWeights>(byte* w0, byte* w1, byte* w2, byte* w3, nint i) where TWeights : IRowWeights
    {
        if (!TWeights.Fetches || !Sse.IsSupported) return;
        nint at = i * TWeights.Bytes + Ahead;
        Sse.Prefetch0(w0 + at);
        Sse.Prefetch0(w1 + at);
        Sse.Prefetch0(w2 + at);
        Sse.Prefetch0(w3 + at);
    }

    [MethodImpl(KernelCode)]
    private static void Six<TWeights>(in RowTile tile, byte* x, int rows, nint row, float* sums) where TWeights : IRowWeights
    {
        byte* w0 = tile.Row0, w1 = tile.Row1, w2 = tile.Row2, w3 = tile.Row3;
        nint stride = tile.XStride / sizeof(float);
        float* x0 = (float*)x, x1 = x0 + stride, x2 = x1 + stride, x3 = x2 + stride, x4 = x3 + stride, x5 = rows == 6 ? x4 + stride : x4;
        Vector512<float> a00 = default, a01 = default, a02 = default, a03 = default, a10 = default, a11 = default, a12 = default, a13 = default;
        Vector512<float> a20 = default, a21 = default, a22 = default, a23 = default, a30 = default, a31 = default, a32 = default, a33 = default;
        Vector512<float> a40 = default, a41 = default, a42 = default, a43 = default, a50 = default, a51 = default, a52 = default, a53 = default;
        if (!tile.First)
        {
            Take(out a00, out a01, out a02, out a03, sums);
            Take(out a10, out a11, out a12, out a13, sums + 64);
            Take(out a20, out a21, out a22, out a23, sums + 128);
            Take(out a30, out a31, out a32, out a33, sums + 192);
            Take(out a40, out a41, out a42, out a43, sums + 256);
            Take(out a50, out a51, out a52, out a53, sums + 320);
        }
        nint width = tile.Width;
        for (nint i = 0; i < width; i += Lanes.Count)
        {
            Fetch<TWeights>(w0, w1, w2, w3, i);
            Vector512<float> v0 = TWeights.Load(w0, i), v1 = TWeights.Load(w1, i), v2 = TWeights.Load(w2, i), v3 = TWeights.Load(w3, i);
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
            u = Vector512.Load(x4 + i);
            a40 = Vector512.FusedMultiplyAdd(v0, u, a40);
            a41 = Vector512.FusedMultiplyAdd(v1, u, a41);
            a42 = Vector512.FusedMultiplyAdd(v2, u, a42);
            a43 = Vector512.FusedMultiplyAdd(v3, u, a43);
            u = Vector512.Load(x5 + i);
            a50 = Vector512.FusedMultiplyAdd(v0, u, a50);
            a51 = Vector512.FusedMultiplyAdd(v1, u, a51);
            a52 = Vector512.FusedMultiplyAdd(v2, u, a52);
            a53 = Vector512.FusedMultiplyAdd(v3, u, a53);
        }
        if (tile.Last)
        {
            tile.Finish(a00, a01, a02, a03, row);
            tile.Finish(a10, a11, a12, a13, row + 1);
            tile.Finish(a20, a21, a22, a23, row + 2);
            tile.Finish(a30, a31, a32, a33, row + 3);
            tile.Finish(a40, a41, a42, a43, row + 4);
            if (rows == 6) tile.Finish(a50, a51, a52, a53, row + 5);
            return;
        }
        Keep(a00, a01, a02, a03, sums);
        Keep(a10, a11, a12, a13, sums + 64);
        Keep(a20, a21, a22, a23, sums + 128);
        Keep(a30, a31, a32, a33, sums + 192);
        Keep(a40, a41, a42, a43, sums + 256);
        Keep(a50, a51, a52, a53, sums + 320);
    }

    [MethodImpl(KernelCode)]
    private static void Four<TWeights>(in RowTile tile, byte* x, int rows, nint row, float* sums) where TWeights : IRowWeights
    {
        byte* w0 = tile.Row0, w1 = tile.Row1, w2 = tile.Row2, w3 = tile.Row3;
        nint stride = tile.XStride / sizeof(float);
        float* x0 = (float*)x, x1 = x0 + stride, x2 = x1 + stride, x3 = rows == 4 ? x2 + stride : x2;
        Vector512<float> a00 = default, a01 = default, a02 = default, a03 = default, a10 = default, a11 = default, a12 = default, a13 = default;
        Vector512<float> a20 = default, a21 = default, a22 = default, a23 = default, a30 = default, a31 = default, a32 = default, a33 = default;
        if (!tile.First)
        {
            Take(out a00, out a01, out a02, out a03, sums);
            Take(out a10, out a11, out a12, out a13, sums + 64);
            Take(out a20, out a21, out a22, out a23, sums + 128);
            Take(out a30, out a31, out a32, out a33, sums + 192);
        }
        nint width = tile.Width;
        for (nint i = 0; i < width; i += Lanes.Count)
        {
            Fetch<TWeights>(w0, w1, w2, w3, i);
            Vector512<float> v0 = TWeights.Load(w0, i), v1 = TWeights.Load(w1, i), v2 = TWeights.Load(w2, i), v3 = TWeights.Load(w3, i);
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
        if (tile.Last)
        {
            tile.Finish(a00, a01, a02, a03, row);
            tile.Finish(a10, a11, a12, a13, row + 1);
            tile.Finish(a20, a21, a22, a23, row + 2);
            if (rows == 4) tile.Finish(a30, a31, a32, a33, row + 3);
            return;
        }
        Keep(a00, a01, a02, a03, sums);
        Keep(a10, a11, a12, a13, sums + 64);
        Keep(a20, a21, a22, a23, sums + 128);
        Keep(a30, a31, a32, a33, sums + 192);
    }

    [MethodImpl(KernelCode)]
    private static void Two<TWeights>(in RowTile tile, byte* x, nint row, float* sums) where TWeights : IRowWeights
    {
        byte* w0 = tile.Row0, w1 = tile.Row1, w2 = tile.Row2, w3 = tile.Row3;
        float* x0 = (float*)x, x1 = (float*)(x + tile.XStride);
        Vector512<float> a00 = default, a01 = default, a02 = default, a03 = default, a10 = default, a11 = default, a12 = default, a13 = default;
        if (!tile.First)
        {
            Take(out a00, out a01, out a02, out a03, sums);
            Take(out a10, out a11, out a12, out a13, sums + 64);
        }
        nint width = tile.Width;
        for (nint i = 0; i < width; i += Lanes.Count)
        {
            Fetch<TWeights>(w0, w1, w2, w3, i);
            Vector512<float> v0 = TWeights.Load(w0, i), v1 = TWeights.Load(w1, i), v2 = TWeights.Load(w2, i), v3 = TWeights.Load(w3, i);
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
        }
        if (tile.Last)
        {
            tile.Finish(a00, a01, a02, a03, row);
            tile.Finish(a10, a11, a12, a13, row + 1);
            return;
        }
        Keep(a00, a01, a02, a03, sums);
        Keep(a10, a11, a12, a13, sums + 64);
    }

    [MethodImpl(KernelCode)]
    private static void One<TWeights>(in RowTile tile, byte* x, nint row, float* sums) where TWeights : IRowWeights
    {
        byte* w0 = tile.Row0, w1 = tile.Row1, w2 = tile.Row2, w3 = tile.Row3;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        if (!tile.First) Take(out a0, out a1, out a2, out a3, sums);
        nint width = tile.Width;
        for (nint i = 0; i < width; i += Lanes.Count)
        {
            Fetch<TWeights>(w0, w1, w2, w3, i);
            Vector512<float> u = Vector512.Load((float*)x + i);
            a0 = Vector512.FusedMultiplyAdd(TWeights.Load(w0, i), u, a0);
            a1 = Vector512.FusedMultiplyAdd(TWeights.Load(w1, i), u, a1);
            a2 = Vector512.FusedMultiplyAdd(TWeights.Load(w2, i), u, a2);
            a3 = Vector512.FusedMultiplyAdd(TWeights.Load(w3, i), u, a3);
        }
        if (tile.Last) tile.Finish(a0, a1, a2, a3, row);
        else Keep(a0, a1, a2, a3, sums);
    }
}
