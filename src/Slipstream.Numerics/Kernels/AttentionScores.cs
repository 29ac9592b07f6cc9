using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>Scores of a tile: products of up to four query rows with keys that are read where they lie.</summary>
/// <remarks>
/// Partial sum <c>j</c> of 16 is the fused sum of <c>q[i] · k[i]</c> over ascending <c>i ≡ j (mod 16)</c>; then <see cref="Lanes"/>, as in <see cref="FloatTile"/>.
/// Sixteen scores are made together (4 × 4, 2 × 8 or 1 × 16 of rows and keys), so that their 256 partial sums are added with 15 vector additions; that changes no score's order.
/// </remarks>
internal static unsafe class AttentionScores
{
    /// <summary>The most rows done together.</summary>
    public const int MaxRows = 4;

    private const MethodImplOptions KernelCode = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    /// <summary>Writes <c>scores[r, j] = q[r] · k[j]</c> for the first <paramref name="count"/> keys of a tile.</summary>
    /// <param name="rows">Query rows, 1 to <see cref="MaxRows"/>.</param>
    /// <param name="q">The first query row; rows begin <paramref name="width"/> floats apart.</param>
    /// <param name="keys">Where offsets count from.</param>
    /// <param name="offset">Where each key begins, in bytes; readable up to the next multiple of 16 floats.</param>
    /// <param name="count">Keys, a multiple of 16.</param>
    /// <param name="width">Floats in a row, a multiple of 16.</param>
    /// <param name="scores"><c>[rows, 64]</c>.</param>
    /// <param name="ahead">Rows to ask for, one with each key.</param>
    public static void Multiply(int rows, float* q, byte* keys, long* offset, int count, int width, float* scores, in RowsAhead ahead)
    {
        // SAFETY: (all below) the caller's rows and keys hold `width` floats, its scores a tile a row.
        if (!Avx512F.IsSupported)
        {
            for (int j = 0; j < ahead.Count; j++) ahead.Ask(j);
            for (int r = 0; r < rows; r++) Narrow(q + (nint)r * width, keys, offset, count, width, scores + r * TiledAttention.Tile);
            return;
        }
        switch (rows)
        {
            case 1: One(q, keys, offset, count, width, scores, in ahead); break;
            case 2: Two(q, keys, offset, count, width, scores, in ahead); break;
            case 3: Many<WithoutFourth>(q, keys, offset, count, width, scores, in ahead); break;
            default: Many<WithFourth>(q, keys, offset, count, width, scores, in ahead); break;
        }
        // A tile with few places may come before a whole one.
        for (int j = count; j < ahead.Count; j++) ahead.Ask(j);
    }

    /// <summary>The definition of one score.</summary>
    internal static float Reference(ReadOnlySpan<float> q, ReadOnlySpan<float> k) => FloatTile.Reference(k, q);

    [MethodImpl(KernelCode)]
    private static void Many<TFourth>(float* q0, byte* keys, long* offset, int count, nint width, float* scores, in RowsAhead ahead) where TFourth : IFourth
    {
        float* q1 = q0 + width, q2 = q1 + width, q3 = q2 + width;
        for (nint j = 0; j < count; j += 4)
        {
            for (nint i = j; i < j + 4; i++) ahead.Ask(i);
            float* k0 = (float*)(keys + offset[j]), k1 = (float*)(keys + offset[j + 1]), k2 = (float*)(keys + offset[j + 2]), k3 = (float*)(keys + offset[j + 3]);
            Vector512<float> a00 = default, a01 = default, a02 = default, a03 = default, a10 = default, a11 = default, a12 = default, a13 = default;
            Vector512<float> a20 = default, a21 = default, a22 = default, a23 = default, a30 = default, a31 = default, a32 = default, a33 = default;
            for (nint i = 0; i < width; i += Lanes.Count)
            {
                Vector512<float> b0 = Vector512.Load(k0 + i), b1 = Vector512.Load(k1 + i), b2 = Vector512.Load(k2 + i), b3 = Vector512.Load(k3 + i), x = Vector512.Load(q0 + i);
                a00 = Vector512.FusedMultiplyAdd(x, b0, a00);
                a01 = Vector512.FusedMultiplyAdd(x, b1, a01);
                a02 = Vector512.FusedMultiplyAdd(x, b2, a02);
                a03 = Vector512.FusedMultiplyAdd(x, b3, a03);
                x = Vector512.Load(q1 + i);
                a10 = Vector512.FusedMultiplyAdd(x, b0, a10);
                a11 = Vector512.FusedMultiplyAdd(x, b1, a11);
                a12 = Vector512.FusedMultiplyAdd(x, b2, a12);
                a13 = Vector512.FusedMultiplyAdd(x, b3, a13);
                x = Vector512.Load(q2 + i);
                a20 = Vector512.FusedMultiplyAdd(x, b0, a20);
                a21 = Vector512.FusedMultiplyAdd(x, b1, a21);
                a22 = Vector512.FusedMultiplyAdd(x, b2, a22);
                a23 = Vector512.FusedMultiplyAdd(x, b3, a23);
                if (!TFourth.Exists) continue;
                x = Vector512.Load(q3 + i);
                a30 = Vector512.FusedMultiplyAdd(x, b0, a30);
                a31 = Vector512.FusedMultiplyAdd(x, b1, a31);
                a32 = Vector512.FusedMultiplyAdd(x, b2, a32);
                a33 = Vector512.FusedMultiplyAdd(x, b3, a33);
            }
            // Four lanes a key to four lanes a row: row r of key k is lane 4 r + k.
            Vector512<float> y = Join(
                Quarter(a00, a10, a20, a30), Quarter(a01, a11, a21, a31),
                Quarter(a02, a12, a22, a32), Quarter(a03, a13, a23, a33));
            Vector256<float> low = y.GetLower(), high = y.GetUpper();
            low.GetLower().Store(scores + j);
            low.GetUpper().Store(scores + TiledAttention.Tile + j);
            high.GetLower().Store(scores + 2 * TiledAttention.Tile + j);
            if (TFourth.Exists) high.GetUpper().Store(scores + 3 * TiledAttention.Tile + j);
        }
    }

