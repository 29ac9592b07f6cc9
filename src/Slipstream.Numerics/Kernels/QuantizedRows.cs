using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>Rows of activations as 8-bit integers in groups of 16, four rows together, laid out for packed products.</summary>
/// <remarks>
/// A record serves 32 activations of 4 rows, in two groups each: codes <c>[row][32]</c>; origins <c>[row][group]</c>; starts <c>[row][group]</c>; and, as floats, <c>scale · Σ codes</c> of both groups
/// together <c>[row]</c>, then of each <c>[row][group]</c>. Rows that a tile of 4 lacks hold anything.
/// The scale is the least power of two that is no less than <c>max|x| · (1 / 127)</c>, and codes are <c>round(x / scale)</c>, ties to even. A group whose largest magnitude is under 1e-30 is zero;
/// a group that holds 1e33 or more, or what is not a number, has the scale NaN, so that its products are NaN too.
/// The origin is <c>1.5 · 2²³ · scale</c>, a float whose last bit is worth one scale: an integer of up to 22 bits added to its bits adds that many scales to its value. So a sum of products that begins
/// at the origin's bits is, read as a float, the origin and <c>scale · sum</c>, and one subtraction turns the integers into scaled floats, exactly. The start is the origin's bits less what
/// <see cref="Zero"/> adds to the products: <c>Zero · Σ codes</c>.
/// In the exact form a row becomes two: its codes, and those of what they leave over, whose scale is 1/256 of the first. A value is off by at most half of the finer step, that is 2⁻¹⁵ of the largest
/// activation of its group, but where it lies between two codes exactly (there by one step: 127 stands for 128).
/// </remarks>
internal sealed unsafe partial class QuantizedRows : IDisposable
{
    /// <summary>Rows in a tile, activations in a record, and activations in a group, which shares a scale.</summary>
    public const int TileRows = 4, RecordLength = 32, Group = 16;

    /// <summary>Where the parts of a record begin. Each row's part of the terms of records is 4 bytes, and of the others 8.</summary>
    public const int OriginsAt = 128, StartsAt = 160, TermsAt = 192, GroupTermsAt = 208, RecordBytes = 240;

    private const float Smallest = 1e-30f, Greatest = 1e33f, LargestCode = 127f, Origin = 1.5f * (1 << 23);
    private const int ExponentBits = 0x7F800000, MantissaBits = 0x007FFFFF, OneTwiceBits = 0x7F000000, FineShift = 8 << 23, NaNBits = 0x7FC00000;
    private readonly bool _exact;
    private NativeBuffer<byte>? _records;
    private int _width;

    /// <summary>Makes room on first use.</summary>
    /// <param name="exact">Whether a row becomes two.</param>
    public QuantizedRows(bool exact) => _exact = exact;

    /// <summary>The first tile; tiles are <see cref="TileBytes"/> apart.</summary>
    public byte* Pointer => _records!.Pointer;

    /// <summary>Rows of the current set, as products see them: twice the activations' in the exact form.</summary>
    public int Rows { get; private set; }

    /// <summary>The code that stands for zero in the weights that the starts are for.</summary>
    public int Zero { get; private set; }

    /// <summary>Which set of activations this is the form of, as its owner counts them.</summary>
    public long Set { get; set; } = -1;

    /// <summary>Bytes of a tile of <paramref name="width"/> activations a row.</summary>
    public static nint TileBytes(int width) => (nint)(width / RecordLength) * RecordBytes;

    /// <summary>Bytes reserved.</summary>
    public long Bytes => _records?.Bytes ?? 0;

    /// <summary>Quantises every row of <paramref name="x"/>, a multiple of 32 wide.</summary>
    /// <param name="x">The rows.</param>
    /// <param name="capacity">Rows of that width to make room for.</param>
    /// <param name="zero">The code for zero of the weights that are multiplied first.</param>
    /// <param name="pool">The threads to use; null for this one.</param>
    public void Quantize(Matrix x, int capacity, int zero, ComputePool? pool)
    {
        int each = _exact ? 2 : 1;
        byte* records = Reserve(x.Rows, capacity, x.Columns, zero);
        // SAFETY: the native memory of the activations does not move; pinning makes the span a pointer. The records hold the rows asked for.
        fixed (float* source = x.Data)
        {
            Job job = new() { Records = records, X = source, XStride = x.Stride, Width = x.Columns, Rows = x.Rows, Zero = zero, Exact = _exact };
            int perTile = TileRows / each;
            Run(ref job, (x.Rows + perTile - 1) / perTile, pool);
        }
    }

    /// <summary>Makes room for rows that others write block by block (<see cref="Write(in NextForm, in NextBlock)"/>).</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="capacity">Rows of that width to make room for.</param>
    /// <param name="width">Activations in a row, a multiple of 32.</param>
    /// <param name="zero">The code for zero of the weights that are multiplied first.</param>
    /// <returns>The first record.</returns>
    public byte* Reserve(int rows, int capacity, int width, int zero)
    {
        int each = _exact ? 2 : 1;
        (Rows, Zero, _width) = (each * rows, zero, width);
        return NativeBuffer<byte>.Reserve(ref _records, (capacity * (long)each + TileRows - 1) / TileRows * TileBytes(width));
    }

