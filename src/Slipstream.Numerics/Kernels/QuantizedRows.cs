using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>Rows of activations as 8-bit integers in groups of 16, four rows together, laid out for packed products.</summary>
/// <remarks>
/// A record serves 32 activations of 4 rows: codes <c>[row][32]</c>; scales <c>[half][row]</c>; minus the sum of the codes <c>[half][row]</c>; and, as floats, <c>scale · Σ codes</c> of both
/// halves together <c>[row]</c>, then of each <c>[half][row]</c>. A half is a group of 16. Rows that a tile of 4 lacks hold anything.
/// Codes are <c>round(x · (127 / max|x|))</c>, ties to even, and the scale is <c>max|x| · (1 / 127)</c>. A group whose largest magnitude is under 1e-30 is zero;
/// a group that is not finite has the scale NaN, so that its products are NaN too.
/// In the exact form a row becomes two: its codes, and what they leave over, quantised in the same way. The sum of their products has an error under 2⁻¹⁵ of the largest activation of a group.
/// </remarks>
internal sealed unsafe class QuantizedRows : IDisposable
{
    /// <summary>Rows in a tile, activations in a record, and activations in a group, which shares a scale.</summary>
    public const int TileRows = 4, RecordLength = 32, Group = 16;

    /// <summary>Where the parts of a record begin; each row's part of scales and sums is 4 bytes, and its second half 16 bytes on.</summary>
    public const int ScalesAt = 128, MinusSumsAt = 160, TermsAt = 192, HalfTermsAt = 208, RecordBytes = 240;

    private const float Smallest = 1e-30f, Largest = 127f;
    private readonly bool _exact;
    private NativeBuffer<byte>? _records;

    /// <summary>Makes room on first use.</summary>
    /// <param name="exact">Whether a row becomes two.</param>
    public QuantizedRows(bool exact) => _exact = exact;

    /// <summary>The first tile; tiles are <see cref="TileBytes"/> apart.</summary>
    public byte* Pointer => _records!.Pointer;

    /// <summary>Rows of the current set, as products see them: twice the activations' in the exact form.</summary>
    public int Rows { get; private set; }

    /// <summary>Bytes of a tile of <paramref name="width"/> activations a row.</summary>
    public static nint TileBytes(int width) => (nint)(width / RecordLength) * RecordBytes;

    /// <summary>Bytes reserved.</summary>
    public long Bytes => _records?.Bytes ?? 0;

    /// <summary>Quantises every row of <paramref name="x"/>, a multiple of 32 wide.</summary>
    /// <param name="x">The rows.</param>
    /// <param name="capacity">Rows of that width to make room for.</param>
    /// <param name="pool">The threads to use.</param>
    public void Quantize(Matrix x, int capacity, ComputePool pool)
    {
        int each = _exact ? 2 : 1;
        long needed = (capacity * (long)each + TileRows - 1) / TileRows * TileBytes(x.Columns);
        if (_records is null || _records.Length < needed)
        {
            _records?.Dispose();
            _records = new NativeBuffer<byte>(needed);
        }
        Rows = each * x.Rows;
        // SAFETY: the native memory of the activations does not move; pinning makes the span a pointer. The records hold the rows asked for.
        fixed (float* source = x.Data)
        {
            Job job = new() { Records = _records.Pointer, X = source, XStride = x.Stride, Width = x.Columns, Rows = x.Rows, Exact = _exact };
            int perTile = TileRows / each;
            pool.For(ref job, (x.Rows + perTile - 1) / perTile);
        }
    }

    public void Dispose() => _records?.Dispose();

    /// <summary>The definition of the codes of one group and their scale.</summary>
    internal static float Reference(ReadOnlySpan<float> group, Span<int> codes)
    {
        codes.Clear();
        float max = 0;
        foreach (float value in group) max = MathF.Max(max, MathF.Abs(value));
        if (max < Smallest) return 0;
        if (!float.IsFinite(max)) return float.NaN;
        for (int i = 0; i < group.Length; i++) codes[i] = (int)MathF.Round(group[i] * (Largest / max));
        return max * (1 / Largest);
    }

    private struct Job : IRangeJob
    {
        public byte* Records;
        public float* X;
        public nint XStride;
        public int Width, Rows;
        public bool Exact;

