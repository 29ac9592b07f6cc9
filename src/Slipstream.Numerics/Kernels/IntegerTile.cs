using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>
/// Four weight rows as codes, scales and offsets, as <see cref="IIntegerFormat.Unpack"/> gives them, end to end; a kernel may read on after the last row
/// (128 codes, 16 scales, 16 offsets) but uses nothing of what it finds there.
/// </summary>
internal unsafe struct UnpackedRows
{
    /// <summary>Codes of row 0, and bytes between rows.</summary>
    public byte* Codes;
    public nint CodeStride;

    /// <summary>Scales and offsets of row 0.</summary>
    public float* Scales;
    public float* Offsets;

    /// <summary>Scales in a row, and so floats between rows.</summary>
    public int Groups;
}

/// <summary>Products of four integer-coded weight rows with many rows of 8-bit activations.</summary>
/// <remarks>
/// Element order: 16 partial sums. If the format has offsets, partial sum <c>j</c> begins as the fused sum of <c>offset[g] · (scale · Σ codes of x in g)</c> over ascending
/// groups <c>g ≡ j (mod 16)</c>, else as zero. Then weights are taken in ascending fours of groups of 32. Partial sum <c>4 g + i</c> belongs to the group g of the four and to
/// its weights <c>4 i .. 4 i + 3</c> and <c>16 + 4 i .. 16 + 4 i + 3</c>: the exact integer <c>Σ (code − Zero) · x</c> over them, as a float, times
/// <c>weight scale · activation scale</c>, is added with one rounding; where scales belong to 16 weights, first the one half, then the other.
/// The sum of the partial sums is that of <see cref="Lanes"/>. Tiles and instruction sets do not change this order.
/// </remarks>
internal static unsafe class IntegerTile
{
    /// <summary>Weight rows in a tile.</summary>
    public const int WeightRows = 4;

    // Fully optimised at first use; and apart: inlined with its callers, a kernel exhausts the compiler's budget, and its own vector helpers become calls.
    private const MethodImplOptions KernelCode = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    // The largest code of which two, or four, products with 127 fit into 16 bits.
    private const int LargestPairable = 129, LargestFourfold = 64;

    /// <summary>Writes <c>y[m, 0..live)</c> for every row m.</summary>
    /// <param name="w">The weight rows; those beyond <paramref name="live"/> may hold anything.</param>
    /// <param name="live">Weight rows whose results are written, 1 to 4.</param>
    /// <param name="x">The first row's records.</param>
    /// <param name="records">Records in a row.</param>
    /// <param name="sums">The first row's group sums, for formats with offsets; with zeros up to a multiple of 16, where the next row begins.</param>
    /// <param name="rows">Rows of activations.</param>
    /// <param name="y">The first result; rows begin <paramref name="yStride"/> floats apart.</param>
    /// <param name="yStride">Floats between rows of results.</param>
    public static void Multiply<TFormat>(in UnpackedRows w, int live, byte* x, int records, float* sums, int rows, float* y, nint yStride)
        where TFormat : IIntegerFormat
    {
        nint xStride = (nint)records * QuantizedRows.RecordBytes, sumStride = Activations.PadFloats(w.Groups);
        int m = 0;
        for (; Vector512.IsHardwareAccelerated && m + 3 <= rows; m += 4)
        {
            // Three rows left cost less as a full tile with one row done twice than one by one.
            nint last = m + 3 < rows ? 3 : 2;
            Four<TFormat>(w, 0, Math.Min(2, live), x + m * xStride, xStride, last, records, sums + m * sumStride, y + m * yStride, yStride);
            if (live > 2) Four<TFormat>(w, 2, live - 2, x + m * xStride, xStride, last, records, sums + m * sumStride, y + m * yStride + 2, yStride);
        }
        for (; m < rows; m++) One<TFormat>(w, live, x + m * xStride, records, sums + m * sumStride, y + m * yStride);
    }

