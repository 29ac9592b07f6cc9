using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <content>A record of four rows at once with AVX-512: what is found of a group stands in a lane of its own, in the order in which records hold it. The same bits as one row at a time.</content>
internal sealed unsafe partial class QuantizedRows
{
    /// <summary>Quantises up to four rows of 32 floats into a record.</summary>
    /// <param name="x">The first row's first group of 16.</param>
    /// <param name="rowStride">Floats from a row to the next.</param>
    /// <param name="groupStride">Floats from a row's first group to its second.</param>
    /// <param name="rows">Rows, 1 to 4.</param>
    /// <param name="record">The record.</param>
    /// <param name="zero">The code for zero of the weights that are multiplied first.</param>
    // SAFETY: callers give rows that many floats apart, and a record to write.
    public static void QuantizeRecord(float* x, nint rowStride, nint groupStride, int rows, byte* record, int zero)
    {
        if (rows == TileRows && Avx512F.IsSupported)
        {
            WriteTile(x, rowStride, groupStride, record, zero);
            return;
        }
        for (int row = 0; row < rows; row++, x += rowStride)
        {
            Vector512<float> first = Vector512.Load(x), second = Vector512.Load(x + groupStride);
            Write(first, second, Scales(first, second), record, row, zero);
        }
    }

    // SAFETY: (all below) x holds four rows; the tile has a record for each 32 of their floats.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void QuantizeTile(float* x, nint rowStride, int width, byte* record, int zero)
    {
        for (int at = 0; at < width; at += RecordLength, record += RecordBytes) WriteTile(x + at, rowStride, Group, record, zero);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining), SkipLocalsInit]
    private static void WriteTile(float* x, nint rowStride, nint groupStride, byte* record, int zero)
    {
        float* x1 = x + rowStride, x2 = x1 + rowStride, x3 = x2 + rowStride, reciprocals = stackalloc float[Groups];
        Vector256<int> scales = Scales(x, x + groupStride, x1, x1 + groupStride, x2, x2 + groupStride, x3, x3 + groupStride);
        ((Vector256.Create(OneTwiceBits) - scales) & IsNumber(scales)).AsSingle().Store(reciprocals); // Exact.
        Vector256<long> a = WriteCodes(x, groupStride, reciprocals, record), b = WriteCodes(x1, groupStride, reciprocals + 2, record + RecordLength);
        Vector256<long> c = WriteCodes(x2, groupStride, reciprocals + 4, record + 2 * RecordLength), d = WriteCodes(x3, groupStride, reciprocals + 6, record + 3 * RecordLength);
        Vector256<int> sums = Sums(a, b, c, d);
        Vector256<float> origins = scales.AsSingle() * Vector256.Create(Origin), terms = Vector256.ConvertToSingle(sums) * scales.AsSingle();
        origins.Store((float*)(record + OriginsAt));
        (origins.AsInt32() - sums * zero).Store((int*)(record + StartsAt));
        terms.Store((float*)(record + GroupTermsAt));
        Vector256<float> both = terms + Vector256.Shuffle(terms, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6));
        Vector256.Shuffle(both, Vector256.Create(0, 2, 4, 6, 0, 2, 4, 6)).GetLower().Store((float*)(record + TermsAt));
    }
}