        public readonly void Execute(int from, int to, int worker)
        {
            int perTile = Exact ? TileRows / 2 : TileRows;
            for (int tile = from; tile < to; tile++)
                for (int row = tile * perTile; row < Math.Min(Rows, (tile + 1) * perTile); row++)
                    if (Exact) QuantizeTwice(X + row * XStride, Width, Records + tile * TileBytes(Width), 2 * (row - tile * perTile));
                    else QuantizeRow(X + row * XStride, Width, Records + tile * TileBytes(Width), row - tile * perTile);
        }
    }

    // SAFETY: (all below) x holds `width` floats, a multiple of 32; the tile has that many records and the row is one of its four.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void QuantizeRow(float* x, int width, byte* record, int row)
    {
        for (int at = 0; at < width; at += RecordLength, record += RecordBytes)
        {
            float first = Quantize(Vector512.Load(x + at), record, row, 0).Term;
            float second = Quantize(Vector512.Load(x + at + Group), record, row, 1).Term;
            ((float*)(record + TermsAt))[row] = first + second;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void QuantizeTwice(float* x, int width, byte* record, int row)
    {
        for (int at = 0; at < width; at += RecordLength, record += RecordBytes)
        {
            float first = 0, second = 0;
            for (int half = 0; half < 2; half++)
            {
                Vector512<float> values = Vector512.Load(x + at + half * Group);
                Quantized coarse = Quantize(values, record, row, half);
                Vector512<float> rest = Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(coarse.Codes), Vector512.Create(-coarse.Scale), values);
                float fine = Quantize(rest, record, row + 1, half).Term;
                (first, second) = half == 0 ? (coarse.Term, fine) : (first + coarse.Term, second + fine);
            }
            ((float*)(record + TermsAt))[row] = first;
            ((float*)(record + TermsAt))[row + 1] = second;
        }
    }

    private struct Quantized
    {
        public Vector512<int> Codes;
        public float Scale, Term;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Quantized Quantize(Vector512<float> x, byte* record, int row, int half)
    {
        Vector512<float> magnitude = Vector512.Abs(x);
        Vector256<float> eight = Vector256.Max(magnitude.GetLower(), magnitude.GetUpper()); // Max hands a NaN on.
        Vector128<float> four = Vector128.Max(eight.GetLower(), eight.GetUpper());
        four = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        four = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(1, 0, 3, 2)));
        float max = four.ToScalar();
        Quantized result = default;
        if (max >= Smallest && max < float.PositiveInfinity)
        {
            result.Codes = ToNearest(x * Vector512.Create(Largest / max));
            result.Scale = max * (1 / Largest);
        }
        else if (!(max < Smallest)) result.Scale = float.NaN;
        Vector128<sbyte> codes = Narrow(result.Codes);
        codes.Store((sbyte*)record + RecordLength * row + Group * half);
        int sum = Sum(codes);
        result.Term = result.Scale * sum;
        ((float*)(record + ScalesAt))[TileRows * half + row] = result.Scale;
        ((int*)(record + MinusSumsAt))[TileRows * half + row] = -sum;
        ((float*)(record + HalfTermsAt))[TileRows * half + row] = result.Term;
        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> ToNearest(Vector512<float> x)
        => Avx512F.IsSupported ? Avx512F.ConvertToVector512Int32(x) : Vector512.ConvertToInt32(Vector512.Round(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Narrow(Vector512<int> codes)
    {
        if (Avx512F.IsSupported) return Avx512F.ConvertToVector128SByte(codes);
        Vector256<short> words = Vector256.Narrow(codes.GetLower(), codes.GetUpper());
        return Vector128.Narrow(words.GetLower(), words.GetUpper());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Sum(Vector128<sbyte> codes)
    {
        if (Sse2.IsSupported)
        {
            // The distances from zero of the codes, moved up by 128 to be unsigned, in two sums.
            Vector128<long> sums = Sse2.SumAbsoluteDifferences(codes.AsByte() ^ Vector128.Create((byte)0x80), Vector128<byte>.Zero).AsInt64();
            return (int)(sums.ToScalar() + Sse2.UnpackHigh(sums, sums).ToScalar()) - 128 * Group;
        }
        return Vector128.Sum(Vector128.WidenLower(codes) + Vector128.WidenUpper(codes));
    }
}
