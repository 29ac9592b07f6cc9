using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Slipstream.Numerics.Kernels.Emitted;
using static Slipstream.Numerics.Kernels.Counts;

namespace Slipstream.Numerics.Kernels;

/// <summary>Some query rows and a tile of keys (<see cref="AttentionPairs.Weigh"/>). Every field has 8 bytes: emitted kernels read them in this order.</summary>
internal unsafe struct ScoreCall
{
    /// <summary>Rows of pairs of columns, scaled by 1 / ln 2 too.</summary>
    public uint* Queries;

    /// <summary>Bytes between rows of <see cref="Queries"/>.</summary>
    public nint QueryBytes;

    /// <summary>Where each group of sixteen keys begins.</summary>
    public uint** Keys;

    /// <summary>Pairs of columns, at least 1.</summary>
    public nint Pairs;

    /// <summary>The first of the lines to ask for meanwhile.</summary>
    public byte* Ask;

    /// <summary>For each row: bit j is set if it sees place j of the tile.</summary>
    public ulong* Masks;

    /// <summary>For each row the greatest score and the sum of the weights so far; and, received, what its results so far are worth under the new maximum.</summary>
    public float* Max, Sum, Keep;

    /// <summary>Receives the weights, <c>[rows, 64]</c>, of the groups asked for.</summary>
    public ushort* Weights;

    /// <summary>Room for the scores of compiled kernels and of tiles, <c>[rows, 64]</c>.</summary>
    public float* Scores;
}

/// <summary>The weights of some query rows and a tile of values (<see cref="AttentionPairs.AddValues"/>). Every field has 8 bytes: emitted kernels read them in this order.</summary>
internal unsafe struct ValueCall
{
    /// <summary>Rows of pairs of weights.</summary>
    public uint* Weights;

    /// <summary>Bytes between rows of <see cref="Weights"/>.</summary>
    public nint WeightBytes;

    /// <summary>Where each group of sixteen values begins; in tiles the second of two follows the first, and is not looked up.</summary>
    public uint** Values;

    /// <summary>Groups, at least 1.</summary>
    public nint Groups;

    /// <summary>Results.</summary>
    public float* Results;

    /// <summary>Bytes between rows of results.</summary>
    public nint ResultBytes;

    /// <summary>One factor a row for the results so far.</summary>
    public float* Keep;

    /// <summary>Bytes between pairs of rows of values.</summary>
    public nint RowBytes;

    /// <summary>The first of the lines to ask for meanwhile.</summary>
    public byte* Ask;

    /// <summary>Bytes from the beginning of a pair of rows of values to the first column wanted.</summary>
    public nint Column;
}

/// <summary>What multiplies in <see cref="AttentionPairs"/>.</summary>
internal enum AttentionUnit
{
    /// <summary>Compiled kernels.</summary>
    Compiled,

    /// <summary>Emitted kernels on vectors, with the bits of compiled ones.</summary>
    Vectors,

    /// <summary>Emitted kernels on the matrix unit, whose order is its own.</summary>
    Tiles,
}

/// <summary>
/// Attention in bfloat16: queries, keys, weights and values are rounded to it (nearest, ties to even), products are added up in 32-bit floats. Keys lie as pairs of columns and values as pairs of rows (<see cref="CachePairs"/>),
/// so that scores and weighted values are both <c>c[r, j] = c[r, j] · keep[r] + Σ a[r, i] · b[i, j]</c> over pairs, and no sum is spread over lanes. Weights are powers of two (<see cref="PowerOfTwo"/>).
/// </summary>
/// <remarks>
/// One order for every kernel on vectors: ascending pairs, of each the odd element and then the even one, each by a fused multiplication and addition, as <c>vdpbf16ps</c> does it (<see cref="PairProduct"/>, with what is said there of numbers
/// under 2⁻¹²⁶). The matrix unit has the order of its tiles, for any number of rows: 32 columns of a key, and 32 places of a tile from a multiple of 32 on, are a step each. So neither blocks of rows nor columns change a bit, nor do
/// the kernels of one order.
/// </remarks>
internal static unsafe class AttentionPairs
{
    /// <summary>The most rows done together on vectors.</summary>
    public const int MaxRows = 4;

    /// <summary>The most rows done together in tiles.</summary>
    public const int MaxTileRows = AmxTiles.Rows;

    /// <summary>Groups of sixteen values that are a step in tiles.</summary>
    public const int TileGroups = 2;

    /// <summary>Query heads that share a key-value head from which on this is done where nobody asks for a cache of bfloat16 (ADR 21).</summary>
    public const int LeastGroup = 3;

    /// <summary>Columns done together by emitted kernels.</summary>
    public const int Columns = 64;

    private const int Lane = 16;
    private const MethodImplOptions KernelCode = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    private static ReadOnlySpan<ushort> InTurn => [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31];

