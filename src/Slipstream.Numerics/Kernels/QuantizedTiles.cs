using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>Rows of <see cref="QuantizedRows"/> as the matrix unit multiplies them: sixteen rows of bfloat16 together, each value its code times its scale.</summary>
/// <remarks>
/// Codes have seven bits and scales are powers of two, so the products are bfloat16 exactly.
/// A record serves 32 activations of 16 rows: values <c>[row][32]</c>, of every four columns in the order 0, 2, 1, 3; the terms of offsets <c>[row]</c>, then those of each group <c>[group][row]</c>; and whether the record is
/// wide (4 bytes). Rows that the last tile lacks hold anything.
/// A record is wide if the scales of the two groups of a row are more than 2⁶ apart. In the others every sum of the products of even or of odd columns with codes of 8 bits is exact: of the finer scale it is a whole number
/// under 8 · 127 · 128 · (2⁶ + 1) &lt; 2²⁴. So one product of 32 columns rounds once, as <c>s₀ I₀ + s₁ I₁</c> does (<see cref="PackedTile"/>); wide ones are done in halves.
/// </remarks>
internal sealed unsafe class QuantizedTiles : IDisposable
{
    /// <summary>Rows in a tile.</summary>
    public const int TileRows = 16;

    /// <summary>Where the parts of a record begin, and its bytes.</summary>
    public const int TermsAt = TileRows * RowBytes, GroupTermsAt = TermsAt + TileRows * sizeof(float), WideAt = GroupTermsAt + 2 * TileRows * sizeof(float), RecordBytes = WideAt + Lines.Bytes;

    /// <summary>Bytes of a row in a record.</summary>
    public const int RowBytes = QuantizedRows.RecordLength * sizeof(ushort);

    private const int ExponentShift = 23, WidestShift = 6;

    // An origin is 1.5 · 2²³ · scale, and 1.5 times the float next to 2/3 rounds to 1: so this takes a scale from it exactly, zero and NaN too.
    private const float ScaleOfOrigin = 2f / 3 / (1 << 23);

    private NativeBuffer<byte>? _records;

    /// <summary>The first tile; tiles are <see cref="TileBytes"/> apart.</summary>
    public byte* Pointer => _records!.Pointer;

    /// <summary>Which set of activations this is the form of, as its owner counts them.</summary>
    public long Set { get; set; } = -1;

    /// <summary>Bytes of a tile of <paramref name="width"/> activations a row.</summary>
    public static nint TileBytes(int width) => (nint)(width / QuantizedRows.RecordLength) * RecordBytes;

    /// <summary>Makes the tiles of rows.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="capacity">Rows of that width to make room for.</param>
    /// <param name="width">Activations in a row, a multiple of 32.</param>
    /// <param name="pool">The threads to use.</param>
    public void Make(QuantizedRows rows, long capacity, int width, ComputePool pool)
    {
        NativeBuffer<byte>.Reserve(ref _records, (capacity + TileRows - 1) / TileRows * TileBytes(width));
        int records = width / QuantizedRows.RecordLength;
        Job job = new() { Rows = rows.Rows, Records = records, Source = rows.Pointer, SourceTileBytes = QuantizedRows.TileBytes(width), Target = Pointer };
        pool.For(ref job, (rows.Rows + TileRows - 1) / TileRows * records, LeastRecords);
    }

    // Records under which a range is not worth another thread: about a microsecond.
    private const int LeastRecords = 16;

    public void Dispose() => _records?.Dispose();

    private struct Job : IRangeJob
    {
        public int Rows, Records;
        public byte* Source, Target;
        public nint SourceTileBytes;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Execute(int from, int to, int worker)
        {
            // SAFETY: ranges are of records of whole tiles; there is room for each, and rows beyond the last are not read.
            for (int i = from; i < to; i++)
            {
                int tile = i / Records, record = i % Records, first = tile * TileRows, rows = Math.Min(TileRows, Rows - first);
                byte* source = Source + first / QuantizedRows.TileRows * SourceTileBytes + record * (nint)QuantizedRows.RecordBytes, target = Target + (nint)i * RecordBytes;
                bool wide = false;
                for (int row = 0; row < rows; row++)
                    wide |= Write(source + row / QuantizedRows.TileRows * SourceTileBytes, row % QuantizedRows.TileRows, target, row);
                *(int*)(target + WideAt) = wide ? 1 : 0;
            }
        }
    }

    // SAFETY: as above. Gives whether the scales of the row's groups are far apart.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Write(byte* source, int sourceRow, byte* target, int row)
    {
        float* origins = (float*)(source + QuantizedRows.OriginsAt) + 2 * sourceRow;
        Vector128<sbyte> order = Vector128.Create(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
        sbyte* codes = (sbyte*)source + QuantizedRows.RecordLength * sourceRow;
        Vector512<uint> first = Values(codes, order, origins[0]), second = Values(codes + QuantizedRows.Group, order, origins[1]);
        Vector512.Narrow(first >> 16, second >> 16).Store((ushort*)(target + RowBytes * row));
        float* groupTerms = (float*)(source + QuantizedRows.GroupTermsAt) + 2 * sourceRow, targetGroupTerms = (float*)(target + GroupTermsAt) + row;
        ((float*)(target + TermsAt))[row] = ((float*)(source + QuantizedRows.TermsAt))[sourceRow];
        (targetGroupTerms[0], targetGroupTerms[TileRows]) = (groupTerms[0], groupTerms[1]);
        int a = BitConverter.SingleToInt32Bits(origins[0]) >> ExponentShift, b = BitConverter.SingleToInt32Bits(origins[1]) >> ExponentShift;
        return a != 0 && b != 0 && Math.Abs(a - b) > WidestShift; // A group of zeros adds nothing.
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Values(sbyte* codes, Vector128<sbyte> order, float origin)
        => (Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Shuffle(Vector128.Load(codes), order))) * Vector512.Create(origin * ScaleOfOrigin)).AsUInt32();
}