    /// <summary>Makes the starts of the current set anew, for weights with another code for zero.</summary>
    public void Restart(int zero, ComputePool? pool)
    {
        Zero = zero;
        RestartJob job = new() { Records = Pointer, TileRecords = _width / RecordLength, Zero = zero };
        Run(ref job, (Rows + TileRows - 1) / TileRows, pool);
    }

    public void Dispose() => _records?.Dispose();

    /// <summary>The definition of the codes of one group and their scale.</summary>
    internal static float Reference(ReadOnlySpan<float> group, Span<int> codes)
    {
        codes.Clear();
        float max = 0;
        foreach (float value in group) max = MathF.Max(max, MathF.Abs(value));
        if (max < Smallest) return 0;
        if (!(max < Greatest)) return float.NaN;
        float least = max * (1 / LargestCode), scale = MathF.ScaleB(1, MathF.ILogB(least));
        if (scale < least) scale *= 2;
        for (int i = 0; i < group.Length; i++) codes[i] = (int)MathF.Round(group[i] / scale);
        return scale;
    }

    private static void Run<TJob>(ref TJob job, int count, ComputePool? pool) where TJob : struct, IRangeJob
    {
        if (pool is null) job.Execute(0, count, 0);
        else pool.For(ref job, count);
    }

    private struct Job : IRangeJob
    {
        public byte* Records;
        public float* X;
        public nint XStride;
        public int Width, Rows, Zero;
        public bool Exact;

        public readonly void Execute(int from, int to, int worker)
        {
            int perTile = Exact ? TileRows / 2 : TileRows;
            for (int tile = from; tile < to; tile++)
            {
                byte* records = Records + tile * TileBytes(Width);
                int first = tile * perTile, end = Math.Min(Rows, first + perTile);
                if (Avx512F.IsSupported && end - first == TileRows) QuantizeTile(X + first * XStride, XStride, Width, records, Zero);
                else
                    for (int row = first; row < end; row++)
                        if (Exact) QuantizeTwice(X + row * XStride, Width, records, 2 * (row - first), Zero);
                        else QuantizeRow(X + row * XStride, Width, records, row - first, Zero);
            }
        }
    }

    private struct RestartJob : IRangeJob
    {
        public byte* Records;
        public int TileRecords, Zero;

        public readonly void Execute(int from, int to, int worker)
        {
            // SAFETY: the range is of tiles, each of that many records.
            byte* record = Records + (nint)from * TileRecords * RecordBytes;
            for (nint left = (nint)(to - from) * TileRecords; left > 0; left--, record += RecordBytes)
                for (int row = 0; row < TileRows; row++)
                    Start(record, row, Sums(Vector128.Load((sbyte*)record + RecordLength * row), Vector128.Load((sbyte*)record + RecordLength * row + 16)), Zero);
        }
    }

    // SAFETY: (all below) x holds `width` floats, a multiple of 32; the tile has that many records and the row is one of its four.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void QuantizeRow(float* x, int width, byte* record, int row, int zero)
    {
        int at = Avx512F.IsSupported ? QuantizeFours(x, width, record, row, zero) : 0;
        for (record += at / RecordLength * RecordBytes; at < width; at += RecordLength, record += RecordBytes)
        {
            Vector512<float> first = Vector512.Load(x + at), second = Vector512.Load(x + at + 16);
            Write(first, second, Scales(first, second), record, row, zero);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void QuantizeTwice(float* x, int width, byte* record, int row, int zero)
    {
        int at = Avx512F.IsSupported ? QuantizeFoursTwice(x, width, record, row, zero) : 0;
        for (record += at / RecordLength * RecordBytes; at < width; at += RecordLength, record += RecordBytes)
        {
            Vector512<float> first = Vector512.Load(x + at), second = Vector512.Load(x + at + 16);
            Vector128<int> scales = Scales(first, second);
            Codes codes = Write(first, second, scales, record, row, zero);
            first = Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(codes.First), -Spread(scales, 0), first);
            second = Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(codes.Second), -Spread(scales, 1), second);
            Vector128<int> fine = Vector128.ConditionalSelect(IsNumber(scales), scales - Vector128.Create(FineShift), scales);
            Write(first, second, fine, record, row + 1, zero);
        }
    }

    private struct Codes
    {
        public Vector512<int> First, Second;
    }