    /// <summary>Whether emitted kernels can do this.</summary>
    public static bool HasEmitted => EmissionSupport.HasBf16;

    /// <summary>Multiplies queries and keys and makes weights of the scores: 2 to the power (score − the greatest so far), rounded, and 0 for what is not seen. A row that sees nothing is left alone, with weights of 0.</summary>
    /// <param name="rows">Queries, 1 to <see cref="MaxRows"/>, or <see cref="MaxTileRows"/> in tiles, which are configured for as many.</param>
    /// <param name="groups">Groups of sixteen keys, 1 to 4; no row sees what comes after them.</param>
    /// <param name="call">The factors and the results.</param>
    /// <param name="unit">What multiplies.</param>
    /// <param name="asks">Lines that emitted kernels ask for with each pair: 0, 1, 2 or 4.</param>
    public static void Weigh(int rows, int groups, ScoreCall call, AttentionUnit unit, int asks = 0)
    {
        // SAFETY: (all below) the call's pointers hold the rows and columns asked for.
        if (unit != AttentionUnit.Compiled)
        {
            (unit == AttentionUnit.Tiles ? AmxAttentionKernels.Weigh(rows, groups, asks) : PairKernels.Weigh(rows, groups, asks)).Brief(&call);
            return;
        }
        for (int group = 0; group < groups; group++)
            Block(rows, call.Queries, call.QueryBytes, call.Keys + group, 1, 0, call.Pairs, Lane, call.Scores + group * Lane, TiledAttention.Tile * sizeof(float), null);
        AttentionSoftmax.Step<PowerOfTwo>(rows, call.Scores, call.Masks, call.Max, call.Sum, call.Keep, call.Weights);
    }

    /// <summary>Adds the values of some groups, weighted, to what is kept of the results.</summary>
    /// <param name="rows">Rows of weights, 1 to <see cref="MaxRows"/>, or <see cref="MaxTileRows"/> in tiles, which are configured for as many.</param>
    /// <param name="columns">Columns of values, a multiple of 16.</param>
    /// <param name="call">The factors and the results.</param>
    /// <param name="unit">What multiplies. Tiles take groups by twos, the second of which follows the first.</param>
    /// <param name="asks">Lines that emitted kernels ask for with each pair and <see cref="Columns"/> columns: 0, 1, 2 or 4.</param>
    public static void AddValues(int rows, int columns, ValueCall call, AttentionUnit unit, int asks = 0)
    {
        for (; columns > 0; columns -= Columns, call.Column += Columns * sizeof(uint), call.Results += Columns)
        {
            int vectors = Math.Min(columns, Columns) / Lane;
            if (unit != AttentionUnit.Compiled)
            {
                (unit == AttentionUnit.Tiles ? AmxAttentionKernels.AddValues(rows, vectors, asks) : PairKernels.AddValues(rows, vectors, asks)).Brief(&call);
                call.Ask += call.Groups * (CachePairs.GroupRows / 2) * Lines.Bytes * asks;
                continue;
            }
            for (int n = 0; n < vectors; n++)
                Block(rows, call.Weights, call.WeightBytes, call.Values, call.Groups, call.Column + n * Lane * sizeof(uint), CachePairs.GroupRows / 2, call.RowBytes / sizeof(uint), call.Results + n * Lane, call.ResultBytes, call.Keep);
        }
    }

    /// <summary>The definition of one result: <paramref name="from"/> and the products of rounded pairs, on vectors or in tiles.</summary>
    internal static float Reference(float from, ReadOnlySpan<float> a, ReadOnlySpan<float> b, bool tiles = false)
    {
        float sum = from;
        for (int at = 0; tiles && at < a.Length; at += PairProduct.Step)
        {
            float even = 0, odd = 0;
            for (int i = at; i < Math.Min(at + PairProduct.Step, a.Length); i++)
                if (i % 2 == 0) even = MathF.FusedMultiplyAdd(Rounded(a[i]), Rounded(b[i]), even);
                else odd = MathF.FusedMultiplyAdd(Rounded(a[i]), Rounded(b[i]), odd);
            sum += even + odd;
        }
        if (tiles) return sum;
        for (int pair = 0; pair < a.Length; pair += 2)
            for (int i = Math.Min(pair + 1, a.Length - 1); i >= pair; i--)
                sum = MathF.FusedMultiplyAdd(Rounded(a[i]), Rounded(b[i]), sum);
        return sum;

        static float Rounded(float value) => BitConverter.UInt32BitsToSingle((uint)BF16.FromSingle(value) << 16);
    }

