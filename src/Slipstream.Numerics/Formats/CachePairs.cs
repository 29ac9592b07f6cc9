using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics;

/// <summary>
/// Keys and values of <see cref="CacheType.Bf16"/>, in groups of sixteen rows of one head and in the order in which products take them: of keys <c>[stride / 2, 16]</c> pairs of columns, one of each row,
/// of values <c>[8, stride]</c> pairs of rows. The stride is the size of a head, rounded up to a multiple of 16; what is beyond the head is zero.
/// </summary>
/// <remarks>Rows of a group may be written by several threads at a time: each writes its own bytes.</remarks>
internal static class CachePairs
{
    /// <summary>Rows of a group.</summary>
    public const int GroupRows = 16;

    private const int Four = 4;

    /// <summary>Numbers of a head as stored.</summary>
    public static int Stride(int headSize) => (headSize + 15) & ~15;

    /// <summary>Bytes of a group.</summary>
    public static int GroupBytes(int headSize) => GroupRows * Stride(headSize) * sizeof(ushort);

    /// <summary>Rounds the key of one head of a row and writes it.</summary>
    /// <param name="head"><c>[headSize]</c>.</param>
    /// <param name="group"><see cref="GroupBytes"/> bytes.</param>
    /// <param name="row">0 to 15.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void StoreKey(ReadOnlySpan<float> head, Span<byte> group, int row)
    {
        Span<ushort> bits = stackalloc ushort[Check(head.Length, group.Length, row)];
        Round(head, bits);
        // SAFETY: the group was checked to have sixteen words for each of the head's.
        ref uint from = ref Unsafe.As<ushort, uint>(ref MemoryMarshal.GetReference(bits)), to = ref Unsafe.As<byte, uint>(ref group[row * sizeof(uint)]);
        for (nint i = 0; i < bits.Length / 2; i++) Unsafe.Add(ref to, i * GroupRows) = Unsafe.Add(ref from, i);
    }

    /// <summary>Rounds the value of one head of a row and writes it.</summary>
    /// <inheritdoc cref="StoreKey"/>
    public static void StoreValue(ReadOnlySpan<float> head, Span<byte> group, int row)
    {
        int stride = Check(head.Length, group.Length, row);
        Span<ushort> bits = stackalloc ushort[stride];
        Round(head, bits);
        // SAFETY: the group was checked to have as many words for each two rows as a head has numbers.
        ref uint from = ref Unsafe.As<ushort, uint>(ref MemoryMarshal.GetReference(bits));
        ref ushort to = ref Unsafe.As<byte, ushort>(ref group[(row / 2 * 2 * stride + row % 2) * sizeof(ushort)]);
        for (nint i = 0; i < bits.Length / 2; i++)
        {
            uint two = Unsafe.Add(ref from, i);
            Unsafe.Add(ref to, 4 * i) = (ushort)two;
            Unsafe.Add(ref to, 4 * i + 2) = (ushort)(two >> 16);
        }
    }

    /// <summary>Rounds the keys of one head of rows that follow each other and writes them: the bytes that <see cref="StoreKey"/> writes row by row, four rows at a time.</summary>
    /// <param name="heads"><c>[rows, headSize]</c>.</param>
    /// <param name="group"><see cref="GroupBytes"/> bytes.</param>
    /// <param name="row">The first row's place; all of them are in the group.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void StoreKeys(Matrix heads, Span<byte> group, int row)
    {
        int done = 0;
        if (Sse2.IsSupported && heads.Rows >= Four)
        {
            int stride = Check(heads.Columns, group.Length, row + heads.Rows - 1);
            Span<ushort> bits = stackalloc ushort[Four * stride];
            for (; done + Four <= heads.Rows; done += Four)
            {
                for (int i = 0; i < Four; i++) Round(heads[done + i], bits.Slice(i * stride, stride));
                PairFour(ref Unsafe.As<ushort, uint>(ref MemoryMarshal.GetReference(bits)), stride / 2, ref Unsafe.As<byte, uint>(ref group[(row + done) * sizeof(uint)]));
            }
        }
        for (; done < heads.Rows; done++) StoreKey(heads[done], group, row + done);
    }

