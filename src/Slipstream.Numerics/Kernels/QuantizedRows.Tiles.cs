using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <content>A record of four rows at once with AVX-512: what is found of a group stands in a lane of its own, in the order in which records hold it. The same bits as one row at a time.</content>
internal sealed unsafe partial class QuantizedRows
{
    /// <summary>Quantises a block of rows.</summary>
    // SAFETY: as NextForm says.
    public static void Write(in NextForm form, in NextBlock block)
    {
        byte* record = form.Pointer + block.FirstRow / TileRows * form.TileBytes + block.Index * (nint)RecordBytes;
        for (int row = 0; row < block.Rows; row += TileRows, record += form.TileBytes)
        {
            float* x = block.X + row * Group;
            int rows = Math.Min(TileRows, block.Rows - row);
            if (rows == TileRows && Avx512F.IsSupported) WriteTile(x, Group, block.HalfStride, record, form.Zero);
            else
                for (int r = 0; r < rows; r++, x += Group)
                {
                    Vector512<float> first = Vector512.Load(x), second = Vector512.Load(x + block.HalfStride);
                    Write(first, second, Scales(first, second), record, r, form.Zero);
                }
        }
    }

    // SAFETY: (all below) x holds four rows; the tile has a record for each 32 of their floats.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void QuantizeTile(float* x, nint rowStride, int width, byte* record, int zero)
    {
        for (int at = 0; at < width; at += RecordLength, record += RecordBytes) WriteTile(x + at, rowStride, Group, record, zero);
    }

    // Room on the stack keeps it from being compiled into its callers' loops: so it is compiled fully by itself.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining), SkipLocalsInit]
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
