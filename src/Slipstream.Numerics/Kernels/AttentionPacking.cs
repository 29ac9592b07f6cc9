using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>Brings cached rows of one head, in any <see cref="CacheType"/>, into the shape that <see cref="AttentionProduct"/> reads: keys turned round, values row by row.</summary>
/// <remarks>
/// Keys are turned round four bytes at a time: one float, two halves or four codes. What is packed has exactly the numbers that <see cref="CacheRows.Load"/> gives.
/// </remarks>
internal static unsafe class AttentionPacking
{
    /// <summary>Rows packed together.</summary>
    public const int Group = 16;

    private const MethodImplOptions KernelCode = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    /// <summary>Writes 16 keys as columns: <c>packed[d · 64 + i]</c> is number d of key i.</summary>
    /// <param name="type">How they are stored.</param>
    /// <param name="rows">Where each of the 16 keys' numbers (codes) begin.</param>
    /// <param name="scales">For <see cref="CacheType.Q8"/>: <c>[groups, 64]</c>, the scale of group g of key i at <c>64 g + i</c>.</param>
    /// <param name="headSize">Numbers of a key.</param>
    /// <param name="packed">The first of the 16 columns.</param>
    public static void Keys(CacheType type, byte** rows, float* scales, int headSize, float* packed)
    {
        switch (type)
        {
            case CacheType.F32: Turn<Singles>(rows, scales, headSize, packed); break;
            case CacheType.F16: Turn<Halves>(rows, scales, headSize, packed); break;
            default: Turn<Codes>(rows, scales, headSize, packed); break;
        }
    }

    /// <summary>Writes one row of values as floats, with zeros up to a multiple of 16.</summary>
    /// <param name="type">How it is stored.</param>
    /// <param name="row">Where its numbers (codes) begin.</param>
    /// <param name="scales">For <see cref="CacheType.Q8"/>: the scale of group g at <c>64 g</c>.</param>
    /// <param name="headSize">Numbers in it.</param>
    /// <param name="packed">Room for them, rounded up to a multiple of 16.</param>
    [MethodImpl(KernelCode)]
    public static void Value(CacheType type, byte* row, float* scales, int headSize, float* packed)
    {
        // SAFETY: (all below) the caller's rows hold headSize numbers in their type; packed rows and columns are as documented.
        int d = 0;
        if (Vector512.IsHardwareAccelerated)
            switch (type)
            {
                case CacheType.F32:
                    for (; d + 16 <= headSize; d += 16) Vector512.Load((float*)row + d).Store(packed + d);
                    break;
                case CacheType.F16:
                    for (; d + 16 <= headSize; d += 16)
                        HalfBits.ToSingle(Vector512.WidenLower(Vector256.Load((ushort*)row + d).ToVector512Unsafe()).AsInt32()).Store(packed + d);
                    break;
                default:
                    for (; d + 16 <= headSize; d += 16)
                    {
                        Vector256<short> wide = Vector256.WidenLower(Vector128.Load((sbyte*)row + d).ToVector256Unsafe());
                        Vector512<float> codes = Vector512.ConvertToSingle(Vector512.WidenLower(wide.ToVector512Unsafe()));
                        (codes * Vector512.Create(scales[d / CacheRows.GroupLength * TiledAttention.Tile])).Store(packed + d);
                    }
                    break;
            }
        for (; d < headSize; d++) packed[d] = Number(type, row, scales, d);
        for (; d % 16 != 0; d++) packed[d] = 0;
    }

    private static float Number(CacheType type, byte* row, float* scales, int d) => type switch
    {
        CacheType.F32 => ((float*)row)[d],
        CacheType.F16 => HalfBits.ToSingle(((ushort*)row)[d]),
        _ => ((sbyte*)row)[d] * scales[d / CacheRows.GroupLength * TiledAttention.Tile],
    };