    /// <summary>Rounds the values of one head of rows that follow each other and writes them: the bytes that <see cref="StoreValue"/> writes row by row, two rows at a time.</summary>
    /// <inheritdoc cref="StoreKeys"/>
    public static void StoreValues(Matrix heads, Span<byte> group, int row)
    {
        int done = 0;
        if (heads.Rows > 0 && row % 2 != 0) StoreValue(heads[done++], group, row);
        if (done + 2 <= heads.Rows)
        {
            int stride = Check(heads.Columns, group.Length, row + heads.Rows - 1);
            Span<ushort> first = stackalloc ushort[stride], second = stackalloc ushort[stride];
            for (; done + 2 <= heads.Rows; done += 2)
            {
                Round(heads[done], first);
                Round(heads[done + 1], second);
                PairRows(first, second, MemoryMarshal.Cast<byte, uint>(group).Slice((row + done) / 2 * stride, stride));
            }
        }
        if (done < heads.Rows) StoreValue(heads[done], group, row + done);
    }

    /// <summary>Makes pairs of two rows of bfloat16, column by column.</summary>
    /// <param name="first">A multiple of 8 long.</param>
    /// <param name="second">As long.</param>
    /// <param name="pairs">As long.</param>
    internal static void PairRows(ReadOnlySpan<ushort> first, ReadOnlySpan<ushort> second, Span<uint> pairs)
    {
        // SAFETY: the slices prove the lengths.
        ref ushort a = ref MemoryMarshal.GetReference(first[..pairs.Length]), b = ref MemoryMarshal.GetReference(second[..pairs.Length]);
        ref uint to = ref MemoryMarshal.GetReference(pairs);
        for (nuint i = 0; i + 8 <= (nuint)pairs.Length; i += 8)
            (Vector256.WidenLower(Vector128.LoadUnsafe(ref a, i).ToVector256Unsafe()) | Vector256.WidenLower(Vector128.LoadUnsafe(ref b, i).ToVector256Unsafe()) << 16).StoreUnsafe(ref to, i);
    }

    // Four rows of pairs of columns become columns of four rows.
    private static void PairFour(ref uint rows, int pairs, ref uint to)
    {
        for (nuint i = 0, n = (nuint)pairs; i < n; i += 4)
        {
            Vector128<uint> a = Vector128.LoadUnsafe(ref rows, i), b = Vector128.LoadUnsafe(ref rows, i + n), c = Vector128.LoadUnsafe(ref rows, i + 2 * n), d = Vector128.LoadUnsafe(ref rows, i + 3 * n);
            Vector128<ulong> low = Sse2.UnpackLow(a, b).AsUInt64(), high = Sse2.UnpackHigh(a, b).AsUInt64(), low2 = Sse2.UnpackLow(c, d).AsUInt64(), high2 = Sse2.UnpackHigh(c, d).AsUInt64();
            Sse2.UnpackLow(low, low2).AsUInt32().StoreUnsafe(ref to, i * GroupRows);
            Sse2.UnpackHigh(low, low2).AsUInt32().StoreUnsafe(ref to, (i + 1) * GroupRows);
            Sse2.UnpackLow(high, high2).AsUInt32().StoreUnsafe(ref to, (i + 2) * GroupRows);
            Sse2.UnpackHigh(high, high2).AsUInt32().StoreUnsafe(ref to, (i + 3) * GroupRows);
        }
    }

    /// <summary>Reads the key of one head of a row as stored.</summary>
    /// <param name="group"><see cref="GroupBytes"/> bytes.</param>
    /// <param name="row">0 to 15.</param>
    /// <param name="head"><c>[headSize]</c>, overwritten.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void LoadKey(ReadOnlySpan<byte> group, int row, Span<float> head)
    {
        _ = Check(head.Length, group.Length, row);
        ReadOnlySpan<ushort> from = MemoryMarshal.Cast<byte, ushort>(group);
        for (int i = 0; i < head.Length; i++) head[i] = Widened(from[(i / 2 * GroupRows + row) * 2 + i % 2]);
    }

    /// <summary>Reads the value of one head of a row as stored.</summary>
    /// <inheritdoc cref="LoadKey"/>
    public static void LoadValue(ReadOnlySpan<byte> group, int row, Span<float> head)
    {
        int stride = Check(head.Length, group.Length, row);
        ReadOnlySpan<ushort> from = MemoryMarshal.Cast<byte, ushort>(group)[(row / 2 * 2 * stride)..];
        for (int i = 0; i < head.Length; i++) head[i] = Widened(from[2 * i + row % 2]);
    }

    private static float Widened(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    private static void Round(ReadOnlySpan<float> head, Span<ushort> bits)
    {
        BF16.Encode(head, MemoryMarshal.AsBytes(bits[..head.Length]));
        bits[head.Length..].Clear();
    }

    private static int Check(int headSize, int bytes, int row)
    {
        if (bytes != GroupBytes(headSize)) throw new ArgumentException($"A group of {GroupRows} heads of {headSize} numbers takes {GroupBytes(headSize)} bytes, not {bytes}.", nameof(bytes));
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)GroupRows);
        return Stride(headSize);
    }
}
