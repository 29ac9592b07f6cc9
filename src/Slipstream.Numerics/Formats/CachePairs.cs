using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

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