    /// <summary>The sums of each four products of codes and activations, exactly, whatever the instruction set.</summary>
    /// <param name="codes">64 codes, none above <paramref name="maxCode"/>.</param>
    /// <param name="x">64 activations, −127 to 127.</param>
    /// <param name="maxCode">A constant.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Dot(Vector512<byte> codes, Vector512<sbyte> x, int maxCode)
    {
        if (Avx512BW.IsSupported && maxCode <= LargestPairable)
            return Avx512BW.MultiplyAddAdjacent(Avx512BW.MultiplyAddAdjacent(codes, x), Vector512<short>.One);
        if (AvxVnni.IsSupported || Avx2.IsSupported)
            return Join(Dot(codes.GetLower(), x.GetLower(), maxCode), Dot(codes.GetUpper(), x.GetUpper(), maxCode));
        return DotPortable(codes, x);
    }

    /// <summary><see cref="Dot(Vector512{byte}, Vector512{sbyte}, int)"/> with 128 taken from every code: such products fit into 16 bits in pairs (128 · 127 · 2 = 32512). Needs AVX-512.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<int> DotLess128(Vector512<byte> codes, Vector512<sbyte> x)
    {
        // (code − 128) x = (low seven bits) x − (128 where the top bit is clear) x
        Vector512<byte> top = Vector512.Create((byte)0x80);
        Vector512<short> pairs = Avx512BW.MultiplyAddAdjacent(Vector512.AndNot(codes, top), x) - Avx512BW.MultiplyAddAdjacent(Vector512.AndNot(top, codes), x);
        return Avx512BW.MultiplyAddAdjacent(pairs, Vector512<short>.One);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Dot(Vector256<byte> codes, Vector256<sbyte> x, int maxCode)
    {
        if (AvxVnni.IsSupported) return AvxVnni.MultiplyWideningAndAdd(Vector256<int>.Zero, codes, x);
        return DotAvx2(codes, x, maxCode);
    }

    /// <summary><see cref="Dot(Vector512{byte}, Vector512{sbyte}, int)"/> of half a record without the dot product instructions.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<int> DotAvx2(Vector256<byte> codes, Vector256<sbyte> x, int maxCode)
    {
        Vector256<short> one = Vector256<short>.One;
        if (maxCode <= LargestPairable) return Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(codes, x), one);
        // The top bit apart from the rest: neither part's pairs leave 16 bits, where the instruction would saturate.
        Vector256<byte> top = Vector256.Create((byte)0x80);
        return Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(Vector256.AndNot(codes, top), x), one)
             + Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(codes & top, x), one);
    }

    /// <summary>The definition of <see cref="Dot(Vector512{byte}, Vector512{sbyte}, int)"/>, for machines without vector instructions for it.</summary>
    internal static Vector512<int> DotPortable(Vector512<byte> codes, Vector512<sbyte> x)
    {
        Vector512<int> result = default;
        for (int j = 0; j < Lanes.Count; j++)
        {
            int sum = 0;
            for (int i = 4 * j; i < 4 * j + 4; i++) sum += codes.GetElement(i) * x.GetElement(i);
            result = result.WithElement(j, sum);
        }
        return result;
    }

    /// <summary>The definition of one element: a row of weights and a row of float activations.</summary>
    internal static float Reference<TFormat>(ReadOnlySpan<byte> blocks, ReadOnlySpan<float> x) where TFormat : IIntegerFormat
    {
        int width = x.Length, group = TFormat.GroupLength;
        byte[] codes = new byte[width];
        float[] scales = new float[width / group], offsets = new float[TFormat.HasOffsets ? width / group : 0];
        TFormat.Unpack(blocks, codes, scales, offsets);
        int[] q = new int[width];
        float[] xScales = new float[width / 8];
        for (int at = 0; at < width; at += 32) QuantizedRows.Reference(x.Slice(at, 32), q.AsSpan(at, 32), xScales.AsSpan(at / 8, 4));
        float[] lanes = new float[Lanes.Count], halves = new float[width / 16];
        for (int h = 0; h < halves.Length; h++)
        {
            float Part(int i) => xScales[h / 2 * 4 + i] * (q[16 * h + 4 * i] + q[16 * h + 4 * i + 1] + q[16 * h + 4 * i + 2] + q[16 * h + 4 * i + 3]);
            halves[h] = Part(0) + Part(1) + (Part(2) + Part(3));
        }
        for (int g = 0; g < offsets.Length; g++)
            lanes[g % Lanes.Count] = MathF.FusedMultiplyAdd(offsets[g], group == 16 ? halves[g] : halves[2 * g] + halves[2 * g + 1], lanes[g % Lanes.Count]);
        for (int at = 0; at < width; at += 32)
            for (int i = 0; i < 4; i++)
            {
                int lane = at / 32 % 4 * 4 + i, first = 0, second = 0;
                for (int k = at + 4 * i; k < at + 4 * i + 4; k++)
                {
                    first += (codes[k] - TFormat.Zero) * q[k];
                    second += (codes[k + 16] - TFormat.Zero) * q[k + 16];
                }
                if (group == 32) lanes[lane] = MathF.FusedMultiplyAdd(first + second, scales[at / 32] * xScales[at / 8 + i], lanes[lane]);
                else
                {
                    lanes[lane] = MathF.FusedMultiplyAdd(first, scales[at / 16] * xScales[at / 8 + i], lanes[lane]);
                    lanes[lane] = MathF.FusedMultiplyAdd(second, scales[at / 16 + 1] * xScales[at / 8 + i], lanes[lane]);
                }
            }
        return Lanes.Reference(lanes);
    }

    // SAFETY: (all below) callers pass whole records, sums padded with zeros to a multiple of 16, weights that may be read a record beyond their end, and
    // results of at least `live` floats.

    // Two weight rows by four rows of activations: more do not fit into 32 registers.
    [MethodImpl(KernelCode)]
    private static void Four<TFormat>(in UnpackedRows w, nint first, int live, byte* x0, nint xStride, nint last, int records, float* sums, float* y, nint yStride)
        where TFormat : IIntegerFormat
    {
        byte* x1 = x0 + xStride, x2 = x1 + xStride, x3 = x0 + last * xStride;
        byte* c0 = w.Codes + first * w.CodeStride, c1 = c0 + w.CodeStride;
        float* s0 = w.Scales + first * w.Groups, s1 = s0 + w.Groups;
        Vector512<float> a00 = default, a01 = default, a10 = default, a11 = default, a20 = default, a21 = default, a30 = default, a31 = default;
        if (TFormat.HasOffsets)
        {
            nint stride = Activations.PadFloats(w.Groups);
            for (int g = 0; g < w.Groups; g += Lanes.Count)
            {
                Vector512<float> o0 = Offsets(w, first, g), o1 = Offsets(w, first + 1, g);
                Vector512<float> u = Vector512.Load(sums + g);
                (a00, a01) = (Fma(o0, u, a00), Fma(o1, u, a01));
                u = Vector512.Load(sums + stride + g);
                (a10, a11) = (Fma(o0, u, a10), Fma(o1, u, a11));
                u = Vector512.Load(sums + 2 * stride + g);
                (a20, a21) = (Fma(o0, u, a20), Fma(o1, u, a21));
                u = Vector512.Load(sums + last * stride + g);
                (a30, a31) = (Fma(o0, u, a30), Fma(o1, u, a31));
            }
        }
        nint at = 0;
        for (int r = 0; r < records; r++, at += QuantizedRows.RecordBytes)
        {
            Weights v0 = Load<TFormat>(c0, s0, w.Groups, r), v1 = Load<TFormat>(c1, s1, w.Groups, r);
            a00 = Add<TFormat>(v0, x0 + at, a00);
            a01 = Add<TFormat>(v1, x0 + at, a01);
            a10 = Add<TFormat>(v0, x1 + at, a10);
            a11 = Add<TFormat>(v1, x1 + at, a11);
            a20 = Add<TFormat>(v0, x2 + at, a20);
            a21 = Add<TFormat>(v1, x2 + at, a21);
            a30 = Add<TFormat>(v0, x3 + at, a30);
            a31 = Add<TFormat>(v1, x3 + at, a31);
        }
        Vector128<float> top = Lanes.Sum4(a00, a01, a10, a11), bottom = Lanes.Sum4(a20, a21, a30, a31);
        Lanes.StorePair(top.GetLower(), live, y);
        Lanes.StorePair(top.GetUpper(), live, y + yStride);
        Lanes.StorePair(bottom.GetLower(), live, y + 2 * yStride);
        Lanes.StorePair(bottom.GetUpper(), live, y + last * yStride);
    }

    [MethodImpl(KernelCode)]
    private static void One<TFormat>(in UnpackedRows w, int live, byte* x, int records, float* sums, float* y) where TFormat : IIntegerFormat
    {
        byte* c0 = w.Codes, c1 = c0 + w.CodeStride, c2 = c1 + w.CodeStride, c3 = c2 + w.CodeStride;
        float* s0 = w.Scales, s1 = s0 + w.Groups, s2 = s1 + w.Groups, s3 = s2 + w.Groups;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        if (TFormat.HasOffsets)
            for (int g = 0; g < w.Groups; g += Lanes.Count)
            {
                Vector512<float> u = Vector512.Load(sums + g);
                a0 = Fma(Offsets(w, 0, g), u, a0);
                a1 = Fma(Offsets(w, 1, g), u, a1);
                a2 = Fma(Offsets(w, 2, g), u, a2);
                a3 = Fma(Offsets(w, 3, g), u, a3);
            }
        for (int r = 0; r < records; r++, x += QuantizedRows.RecordBytes)
        {
            a0 = Add<TFormat>(Load<TFormat>(c0, s0, w.Groups, r), x, a0);
            a1 = Add<TFormat>(Load<TFormat>(c1, s1, w.Groups, r), x, a1);
            a2 = Add<TFormat>(Load<TFormat>(c2, s2, w.Groups, r), x, a2);
            a3 = Add<TFormat>(Load<TFormat>(c3, s3, w.Groups, r), x, a3);
        }
        Lanes.Store(Lanes.Sum4(a0, a1, a2, a3), live, y);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fma(Vector512<float> a, Vector512<float> b, Vector512<float> sum) => Vector512.FusedMultiplyAdd(a, b, sum);

    /// <summary>A record of one weight row: the first and second halves of its four groups, and the scale of every partial sum (of the second halves: where scales belong to 16 weights).</summary>
    private struct Weights
    {
        public Vector512<byte> First, Second;
        public Vector512<float> Scales, SecondScales;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Weights Load<TFormat>(byte* codes, float* scales, int groups, int record) where TFormat : IIntegerFormat
    {
        Weights w = default;
        Vector512<long> low = Vector512.Load((long*)(codes + (nint)record * 128)), high = Vector512.Load((long*)(codes + (nint)record * 128 + 64));
        if (Avx512F.IsSupported)
        {
            w.First = Avx512F.Shuffle4x128(low, high, 0b10_00_10_00).AsByte();
            w.Second = Avx512F.Shuffle4x128(low, high, 0b11_01_11_01).AsByte();
        }
        else
        {
            Vector256<long> a = low.GetLower(), b = low.GetUpper(), c = high.GetLower(), d = high.GetUpper();
            w.First = Join(Vector256.Create(a.GetLower(), b.GetLower()), Vector256.Create(c.GetLower(), d.GetLower())).AsByte();
            w.Second = Join(Vector256.Create(a.GetUpper(), b.GetUpper()), Vector256.Create(c.GetUpper(), d.GetUpper())).AsByte();
        }
        // Scales after the row's last are another row's, or nothing at all: they count as zero.
        Vector512<int> group = Vector512.ShiftRightLogical(Vector512<int>.Indices, 2);
        if (TFormat.GroupLength == 32)
        {
            Vector512<float> inside = Vector512.LessThan(group, Vector512.Create(groups - 4 * record)).AsSingle();
            w.Scales = Spread(scales + 4 * (nint)record, group) & inside;
        }
        else
        {
            group += group;
            Vector512<float> inside = Vector512.LessThan(group, Vector512.Create(groups - 8 * record)).AsSingle();
            w.Scales = Spread(scales + 8 * (nint)record, group) & inside;
            w.SecondScales = Spread(scales + 8 * (nint)record, group + Vector512<int>.One) & inside;
        }
        return w;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Spread(float* scales, Vector512<int> index)
    {
        if (Avx512F.IsSupported) return Avx512F.PermuteVar16x32(Vector512.Load(scales), index);
        return Join(
            Vector256.Create(Vector128.Create(scales[index[0]]), Vector128.Create(scales[index[4]])),
            Vector256.Create(Vector128.Create(scales[index[8]]), Vector128.Create(scales[index[12]])));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add<TFormat>(in Weights w, byte* record, Vector512<float> sum) where TFormat : IIntegerFormat
    {
        Vector512<sbyte> x = Vector512.Load((sbyte*)record), second = Vector512.Load((sbyte*)record + 64);
        Vector512<float> scales = Vector512.Load((float*)(record + QuantizedRows.ScalesAt));
        int* sums = (int*)(record + QuantizedRows.SumsAt);
        if (TFormat.GroupLength == 16)
        {
            sum = Fma(Vector512.ConvertToSingle(DotLessZero<TFormat>(w.First, x, sums)), w.Scales * scales, sum);
            return Fma(Vector512.ConvertToSingle(DotLessZero<TFormat>(w.Second, second, sums + Lanes.Count)), w.SecondScales * scales, sum);
        }
        Vector512<int> dot;
        if (Avx512BW.IsSupported && TFormat.MaxCode <= LargestFourfold)
        {
            dot = Avx512BW.MultiplyAddAdjacent(Avx512BW.MultiplyAddAdjacent(w.First, x) + Avx512BW.MultiplyAddAdjacent(w.Second, second), Vector512<short>.One);
            if (TFormat.Zero != 0) dot -= (Vector512.Load(sums) + Vector512.Load(sums + Lanes.Count)) * TFormat.Zero;
        }
        else dot = DotLessZero<TFormat>(w.First, x, sums) + DotLessZero<TFormat>(w.Second, second, sums + Lanes.Count);
        return Fma(Vector512.ConvertToSingle(dot), w.Scales * scales, sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> DotLessZero<TFormat>(Vector512<byte> codes, Vector512<sbyte> x, int* sums) where TFormat : IIntegerFormat
    {
        if (TFormat.Zero == 128 && Avx512BW.IsSupported) return DotLess128(codes, x);
        Vector512<int> dot = Dot(codes, x, TFormat.MaxCode);
        return TFormat.Zero == 0 ? dot : dot - Vector512.Load(sums) * TFormat.Zero;
    }

    /// <summary>Sixteen offsets of a row from group <paramref name="group"/> on; those after the row's last group, which may be the next row's, as zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Offsets(in UnpackedRows w, nint row, int group)
    {
        Vector512<int> inside = Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(w.Groups - group));
        return Vector512.Load(w.Offsets + row * w.Groups + group) & inside.AsSingle();
    }

    // Vector512.Create(lower, upper) makes two insertions, the first of them into whatever the register held.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<T> Join<T>(Vector256<T> lower, Vector256<T> upper) => lower.ToVector512Unsafe().WithUpper(upper);
}