    [MethodImpl(KernelCode)]
    private static void Two(float* q, byte* keys, long* offset, int count, nint width, float* scores, in RowsAhead ahead)
    {
        float* q1 = q + width;
        for (nint j = 0; j < count; j += 8)
        {
            for (nint i = j; i < j + 8; i++) ahead.Ask(i);
            float* k0 = (float*)(keys + offset[j]), k1 = (float*)(keys + offset[j + 1]), k2 = (float*)(keys + offset[j + 2]), k3 = (float*)(keys + offset[j + 3]);
            float* k4 = (float*)(keys + offset[j + 4]), k5 = (float*)(keys + offset[j + 5]), k6 = (float*)(keys + offset[j + 6]), k7 = (float*)(keys + offset[j + 7]);
            Vector512<float> a00 = default, a01 = default, a02 = default, a03 = default, a04 = default, a05 = default, a06 = default, a07 = default;
            Vector512<float> a10 = default, a11 = default, a12 = default, a13 = default, a14 = default, a15 = default, a16 = default, a17 = default;
            for (nint i = 0; i < width; i += Lanes.Count)
            {
                Vector512<float> x0 = Vector512.Load(q + i), x1 = Vector512.Load(q1 + i);
                Pair(x0, x1, k0 + i, ref a00, ref a10);
                Pair(x0, x1, k1 + i, ref a01, ref a11);
                Pair(x0, x1, k2 + i, ref a02, ref a12);
                Pair(x0, x1, k3 + i, ref a03, ref a13);
                Pair(x0, x1, k4 + i, ref a04, ref a14);
                Pair(x0, x1, k5 + i, ref a05, ref a15);
                Pair(x0, x1, k6 + i, ref a06, ref a16);
                Pair(x0, x1, k7 + i, ref a07, ref a17);
            }
            Vector512<float> y = Join(Quarter(a00, a04, a10, a14), Quarter(a01, a05, a11, a15), Quarter(a02, a06, a12, a16), Quarter(a03, a07, a13, a17));
            y.GetLower().Store(scores + j);
            y.GetUpper().Store(scores + TiledAttention.Tile + j);
        }
    }

    [MethodImpl(KernelCode)]
    private static void One(float* q, byte* keys, long* offset, int count, nint width, float* scores, in RowsAhead ahead)
    {
        for (nint j = 0; j < count; j += 16)
        {
            for (nint i = j; i < j + 16; i++) ahead.Ask(i);
            Vector512<float> t0 = Keys(q, keys, offset + j, width), t1 = Keys(q, keys, offset + j + 1, width), t2 = Keys(q, keys, offset + j + 2, width), t3 = Keys(q, keys, offset + j + 3, width);
            Join(t0, t1, t2, t3).Store(scores + j);
        }
    }

