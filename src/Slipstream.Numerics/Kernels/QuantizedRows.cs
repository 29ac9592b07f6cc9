using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Rows of activations as 8-bit integers in groups of 8, laid out for <see cref="IntegerTile"/>.</summary>
/// <remarks>
/// A record serves 128 activations (four blocks of 32; those after the end of the row are all zeros) and is 320 bytes: 64 codes, the first halves of the four blocks;
/// 64 codes, the second halves; the sums of each four codes as 16 ints for the first halves and 16 for the second; the scale of each such sum as 16 floats.
/// A group is what one partial sum of a product takes from a block: the activations 4 i .. 4 i + 3 and 16 + 4 i .. 16 + 4 i + 3, i = 0 .. 3. So a scale a group costs a product nothing.
/// Codes are <c>round(x · (127 / max|x|))</c>, ties to even, and the scale is <c>max|x| / 127</c>. A group whose largest magnitude is under 1e-30 is zero;
/// a group that is not finite has the scale NaN, so that its products are NaN too.
/// </remarks>
internal sealed unsafe class QuantizedRows : IDisposable
{
    /// <summary>Bytes of a record, and where its parts begin; each second half is 64 bytes after the first.</summary>
    public const int RecordBytes = 320, SumsAt = 128, ScalesAt = 256;

    /// <summary>Activations in a record, in a block (the widths that can be quantised are whole blocks) and in a group, which shares a scale.</summary>
    public const int RecordLength = 128, Block = 32, Group = 8;

    private const float Smallest = 1e-30f, Largest = 127f;
    private readonly NativeBuffer<byte> _records;
    private readonly NativeBuffer<float> _sums32, _sums16;

    public QuantizedRows(int maxRows, int maxWidth)
    {
        _records = new NativeBuffer<byte>((long)maxRows * Records(maxWidth) * RecordBytes);
        _sums32 = new NativeBuffer<float>((long)maxRows * SumStride(Records(maxWidth) * RecordLength, 32));
        _sums16 = new NativeBuffer<float>((long)maxRows * SumStride(Records(maxWidth) * RecordLength, 16));
    }

    /// <summary>The first record; rows are <see cref="Records"/> apart.</summary>
    public byte* Pointer => _records.Pointer;

    /// <summary>Records in a row of <paramref name="width"/>.</summary>
    public static int Records(int width) => (width + RecordLength - 1) / RecordLength;

    /// <summary><c>scale · Σ codes</c> of every group of <paramref name="groupLength"/> (16 or 32), with zeros up to a multiple of 16; rows are <see cref="SumStride"/> apart.</summary>
    public float* Sums(int groupLength) => groupLength == 32 ? _sums32.Pointer : _sums16.Pointer;

    /// <summary>Floats between rows of <see cref="Sums"/>.</summary>
    public static int SumStride(int width, int groupLength) => Activations.PadFloats(width / groupLength);

    /// <summary>Quantises every row of <paramref name="x"/>.</summary>
    public void Quantize(Matrix x, ComputePool pool)
    {
        // SAFETY: the native memory of the activations does not move; pinning makes the span a pointer.
        fixed (float* source = x.Data)
        {
            Job job = new() { Rows = this, X = source, XStride = x.Stride, Width = x.Columns };
            pool.For(ref job, x.Rows);
        }
    }

    public void Dispose()
    {
        _records.Dispose();
        _sums32.Dispose();
        _sums16.Dispose();
    }

    /// <summary>The definition of the codes of one block and the scales of its four groups.</summary>
    internal static void Reference(ReadOnlySpan<float> block, Span<int> codes, Span<float> scales)
    {
        codes.Clear();
        for (int group = 0; group < Block / Group; group++)
        {
            float max = 0;
            for (int k = 4 * group; k < 4 * group + 4; k++) max = MathF.Max(max, MathF.Max(MathF.Abs(block[k]), MathF.Abs(block[k + 16])));
            scales[group] = max < Smallest ? 0 : float.IsFinite(max) ? max / Largest : float.NaN;
            if (max < Smallest || !float.IsFinite(max)) continue;
            for (int k = 4 * group; k < 4 * group + 4; k++)
            {
                codes[k] = (int)MathF.Round(block[k] * (Largest / max));
                codes[k + 16] = (int)MathF.Round(block[k + 16] * (Largest / max));
            }
        }
    }

