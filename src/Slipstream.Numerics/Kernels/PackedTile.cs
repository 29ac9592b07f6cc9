using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>What one call of a packed kernel works on: sixteen rows of W, or several such groups side by side, by tiles of rows of activations; or one tile by groups one after another.</summary>
internal unsafe struct PackedCall
{
    /// <summary>The packed rows; where a kernel takes several groups, each begins <see cref="GroupStride"/> bytes after the one before.</summary>
    public byte* Weights;

    /// <summary>The first tile of activations, in the form that the kernel reads.</summary>
    public byte* Activations;

    /// <summary>The weights that come after these, for kernels that ask memory for them; the other groups' lie <see cref="GroupStride"/> apart.</summary>
    public byte* After;

    /// <summary>The results, <c>[product][group][activation row][16]</c>.</summary>
    public float* Results;

    /// <summary>Blocks in a row of W, or steps.</summary>
    public nint Blocks;

    /// <summary>Products of a tile and a group, or groups side by side, in this call; and bytes of a tile.</summary>
    public nint Tiles, TileBytes;

    /// <summary>Bytes from a product's activations to those of the next, and that its weights go back by from where it ends: a group's for its next tile, or 0 and 0 for the next group. Emitted kernels only.</summary>
    public nint NextTile, Rewind;

    /// <summary>Bytes between groups.</summary>
    public nint GroupStride;

    /// <summary>What kernels for the matrix unit keep beside their registers: steps that are left, of this turn, and of a turn at most; whether it is the first; bytes that weights go back by for the next tile; the turn's first activations.</summary>
    public nint Left, Turn, Longest, First, Back;

    /// <inheritdoc cref="Left"/>
    public byte* TurnActivations;

    /// <summary>Where what such kernels ask for ends, of the first group.</summary>
    public nint AskedEnd;

    /// <summary>Room for what such kernels make of weights and of sums, on a line.</summary>
    public byte* Scratch;

    /// <summary>Which shape (<see cref="Emitted.AmxTiles"/>) the thread's tiles have, 0 for none: it stays from call to call, for it takes as long as some products.</summary>
    public nint* Shape;
}

/// <summary>Products of packed weights and quantised activations with the vector instructions .NET exposes.</summary>
/// <remarks>
/// Element order: one sum. Groups of columns are taken in ascending order. The integers I = <c>Σ (code − Zero) · x</c> over each half of 32 columns are exact, and so are their products with the
/// activation scales s, which are powers of two. Where 32 columns share a scale w: <c>sum = fma(s₀ I₀ + s₁ I₁, w, sum)</c>, and with an offset m <c>sum = fma(m, s₀ Σ₀ + s₁ Σ₁, sum)</c>.
/// Where 16 share one: <c>sum = fma(s I, w, sum)</c> and <c>sum = fma(m, s Σ, sum)</c> for each half. No tile, thread or instruction set changes this order.
/// </remarks>
internal static unsafe class PackedTile
{
    // Fully optimised at first use; and apart: inlined with its callers, a kernel exhausts the compiler's budget, and its own vector helpers become calls.
    private const MethodImplOptions KernelCode = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    /// <summary>Computes <paramref name="rows"/> rows, 1 to 4, of each tile.</summary>
    public static void Multiply<TFormat>(in PackedCall call, int rows) where TFormat : IIntegerFormat
    {
        for (nint tile = 0; tile < call.Tiles; tile++)
        {
            byte* x = call.Activations + tile * call.TileBytes;
            float* y = call.Results + tile * rows * PackedLayout.Rows;
            // Three rows cost less as a full set with one row done twice than one by one.
            if (rows > 2) Four<TFormat>(call.Weights, x, rows - 1, call.Blocks, y);
            else
                for (int row = 0; row < rows; row++) One<TFormat>(call.Weights, x, row, call.Blocks, y + PackedLayout.Rows * row);
        }
    }