    /// <summary>Rounds rows of a tile and makes pairs of their columns, group by group of sixteen rows: <c>pairs[g, i, j]</c> has columns 2 i and 2 i + 1 of row 16 g + j.</summary>
    /// <param name="from">Where offsets count from.</param>
    /// <param name="offset">Where each of the 64 rows begins, in bytes.</param>
    /// <param name="first">The first row wanted, a multiple of 16.</param>
    /// <param name="end">The row after the last, a multiple of 16.</param>
    /// <param name="columns">Floats in a row, a multiple of 16.</param>
    /// <param name="bits">Room for the rows in bfloat16.</param>
    /// <param name="pairs"><c>[4, columns / 2, 16]</c>.</param>
    /// <param name="emitted">Whether to use emitted kernels.</param>
    /// <param name="ahead">Bytes from each line that is read to one to ask for meanwhile; 0 for none.</param>
    public static void PairColumns(byte* from, long* offset, int first, int end, int columns, ushort* bits, uint* pairs, bool emitted, nint ahead = 0)
    {
        if (emitted)
        {
            TileCall call = new() { From = from, Offset = offset + first, Count = (end - first) / Lane, Columns = columns, To = pairs + (nint)first * columns / 2, Ahead = ahead };
            TileKernels.PairColumns(ahead != 0).Entry(&call);
            return;
        }
        for (int row = first; row < end; row++) Round(from + offset[row], columns, bits + (nint)row * columns, ahead);
        PairColumns(bits, columns, first, end, pairs);
    }

    /// <summary>Rounds rows of a tile and makes pairs of them: <c>pairs[i, j]</c> has column j of rows 2 i and 2 i + 1.</summary>
    /// <param name="from">Where offsets count from.</param>
    /// <param name="offset">Where each of the 64 rows begins, in bytes.</param>
    /// <param name="first">The first row wanted, a multiple of 2.</param>
    /// <param name="end">The row after the last, a multiple of 2.</param>
    /// <param name="columns">Floats in a row, a multiple of 16.</param>
    /// <param name="bits">Room for two rows in bfloat16.</param>
    /// <param name="pairs"><c>[32, columns]</c>.</param>
    /// <param name="emitted">Whether to use emitted kernels.</param>
    /// <param name="ahead">Bytes from each line that is read to one to ask for meanwhile; 0 for none.</param>
    public static void PairRows(byte* from, long* offset, int first, int end, int columns, ushort* bits, uint* pairs, bool emitted, nint ahead = 0)
    {
        pairs += (nint)first / 2 * columns;
        if (emitted)
        {
            fixed (ushort* order = InTurn)
            {
                TileCall call = new() { From = from, Offset = offset + first, Count = (end - first) / 2, Columns = columns, To = pairs, Ahead = ahead, Order = order };
                TileKernels.PairRows(ahead != 0).Entry(&call);
            }
            return;
        }
        for (int row = first; row < end; row += 2, pairs += columns)
        {
            for (int n = 0; n < 2; n++) Round(from + offset[row + n], columns, bits + (nint)n * columns, ahead);
            CachePairs.PairRows(new ReadOnlySpan<ushort>(bits, columns), new ReadOnlySpan<ushort>(bits + columns, columns), new Span<uint>(pairs, columns));
        }
    }

    private static void Round(byte* row, int columns, ushort* bits, nint ahead)
    {
        for (nint at = 0; ahead != 0 && at < columns * sizeof(float); at += 64) Lines.Ask(row + at, ahead);
        BF16.Encode(new ReadOnlySpan<float>(row, columns), MemoryMarshal.AsBytes(new Span<ushort>(bits, columns)));
    }

    [MethodImpl(KernelCode)]
    private static void PairColumns(ushort* rows, int columns, int first, int end, uint* pairs)
    {
        nint count = columns / 2;
        for (nint j = first; j < end; j += 8)
        {
            uint* a = (uint*)(rows + j * columns), b = a + count, c = b + count, d = c + count, to = pairs + j / Lane * Lane * count + j % Lane;
            if (!Avx2.IsSupported)
            {
                for (nint row = 0; row < 8; row++)
                    for (nint i = 0; i < count; i++) to[i * Lane + row] = a[row * count + i];
                continue;
            }
            for (nint i = 0; i < count; i += 4)
            {
                // Four rows in the lower halves, the four after them in the upper ones.
                Vector256<uint> ra = Halves(a + i, 4 * count), rb = Halves(b + i, 4 * count), rc = Halves(c + i, 4 * count), rd = Halves(d + i, 4 * count);
                Vector256<ulong> low = Avx2.UnpackLow(ra, rb).AsUInt64(), high = Avx2.UnpackHigh(ra, rb).AsUInt64(), low2 = Avx2.UnpackLow(rc, rd).AsUInt64(), high2 = Avx2.UnpackHigh(rc, rd).AsUInt64();
                uint* y = to + i * Lane;
                Avx2.UnpackLow(low, low2).AsUInt32().Store(y);
                Avx2.UnpackHigh(low, low2).AsUInt32().Store(y + Lane);
                Avx2.UnpackLow(high, high2).AsUInt32().Store(y + 2 * Lane);
                Avx2.UnpackHigh(high, high2).AsUInt32().Store(y + 3 * Lane);
            }
        }

        static Vector256<uint> Halves(uint* x, nint apart) => Vector256.Create(Vector128.Load(x), Vector128.Load(x + apart));
    }