    /// <summary>Keys j, j + 4, j + 8 and j + 12: a quarter of the sums left to add for each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Keys(float* q, byte* keys, long* offset, nint width)
    {
        float* k0 = (float*)(keys + offset[0]), k1 = (float*)(keys + offset[4]), k2 = (float*)(keys + offset[8]), k3 = (float*)(keys + offset[12]);
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        for (nint i = 0; i < width; i += Lanes.Count)
        {
            Vector512<float> x = Vector512.Load(q + i);
            a0 = Vector512.FusedMultiplyAdd(x, Vector512.Load(k0 + i), a0);
            a1 = Vector512.FusedMultiplyAdd(x, Vector512.Load(k1 + i), a1);
            a2 = Vector512.FusedMultiplyAdd(x, Vector512.Load(k2 + i), a2);
            a3 = Vector512.FusedMultiplyAdd(x, Vector512.Load(k3 + i), a3);
        }
        return Quarter(a0, a1, a2, a3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pair(Vector512<float> x0, Vector512<float> x1, float* k, ref Vector512<float> a0, ref Vector512<float> a1)
    {
        Vector512<float> b = Vector512.Load(k);
        a0 = Vector512.FusedMultiplyAdd(x0, b, a0);
        a1 = Vector512.FusedMultiplyAdd(x1, b, a1);
    }

    /// <summary>Lanes i + (i + 8), then i + (i + 4), of four vectors: four lanes of each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Quarter(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        Vector512<float> ab = Avx512F.Shuffle4x128(a, b, 0x44) + Avx512F.Shuffle4x128(a, b, 0xEE), cd = Avx512F.Shuffle4x128(c, d, 0x44) + Avx512F.Shuffle4x128(c, d, 0xEE);
        return Avx512F.Shuffle4x128(ab, cd, 0x88) + Avx512F.Shuffle4x128(ab, cd, 0xDD);
    }

    /// <summary>Lanes i + (i + 2), then i + (i + 1), within each four: lane 4 c + m is the sum of four c of vector m.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Join(Vector512<float> t0, Vector512<float> t1, Vector512<float> t2, Vector512<float> t3)
    {
        Vector512<double> d0 = t0.AsDouble(), d1 = t1.AsDouble(), d2 = t2.AsDouble(), d3 = t3.AsDouble();
        Vector512<float> u0 = Avx512F.UnpackLow(d0, d1).AsSingle() + Avx512F.UnpackHigh(d0, d1).AsSingle(), u1 = Avx512F.UnpackLow(d2, d3).AsSingle() + Avx512F.UnpackHigh(d2, d3).AsSingle();
        return Avx512F.Shuffle(u0, u1, 0x88) + Avx512F.Shuffle(u0, u1, 0xDD);
    }

    [MethodImpl(KernelCode)]
    private static void Narrow(float* q, byte* keys, long* offset, int count, nint width, float* scores)
    {
        for (nint j = 0; j < count; j += 4)
        {
            float* k0 = (float*)(keys + offset[j]), k1 = (float*)(keys + offset[j + 1]), k2 = (float*)(keys + offset[j + 2]), k3 = (float*)(keys + offset[j + 3]);
            Vector256<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
            for (nint i = 0; i < width; i += Lanes.Count)
            {
                Vector256<float> x = Vector256.Load(q + i), z = Vector256.Load(q + i + 8);
                a0 = Vector256.FusedMultiplyAdd(x, Vector256.Load(k0 + i), a0);
                b0 = Vector256.FusedMultiplyAdd(z, Vector256.Load(k0 + i + 8), b0);
                a1 = Vector256.FusedMultiplyAdd(x, Vector256.Load(k1 + i), a1);
                b1 = Vector256.FusedMultiplyAdd(z, Vector256.Load(k1 + i + 8), b1);
                a2 = Vector256.FusedMultiplyAdd(x, Vector256.Load(k2 + i), a2);
                b2 = Vector256.FusedMultiplyAdd(z, Vector256.Load(k2 + i + 8), b2);
                a3 = Vector256.FusedMultiplyAdd(x, Vector256.Load(k3 + i), a3);
                b3 = Vector256.FusedMultiplyAdd(z, Vector256.Load(k3 + i + 8), b3);
            }
            Lanes.Sum4(Vector512.Create(a0, b0), Vector512.Create(a1, b1), Vector512.Create(a2, b2), Vector512.Create(a3, b3)).Store(scores + j);
        }
    }

    private interface IFourth { static abstract bool Exists { get; } }
    private readonly struct WithFourth : IFourth { public static bool Exists => true; }
    private readonly struct WithoutFourth : IFourth { public static bool Exists => false; }
}