    /// <summary>The definition of one element.</summary>
    internal static float Reference<TFormat>(ReadOnlySpan<byte> blocks, ReadOnlySpan<float> x) where TFormat : IIntegerFormat
    {
        int width = x.Length, length = TFormat.GroupLength;
        byte[] codes = new byte[width];
        float[] scales = new float[width / length], offsets = new float[TFormat.HasOffsets ? width / length : 0];
        TFormat.Unpack(blocks, codes, scales, offsets);
        int[] q = new int[width];
        float sum = 0;
        for (int at = 0; at < width; at += 32)
        {
            float[] t = new float[2], terms = new float[2];
            for (int half = 0; half < 2; half++)
            {
                int start = at + 16 * half, products = 0, codeSum = 0;
                float s = QuantizedRows.Reference(x.Slice(start, 16), q.AsSpan(start, 16));
                for (int i = start; i < start + 16; i++)
                {
                    products += (codes[i] - TFormat.Zero) * q[i];
                    codeSum += q[i];
                }
                (t[half], terms[half]) = (s * products, s * codeSum);
            }
            if (length == 32)
            {
                sum = MathF.FusedMultiplyAdd(t[0] + t[1], scales[at / 32], sum);
                if (TFormat.HasOffsets) sum = MathF.FusedMultiplyAdd(offsets[at / 32], terms[0] + terms[1], sum);
            }
            else
                for (int half = 0; half < 2; half++)
                {
                    sum = MathF.FusedMultiplyAdd(t[half], scales[at / 16 + half], sum);
                    if (TFormat.HasOffsets) sum = MathF.FusedMultiplyAdd(offsets[at / 16 + half], terms[half], sum);
                }
        }
        return sum;
    }

    // SAFETY: (all below) callers pass whole blocks of sixteen rows, a tile of as many records, rows of that tile, and room for their results.
    [MethodImpl(KernelCode)]
    private static void One<TFormat>(byte* block, byte* x, int row, nint blocks, float* y) where TFormat : IIntegerFormat
    {
        Vector512<float> sum = default;
        for (nint b = 0; b < blocks; b++, block += Layout<TFormat>.BlockBytes)
            for (int p = 0; p < TFormat.BlockLength / 32; p++, x += QuantizedRows.RecordBytes)
            {
                Scales scales = Load<TFormat>(block, p);
                byte* planes = block + Layout<TFormat>.PlanesAt + p * Layout<TFormat>.PlaneBytes;
                Add<TFormat>(ref sum, in scales, Half<TFormat>(planes, 0, x, row), Half<TFormat>(planes, 1, x, row), x, row);
            }
        sum.Store(y);
    }

    [MethodImpl(KernelCode)]
    private static void Four<TFormat>(byte* block, byte* x, int last, nint blocks, float* y) where TFormat : IIntegerFormat
    {
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
        Vector512<byte>* codes = stackalloc Vector512<byte>[8];
        for (nint b = 0; b < blocks; b++, block += Layout<TFormat>.BlockBytes)
            for (int p = 0; p < TFormat.BlockLength / 32; p++, x += QuantizedRows.RecordBytes)
            {
                Scales scales = Load<TFormat>(block, p);
                byte* planes = block + Layout<TFormat>.PlanesAt + p * Layout<TFormat>.PlaneBytes;
                for (int half = 0; half < 2; half++)
                {
                    Vector512<byte> c0 = Step<TFormat>(planes, 0, half), c1 = Step<TFormat>(planes, 1, half), c2 = Step<TFormat>(planes, 2, half), c3 = Step<TFormat>(planes, 3, half);
                    (codes[4 * half], codes[4 * half + 1], codes[4 * half + 2], codes[4 * half + 3]) = (c0, c1, c2, c3);
                }
                Add<TFormat>(ref s0, in scales, Half<TFormat>(codes, 0, x, 0), Half<TFormat>(codes, 1, x, 0), x, 0);
                Add<TFormat>(ref s1, in scales, Half<TFormat>(codes, 0, x, 1), Half<TFormat>(codes, 1, x, 1), x, 1);
                Add<TFormat>(ref s2, in scales, Half<TFormat>(codes, 0, x, 2), Half<TFormat>(codes, 1, x, 2), x, 2);
                Add<TFormat>(ref s3, in scales, Half<TFormat>(codes, 0, x, last), Half<TFormat>(codes, 1, x, last), x, last);
            }
        s0.Store(y);
        s1.Store(y + 16);
        s2.Store(y + 32);
        s3.Store(y + 16 * last);
    }

    /// <summary>The numbers of <see cref="PackedLayout"/>, as constants of the format.</summary>
    private static class Layout<TFormat> where TFormat : IIntegerFormat
    {
        public static int Groups => TFormat.BlockLength / TFormat.GroupLength;

        public static int ScaleBytesAt => TFormat.HasOffsets ? 64 : 32;

        public static int MinimaAt => ScaleBytesAt + 16 * Groups;

        public static int PlanesAt => ScaleBytesAt + (Groups > 1 ? 16 * Groups * (TFormat.HasOffsets ? 2 : 1) : 0);