    private static void Block(int rows, uint* a, nint aBytes, uint** lists, nint listCount, nint column, nint count, nint stride, float* c, nint cBytes, float* keep)
    {
        switch (rows)
        {
            case 1: Block<One>(a, aBytes, lists, listCount, column, count, stride, c, cBytes, keep); break;
            case 2: Block<Two>(a, aBytes, lists, listCount, column, count, stride, c, cBytes, keep); break;
            case 3: Block<Three>(a, aBytes, lists, listCount, column, count, stride, c, cBytes, keep); break;
            default: Block<Four>(a, aBytes, lists, listCount, column, count, stride, c, cBytes, keep); break;
        }
    }

    /// <summary>Sixteen columns of each row of A with pairs that lie in lists, <paramref name="count"/> in each. The count of rows is a constant to the compiler, which drops those that a shape has not: 8 sums, 4 halves of pairs and 2 of the other factor are what 16 registers hold.</summary>
    [MethodImpl(KernelCode)]
    private static void Block<TRows>(uint* a, nint aBytes, uint** lists, nint listCount, nint column, nint count, nint stride, float* c, nint cBytes, float* keep) where TRows : ICount
    {
        Vector256<float> s00 = default, s01 = default, s10 = default, s11 = default, s20 = default, s21 = default, s30 = default, s31 = default;
        float* c0 = c, c1 = c0 + cBytes / sizeof(float), c2 = c1 + cBytes / sizeof(float), c3 = c2 + cBytes / sizeof(float);
        if (keep != null)
        {
            Begin(c0, keep[0], ref s00, ref s01);
            if (TRows.Count > 1) Begin(c1, keep[1], ref s10, ref s11);
            if (TRows.Count > 2) Begin(c2, keep[2], ref s20, ref s21);
            if (TRows.Count > 3) Begin(c3, keep[3], ref s30, ref s31);
        }
        uint* a0 = a, a1 = a0 + aBytes / sizeof(uint), a2 = a1 + aBytes / sizeof(uint), a3 = a2 + aBytes / sizeof(uint);
        for (nint list = 0; list < listCount; list++, a0 += count, a1 += count, a2 += count, a3 += count)
        {
            uint* b = lists[list] + column / sizeof(uint);
            for (nint i = 0; i < count; i++, b += stride)
            {
                Vector256<uint> left = Vector256.Load(b), right = Vector256.Load(b + 8), mask = Vector256.Create(0xFFFF_0000u);
                Vector256<float> leftOdd = (left & mask).AsSingle(), leftEven = (left << 16).AsSingle(), rightOdd = (right & mask).AsSingle(), rightEven = (right << 16).AsSingle();
                Step(a0[i], leftOdd, leftEven, rightOdd, rightEven, ref s00, ref s01);
                if (TRows.Count > 1) Step(a1[i], leftOdd, leftEven, rightOdd, rightEven, ref s10, ref s11);
                if (TRows.Count > 2) Step(a2[i], leftOdd, leftEven, rightOdd, rightEven, ref s20, ref s21);
                if (TRows.Count > 3) Step(a3[i], leftOdd, leftEven, rightOdd, rightEven, ref s30, ref s31);
            }
        }
        End(c0, s00, s01);
        if (TRows.Count > 1) End(c1, s10, s11);
        if (TRows.Count > 2) End(c2, s20, s21);
        if (TRows.Count > 3) End(c3, s30, s31);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Begin(float* c, float keep, ref Vector256<float> left, ref Vector256<float> right)
    {
        left = Vector256.Load(c) * keep;
        right = Vector256.Load(c + 8) * keep;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(uint pair, Vector256<float> leftOdd, Vector256<float> leftEven, Vector256<float> rightOdd, Vector256<float> rightEven, ref Vector256<float> left, ref Vector256<float> right)
    {
        Vector256<float> odd = Vector256.Create(pair & 0xFFFF_0000u).AsSingle(), even = Vector256.Create(pair << 16).AsSingle();
        left = Vector256.FusedMultiplyAdd(even, leftEven, Vector256.FusedMultiplyAdd(odd, leftOdd, left));
        right = Vector256.FusedMultiplyAdd(even, rightEven, Vector256.FusedMultiplyAdd(odd, rightOdd, right));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void End(float* c, Vector256<float> left, Vector256<float> right)
    {
        left.Store(c);
        right.Store(c + 8);
    }
}