    [MethodImpl(KernelCode)]
    private static void Turn<TNumbers>(byte** rows, float* scales, int headSize, float* packed) where TNumbers : INumbers
    {
        int d = 0, step = 4 * TNumbers.PerWord;
        if (Avx512F.IsSupported)
        {
            for (int at = 0; d + step <= headSize; d += step, at += 16)
            {
                // Row 4 L + j of the sixteen goes to lane L of vector j; then each lane is a square of four by four words.
                Vector512<int> r0 = Load(rows, 0, at), r1 = Load(rows, 1, at), r2 = Load(rows, 2, at), r3 = Load(rows, 3, at);
                Vector512<int> t0 = Avx512F.UnpackLow(r0, r1), t1 = Avx512F.UnpackHigh(r0, r1), t2 = Avx512F.UnpackLow(r2, r3), t3 = Avx512F.UnpackHigh(r2, r3);
                float* to = packed + (nint)d * TiledAttention.Tile;
                Vector512<float> scale = TNumbers.PerWord == 4 ? Vector512.Load(scales + d / CacheRows.GroupLength * TiledAttention.Tile) : default;
                TNumbers.Expand(Avx512F.UnpackLow(t0.AsInt64(), t2.AsInt64()).AsInt32(), scale, to);
                TNumbers.Expand(Avx512F.UnpackHigh(t0.AsInt64(), t2.AsInt64()).AsInt32(), scale, to + 1 * TNumbers.PerWord * TiledAttention.Tile);
                TNumbers.Expand(Avx512F.UnpackLow(t1.AsInt64(), t3.AsInt64()).AsInt32(), scale, to + 2 * TNumbers.PerWord * TiledAttention.Tile);
                TNumbers.Expand(Avx512F.UnpackHigh(t1.AsInt64(), t3.AsInt64()).AsInt32(), scale, to + 3 * TNumbers.PerWord * TiledAttention.Tile);
            }
        }
        for (; d < headSize; d++)
            for (int i = 0; i < Group; i++)
                packed[(nint)d * TiledAttention.Tile + i] = Number(TNumbers.Type, rows[i], scales + i, d);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Load(byte** rows, int j, int at)
    {
        Vector512<int> v = Vector128.Load((int*)(rows[j] + at)).ToVector256Unsafe().ToVector512Unsafe();
        v = Avx512F.InsertVector128(v, Vector128.Load((int*)(rows[4 + j] + at)), 1);
        v = Avx512F.InsertVector128(v, Vector128.Load((int*)(rows[8 + j] + at)), 2);
        return Avx512F.InsertVector128(v, Vector128.Load((int*)(rows[12 + j] + at)), 3);
    }

    /// <summary>What a word of four bytes holds.</summary>
    private interface INumbers
    {
        static abstract CacheType Type { get; }

        static abstract int PerWord { get; }

        /// <summary>Writes each number of the sixteen words to a row of its own.</summary>
        static abstract void Expand(Vector512<int> words, Vector512<float> scale, float* to);
    }

    private readonly struct Singles : INumbers
    {
        public static CacheType Type => CacheType.F32;

        public static int PerWord => 1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Expand(Vector512<int> words, Vector512<float> scale, float* to) => words.AsSingle().Store(to);
    }

    private readonly struct Halves : INumbers
    {
        public static CacheType Type => CacheType.F16;

        public static int PerWord => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Expand(Vector512<int> words, Vector512<float> scale, float* to)
        {
            HalfBits.ToSingle(words & Vector512.Create(0xFFFF)).Store(to);
            HalfBits.ToSingle(Vector512.ShiftRightLogical(words, 16)).Store(to + TiledAttention.Tile);
        }
    }

    private readonly struct Codes : INumbers
    {
        public static CacheType Type => CacheType.Q8;

        public static int PerWord => 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Expand(Vector512<int> words, Vector512<float> scale, float* to)
        {
            (Vector512.ConvertToSingle(words << 24 >> 24) * scale).Store(to);
            (Vector512.ConvertToSingle(words << 16 >> 24) * scale).Store(to + TiledAttention.Tile);
            (Vector512.ConvertToSingle(words << 8 >> 24) * scale).Store(to + 2 * TiledAttention.Tile);
            (Vector512.ConvertToSingle(words >> 24) * scale).Store(to + 3 * TiledAttention.Tile);
        }
    }
}