        public static int PlaneBytes => 64 * (TFormat.LowBits + TFormat.HighBits);

        public static int BlockBytes => PlanesAt + TFormat.BlockLength / 32 * PlaneBytes;
    }

    /// <summary>Scales and offsets of 32 columns; the second ones where 16 columns share them.</summary>
    private struct Scales
    {
        public Vector512<float> Scale, Offset, SecondScale, SecondOffset;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Scales Load<TFormat>(byte* block, int p) where TFormat : IIntegerFormat
    {
        Scales s = default;
        s.Scale = Halves(block);
        if (TFormat.HasOffsets) s.Offset = Halves(block + 32);
        if (Layout<TFormat>.Groups == 1) return s;
        int group = 32 / TFormat.GroupLength * p;
        if (TFormat.GroupLength == 16) s.SecondScale = s.Scale * Bytes(block + Layout<TFormat>.ScaleBytesAt + 16 * (group + 1));
        if (TFormat.GroupLength == 16 && TFormat.HasOffsets) s.SecondOffset = s.Offset * Bytes(block + Layout<TFormat>.MinimaAt + 16 * (group + 1));
        s.Scale *= Bytes(block + Layout<TFormat>.ScaleBytesAt + 16 * group);
        if (TFormat.HasOffsets) s.Offset *= Bytes(block + Layout<TFormat>.MinimaAt + 16 * group);
        return s;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Halves(byte* halves)
    {
        Vector256<ushort> bits = Vector256.Load((ushort*)halves);
        return HalfBits.ToSingle(Vector512.Create(Vector256.WidenLower(bits), Vector256.WidenUpper(bits)).AsInt32());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Bytes(byte* bytes)
    {
        if (Avx512F.IsSupported) return Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load((sbyte*)bytes)));
        Vector128<sbyte> v = Vector128.Load((sbyte*)bytes);
        Vector256<short> words = Vector256.Create(Vector128.WidenLower(v), Vector128.WidenUpper(v));
        return Vector512.ConvertToSingle(Vector512.Create(Vector256.WidenLower(words), Vector256.WidenUpper(words)));
    }