    /// <summary>The bits of the scales of two groups, twice: 0 where one is zero, NaN where it has no finite one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Scales(Vector512<float> first, Vector512<float> second)
    {
        // Bits of magnitudes are in the order of the magnitudes, with NaN above all.
        Vector128<int> a = Fold(Vector512.Abs(first).AsInt32()), b = Fold(Vector512.Abs(second).AsInt32());
        Vector128<int> max = Vector128.Max(UnpackLow(a, b), UnpackHigh(a, b));
        max = Vector128.Max(max, Vector128.Shuffle(max, Vector128.Create(2, 3, 0, 1)));
        Vector128<int> scales = ((max.AsSingle() * Vector128.Create(1 / LargestCode)).AsInt32() + Vector128.Create(MantissaBits)) & Vector128.Create(ExponentBits);
        scales = Vector128.AndNot(scales, Vector128.LessThan(max, Vector128.Create(BitConverter.SingleToInt32Bits(Smallest))));
        return Vector128.ConditionalSelect(Vector128.LessThan(max, Vector128.Create(BitConverter.SingleToInt32Bits(Greatest))), scales, Vector128.Create(NaNBits));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Fold(Vector512<int> sixteen)
    {
        Vector256<int> eight = Vector256.Max(sixteen.GetLower(), sixteen.GetUpper());
        return Vector128.Max(eight.GetLower(), eight.GetUpper());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> UnpackLow(Vector128<int> a, Vector128<int> b) => Sse2.IsSupported ? Sse2.UnpackLow(a, b) : Vector128.Create(a[0], b[0], a[1], b[1]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> UnpackHigh(Vector128<int> a, Vector128<int> b) => Sse2.IsSupported ? Sse2.UnpackHigh(a, b) : Vector128.Create(a[2], b[2], a[3], b[3]);

    /// <summary>Where the bits are those of a number above zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> IsNumber(Vector128<int> scales)
        => Vector128.GreaterThan(scales, Vector128<int>.Zero) & Vector128.LessThan(scales, Vector128.Create(ExponentBits));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Spread(Vector128<int> bits, int element) => Vector512.Create(bits.AsSingle().GetElement(element));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Codes Write(Vector512<float> first, Vector512<float> second, Vector128<int> scales, byte* record, int row, int zero)
    {
        Vector128<int> reciprocals = (Vector128.Create(OneTwiceBits) - scales) & IsNumber(scales); // Exact.
        Codes codes = new() { First = ToNearest(first * Spread(reciprocals, 0)), Second = ToNearest(second * Spread(reciprocals, 1)) };
        Vector128<sbyte> low = Narrow(codes.First), high = Narrow(codes.Second);
        low.Store((sbyte*)record + RecordLength * row);
        high.Store((sbyte*)record + RecordLength * row + Group);
        Vector128<int> sums = Sums(low, high);
        (scales.AsSingle() * Vector128.Create(Origin)).GetLower().Store((float*)(record + OriginsAt) + 2 * row);
        Start(record, row, sums, zero);
        Vector128<float> terms = Vector128.ConvertToSingle(sums) * scales.AsSingle();
        terms.GetLower().Store((float*)(record + GroupTermsAt) + 2 * row);
        ((float*)(record + TermsAt))[row] = terms[0] + terms[1];
        return codes;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Start(byte* record, int row, Vector128<int> sums, int zero)
        => (Vector64.Load((int*)(record + OriginsAt) + 2 * row) - sums.GetLower() * zero).Store((int*)(record + StartsAt) + 2 * row);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> ToNearest(Vector512<float> x)
        => Avx512F.IsSupported ? Avx512F.ConvertToVector512Int32(x) : Vector512.ConvertToInt32(Vector512.Round(x));

    /// <summary>As bytes, 127 at most; what was not a number becomes zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Narrow(Vector512<int> codes)
    {
        codes = Vector512.Min(codes, Vector512.Create((int)LargestCode));
        if (Avx512F.IsSupported) return Avx512F.ConvertToVector128SByte(codes);
        Vector256<short> words = Vector256.Narrow(codes.GetLower(), codes.GetUpper());
        return Vector128.Narrow(words.GetLower(), words.GetUpper());
    }

    /// <summary>The sums of the codes of two groups, twice.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Sums(Vector128<sbyte> low, Vector128<sbyte> high)
    {
        if (Sse2.IsSupported)
        {
            // The distances from zero of the codes, moved up by 128 to be unsigned, each in two sums.
            Vector128<byte> sign = Vector128.Create((byte)0x80);
            Vector128<int> a = Sse2.SumAbsoluteDifferences(low.AsByte() ^ sign, Vector128<byte>.Zero).AsInt32(), b = Sse2.SumAbsoluteDifferences(high.AsByte() ^ sign, Vector128<byte>.Zero).AsInt32();
            Vector128<int> sums = Sse2.UnpackLow(a, b) + Sse2.UnpackHigh(a, b);
            return Vector128.Shuffle(sums, Vector128.Create(0, 1, 0, 1)) - Vector128.Create(128 * Group);
        }
        int first = Vector128.Sum(Vector128.WidenLower(low) + Vector128.WidenUpper(low)), second = Vector128.Sum(Vector128.WidenLower(high) + Vector128.WidenUpper(high));
        return Vector128.Create(first, second, first, second);
    }
}