    /// <summary><c>Σ scale · code</c> of half a block, from its four sums of four codes.</summary>
    internal static float Sum(float* scales, int* sums) => scales[0] * sums[0] + scales[1] * sums[1] + (scales[2] * sums[2] + scales[3] * sums[3]);

    private struct Job : IRangeJob
    {
        public QuantizedRows Rows;
        public float* X;
        public nint XStride;
        public int Width;

        public readonly void Execute(int from, int to, int worker)
        {
            int records = Records(Width), stride32 = SumStride(Width, 32), stride16 = SumStride(Width, 16);
            for (int row = from; row < to; row++)
                QuantizeRow(X + row * XStride, Width, Rows.Pointer + (nint)row * records * RecordBytes, records,
                    Rows.Sums(32) + (nint)row * stride32, stride32, Rows.Sums(16) + (nint)row * stride16, stride16);
        }
    }

    // SAFETY: x holds `width` floats, a multiple of 32; the other pointers are to rows of the strides that Records and SumStride give for that width.
    private static void QuantizeRow(float* x, int width, byte* record, int records, float* sums32, int stride32, float* sums16, int stride16)
    {
        new Span<float>(sums32, stride32).Clear();
        new Span<float>(sums16, stride16).Clear();
        new Span<byte>(record, records * RecordBytes).Clear();
        int groups = width / Block;
        Vector512<byte> ones = Vector512.Create((byte)1);
        for (int r = 0; r < records; r++, record += RecordBytes)
        {
            float* scales = (float*)(record + ScalesAt);
            int* first = (int*)(record + SumsAt), second = first + Lanes.Count;
            int inside = Math.Min(4, groups - 4 * r);
            for (int g = 0; g < inside; g++) QuantizeBlock(x + r * RecordLength + g * Block, (sbyte*)record + 16 * g, scales + 4 * g);
            IntegerTile.Dot(ones, Vector512.Load((sbyte*)record), 1).Store(first);
            IntegerTile.Dot(ones, Vector512.Load((sbyte*)record + 64), 1).Store(second);
            for (int g = 0; g < inside; g++)
            {
                float a = Sum(scales + 4 * g, first + 4 * g), b = Sum(scales + 4 * g, second + 4 * g);
                sums32[4 * r + g] = a + b;
                sums16[2 * (4 * r + g)] = a;
                sums16[2 * (4 * r + g) + 1] = b;
            }
        }
    }

    // SAFETY: x holds 32 floats; codes has room for 16 here and 16 more 64 bytes on, scales for 4. The record was zeros before.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void QuantizeBlock(float* x, sbyte* codes, float* scales)
    {
        Vector512<float> low = Vector512.Load(x), high = Vector512.Load(x + 16);
        Vector512<float> max = Vector512.Max(Vector512.Abs(low), Vector512.Abs(high)); // Max hands a NaN on.
        max = Vector512.Max(max, Vector512.Shuffle(max, Vector512.Create(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)));
        max = Vector512.Max(max, Vector512.Shuffle(max, Vector512.Create(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)));
        Vector512<float> large = Vector512.GreaterThanOrEqual(max, Vector512.Create(Smallest)), finite = Vector512.LessThan(max, Vector512.Create(float.PositiveInfinity));
        Vector512<float> valid = large & finite, inverse = Vector512.Create(Largest) / max;
        Vector512<int> a = Vector512.ConvertToInt32(Vector512.Round(low * inverse) & valid), b = Vector512.ConvertToInt32(Vector512.Round(high * inverse) & valid);
        Vector512<short> words = Vector512.Narrow(a, b);
        Vector256<sbyte> bytes = Vector256.Narrow(words.GetLower(), words.GetUpper());
        bytes.GetLower().Store(codes);
        bytes.GetUpper().Store(codes + 64);
        Vector512<float> small = Vector512.LessThan(max, Vector512.Create(Smallest));
        Vector512<float> scale = Vector512.ConditionalSelect(valid, max / Largest, Vector512.ConditionalSelect(small, Vector512<float>.Zero, Vector512.Create(float.NaN)));
        Vector128.Create(scale[0], scale[4], scale[8], scale[12]).Store(scales);
    }
}