    /// <summary>Codes of four columns of sixteen rows: step <paramref name="i"/> of a half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Step<TFormat>(byte* planes, int i, int half) where TFormat : IIntegerFormat
    {
        if (TFormat.LowBits == 8) return Vector512.Load(planes + 64 * (4 * half + i));
        Vector512<byte> codes = TFormat.LowBits == 4
            ? Right(Vector512.Load(planes + 64 * i), 4 * half) & Vector512.Create((byte)15)
            : Right(Vector512.Load(planes + 64 * half), 2 * i) & Vector512.Create((byte)3);
        byte* high = planes + 64 * TFormat.LowBits;
        if (TFormat.HighBits == 2) codes |= Shift(Vector512.Load(high + 64 * half), TFormat.LowBits - 2 * i) & Vector512.Create((byte)(3 << TFormat.LowBits));
        if (TFormat.HighBits == 1) codes |= Shift(Vector512.Load(high), TFormat.LowBits - (4 * half + i)) & Vector512.Create((byte)(1 << TFormat.LowBits));
        return codes;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Right(Vector512<byte> v, int count) => Vector512.ShiftRightLogical(v.AsUInt16(), count).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Shift(Vector512<byte> v, int left) => left >= 0 ? Vector512.ShiftLeft(v.AsUInt16(), left).AsByte() : Right(v, -left);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Half<TFormat>(byte* planes, int half, byte* x, int row) where TFormat : IIntegerFormat
        => Scaled<TFormat>(Step<TFormat>(planes, 0, half), Step<TFormat>(planes, 1, half), Step<TFormat>(planes, 2, half), Step<TFormat>(planes, 3, half), x, half, row);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Half<TFormat>(Vector512<byte>* codes, int half, byte* x, int row) where TFormat : IIntegerFormat
        => Scaled<TFormat>(codes[4 * half], codes[4 * half + 1], codes[4 * half + 2], codes[4 * half + 3], x, half, row);

    /// <summary>The scaled integers of one half, <c>s Σ (code − Zero) · x</c>, for the sixteen rows: sums that begin at the start, less the origin.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Scaled<TFormat>(Vector512<byte> c0, Vector512<byte> c1, Vector512<byte> c2, Vector512<byte> c3, byte* x, int half, int row) where TFormat : IIntegerFormat
    {
        int* codes = (int*)(x + QuantizedRows.RecordLength * row + QuantizedRows.Group * half);
        Vector512<sbyte> x0 = Vector512.Create(codes[0]).AsSByte(), x1 = Vector512.Create(codes[1]).AsSByte(), x2 = Vector512.Create(codes[2]).AsSByte(), x3 = Vector512.Create(codes[3]).AsSByte();
        Vector512<float> origin = Vector512.Create(((float*)(x + QuantizedRows.OriginsAt))[2 * row + half]);
        Vector512<int> start = TFormat.Zero == 0 ? origin.AsInt32() : Vector512.Create(((int*)(x + QuantizedRows.StartsAt))[2 * row + half]);
        return Sum<TFormat>(start, c0, c1, c2, c3, x0, x1, x2, x3).AsSingle() - origin;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Sum<TFormat>(Vector512<int> start, Vector512<byte> c0, Vector512<byte> c1, Vector512<byte> c2, Vector512<byte> c3, Vector512<sbyte> x0, Vector512<sbyte> x1, Vector512<sbyte> x2, Vector512<sbyte> x3)
        where TFormat : IIntegerFormat
    {
        if (Avx512BW.IsSupported && TFormat.MaxCode <= 31)
        {
            // Eight products of at most 31 · 127 fit into 16 bits.
            Vector512<short> pairs = Avx512BW.MultiplyAddAdjacent(c0, x0) + Avx512BW.MultiplyAddAdjacent(c1, x1) + (Avx512BW.MultiplyAddAdjacent(c2, x2) + Avx512BW.MultiplyAddAdjacent(c3, x3));
            return start + Avx512BW.MultiplyAddAdjacent(pairs, Vector512<short>.One);
        }
        if (Avx512BW.IsSupported && TFormat.MaxCode <= 63)
        {
            Vector512<short> one = Vector512<short>.One; // Four of at most 63 · 127.
            return start + Avx512BW.MultiplyAddAdjacent(Avx512BW.MultiplyAddAdjacent(c0, x0) + Avx512BW.MultiplyAddAdjacent(c1, x1), one)
                         + Avx512BW.MultiplyAddAdjacent(Avx512BW.MultiplyAddAdjacent(c2, x2) + Avx512BW.MultiplyAddAdjacent(c3, x3), one);
        }
        if (AvxVnni.IsSupported)
        {
            Vector256<int> low = start.GetLower(), high = start.GetUpper();
            low = Vnni(Vnni(Vnni(Vnni(low, c0.GetLower(), x0), c1.GetLower(), x1), c2.GetLower(), x2), c3.GetLower(), x3);
            high = Vnni(Vnni(Vnni(Vnni(high, c0.GetUpper(), x0), c1.GetUpper(), x1), c2.GetUpper(), x2), c3.GetUpper(), x3);
            return Vector512.Create(low, high);
        }
        return start + IntegerDot.Dot(c0, x0, TFormat.MaxCode) + IntegerDot.Dot(c1, x1, TFormat.MaxCode) + IntegerDot.Dot(c2, x2, TFormat.MaxCode) + IntegerDot.Dot(c3, x3, TFormat.MaxCode);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Vnni(Vector256<int> sum, Vector256<byte> codes, Vector512<sbyte> x) => AvxVnni.MultiplyWideningAndAdd(sum, codes, x.GetLower());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TFormat>(ref Vector512<float> sum, in Scales scales, Vector512<float> first, Vector512<float> second, byte* x, int row) where TFormat : IIntegerFormat
    {
        if (TFormat.GroupLength == 32)
        {
            sum = Vector512.FusedMultiplyAdd(first + second, scales.Scale, sum);
            if (TFormat.HasOffsets) sum = Vector512.FusedMultiplyAdd(scales.Offset, Vector512.Create(((float*)(x + QuantizedRows.TermsAt))[row]), sum);
            return;
        }
        float* terms = (float*)(x + QuantizedRows.GroupTermsAt) + 2 * row;
        sum = Vector512.FusedMultiplyAdd(first, scales.Scale, sum);
        if (TFormat.HasOffsets) sum = Vector512.FusedMultiplyAdd(scales.Offset, Vector512.Create(terms[0]), sum);
        sum = Vector512.FusedMultiplyAdd(second, scales.SecondScale, sum);
        if (TFormat.HasOffsets) sum = Vector512.FusedMultiplyAdd(scales.SecondOffset, Vector512.Create(terms[1]), sum);
    }
}
