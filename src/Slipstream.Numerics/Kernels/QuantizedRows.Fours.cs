using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <content>Four records of a row at once with AVX-512: what is found of a group stands in a lane of its own, so that scales, sums and terms of eight groups cost as much as those of one. The same bits.</content>
internal sealed unsafe partial class QuantizedRows
{
    private const int Records = 4, Groups = Records * RecordLength / Group;

    // SAFETY: (all below) x holds `width` floats; the tile has a record for each 32 of them. Returns the floats that were done.
    private static int QuantizeFours(float* x, int width, byte* record, int row, int zero)
    {
        int at = 0;
        float* reciprocals = stackalloc float[Groups];
        for (; at + Records * RecordLength <= width; at += Records * RecordLength, record += Records * RecordBytes)
            WriteFour(x + at, Scales(x + at), record, row, zero, reciprocals);
        return at;
    }

    private static int QuantizeFoursTwice(float* x, int width, byte* record, int row, int zero)
    {
        int at = 0;
        float* reciprocals = stackalloc float[Groups], factors = stackalloc float[Groups], rest = stackalloc float[Records * RecordLength];
        for (; at + Records * RecordLength <= width; at += Records * RecordLength, record += Records * RecordBytes)
        {
            Vector256<int> scales = Scales(x + at);
            WriteFour(x + at, scales, record, row, zero, reciprocals);
            scales.AsSingle().Store(factors);
            for (int g = 0; g < Groups; g++)
            {
                Vector512<float> values = Vector512.Load(x + at + Group * g), codes = Vector512.ConvertToSingle(ToNearest(values * Vector512.Create(reciprocals[g])));
                Vector512.FusedMultiplyAdd(codes, -Vector512.Create(factors[g]), values).Store(rest + Group * g);
            }
            WriteFour(rest, Vector256.ConditionalSelect(IsNumber(scales), scales - Vector256.Create(FineShift), scales), record, row + 1, zero, reciprocals);
        }
        return at;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Scales(float* x) => Scales(x, x + Group, x + 2 * Group, x + 3 * Group, x + 4 * Group, x + 5 * Group, x + 6 * Group, x + 7 * Group);

    /// <summary>The bits of the scales of eight groups.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Scales(float* g0, float* g1, float* g2, float* g3, float* g4, float* g5, float* g6, float* g7)
    {
        // Pairs of vectors become one, until each lane is the greatest of a group.
        Vector512<int> low = Greater64(Greater32(g0, g1), Greater32(g2, g3)), high = Greater64(Greater32(g4, g5), Greater32(g6, g7));
        Vector256<int> a = Vector256.Max(low.GetLower(), low.GetUpper()), b = Vector256.Max(high.GetLower(), high.GetUpper());
        Vector256<int> max = Vector256.Max(Avx2.Permute2x128(a, b, 0x20), Avx2.Permute2x128(a, b, 0x31));
        Vector256<int> scales = ((max.AsSingle() * Vector256.Create(1 / LargestCode)).AsInt32() + Vector256.Create(MantissaBits)) & Vector256.Create(ExponentBits);
        scales = Vector256.AndNot(scales, Vector256.LessThan(max, Vector256.Create(BitConverter.SingleToInt32Bits(Smallest))));
        return Vector256.ConditionalSelect(Vector256.LessThan(max, Vector256.Create(BitConverter.SingleToInt32Bits(Greatest))), scales, Vector256.Create(NaNBits));

        static Vector512<int> Greater32(float* a, float* b)
        {
            // Bits of magnitudes are in the order of the magnitudes, with NaN above all.
            Vector512<int> first = Vector512.Abs(Vector512.Load(a)).AsInt32(), second = Vector512.Abs(Vector512.Load(b)).AsInt32();
            return Vector512.Max(Avx512F.UnpackLow(first, second), Avx512F.UnpackHigh(first, second));
        }

        static Vector512<int> Greater64(Vector512<int> a, Vector512<int> b)
            => Vector512.Max(Avx512F.UnpackLow(a.AsInt64(), b.AsInt64()).AsInt32(), Avx512F.UnpackHigh(a.AsInt64(), b.AsInt64()).AsInt32());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> IsNumber(Vector256<int> scales)
        => Vector256.GreaterThan(scales, Vector256<int>.Zero) & Vector256.LessThan(scales, Vector256.Create(ExponentBits));

    /// <summary>Writes four records of a row, and leaves the reciprocals of the scales.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteFour(float* x, Vector256<int> scales, byte* record, int row, int zero, float* reciprocals)
    {
        ((Vector256.Create(OneTwiceBits) - scales) & IsNumber(scales)).AsSingle().Store(reciprocals); // Exact.
        Vector256<int> sums = Sums(CodesOf(0), CodesOf(1), CodesOf(2), CodesOf(3));
        Vector256<float> origins = scales.AsSingle() * Vector256.Create(Origin), terms = Vector256.ConvertToSingle(sums) * scales.AsSingle();
        Vector256<int> starts = origins.AsInt32() - sums * zero;
        Vector256<float> both = terms + Vector256.Shuffle(terms, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6));
        Put(0, origins.AsInt64()[0], starts.AsInt64()[0], terms.AsInt64()[0], both[0]);
        Put(1, origins.AsInt64()[1], starts.AsInt64()[1], terms.AsInt64()[1], both[2]);
        Put(2, origins.AsInt64()[2], starts.AsInt64()[2], terms.AsInt64()[2], both[4]);
        Put(3, origins.AsInt64()[3], starts.AsInt64()[3], terms.AsInt64()[3], both[6]);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        Vector256<long> CodesOf(int r) => WriteCodes(x + RecordLength * r, Group, reciprocals + 2 * r, record + r * RecordBytes + RecordLength * row);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        void Put(int r, long origin, long start, long term, float sum)
        {
            byte* to = record + r * RecordBytes;
            ((long*)(to + OriginsAt))[row] = origin;
            ((long*)(to + StartsAt))[row] = start;
            ((long*)(to + GroupTermsAt))[row] = term;
            ((float*)(to + TermsAt))[row] = sum;
        }
    }

    /// <summary>Stores the codes of 32 columns of a row, and gives two sums for each of its groups of the codes' distances from −128.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<long> WriteCodes(float* x, nint groupStride, float* reciprocals, byte* to)
    {
        Vector512<float> first = Vector512.Load(x) * Vector512.Create(reciprocals[0]), second = Vector512.Load(x + groupStride) * Vector512.Create(reciprocals[1]);
        Vector256<sbyte> codes = Vector256.Create(Narrow(ToNearest(first)), Narrow(ToNearest(second)));
        codes.Store((sbyte*)to);
        return Avx2.SumAbsoluteDifferences(codes.AsByte() ^ Vector256.Create((byte)0x80), Vector256<byte>.Zero).AsInt64();
    }

    /// <summary>The sums of the codes of eight groups, in their order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Sums(Vector256<long> a, Vector256<long> b, Vector256<long> c, Vector256<long> d)
    {
        // 64 bits each: the first groups of two rows or records, then their second groups.
        Vector256<long> two = Avx2.UnpackLow(a, b) + Avx2.UnpackHigh(a, b), four = Avx2.UnpackLow(c, d) + Avx2.UnpackHigh(c, d);
        Vector256<int> firsts = Avx2.Permute2x128(two, four, 0x20).AsInt32(), seconds = Avx2.Permute2x128(two, four, 0x31).AsInt32();
        return Avx2.UnpackLow(Avx2.UnpackLow(firsts, seconds).AsInt64(), Avx2.UnpackHigh(firsts, seconds).AsInt64()).AsInt32() - Vector256.Create(128 * Group);
    }
}
