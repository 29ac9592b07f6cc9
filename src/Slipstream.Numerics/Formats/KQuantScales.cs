using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>The packed scales of the K-quants, and shifts of bytes.</summary>
/// <remarks>Vectors have no byte shifts on most machines; these shift 16-bit lanes, so the caller must mask away the bits that came from the neighbour.</remarks>
internal static class KQuantScales
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> ShiftRight(Vector256<byte> bytes, int count) => Vector256.ShiftRightLogical(bytes.AsUInt16(), count).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> ShiftLeft(Vector256<byte> bytes, int count) => Vector256.ShiftLeft(bytes.AsUInt16(), count).AsByte();

    /// <summary>Writes the eight scales <c>d · sc</c> and offsets <c>−dmin · m</c> of a Q4_K or Q5_K block, from element <paramref name="at"/> on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreSixBitPairs(ref byte block, nuint at, ref float scales, ref float offsets)
    {
        // SAFETY: both formats begin with 4 bytes of d and dmin and 12 bytes of scales.
        uint halves = Unsafe.ReadUnaligned<uint>(ref block);
        uint a = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref block, 4));
        uint b = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref block, 8));
        uint c = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref block, 12));
        ulong sc = (a & 0x3F3F_3F3F) | ((ulong)((c & 0x0F0F_0F0F) | ((a >> 2) & 0x3030_3030)) << 32);
        ulong m = (b & 0x3F3F_3F3F) | ((ulong)(((c >> 4) & 0x0F0F_0F0F) | ((b >> 2) & 0x3030_3030)) << 32);
        Times(Vector128.CreateScalar(sc).AsSByte(), HalfBits.ToSingle(halves & 0xFFFF)).StoreUnsafe(ref scales, at);
        Times(Vector128.CreateScalar(m).AsSByte(), -HalfBits.ToSingle(halves >> 16)).StoreUnsafe(ref offsets, at);
    }

    /// <summary>The halves d and −dmin and the eight scales and minima of a Q4_K or Q5_K block, as they are stored.</summary>
    public static void ReadSixBitPairs(ReadOnlySpan<byte> block, out ushort d, out ushort m, Span<sbyte> scales, Span<sbyte> minima)
    {
        d = BinaryPrimitives.ReadUInt16LittleEndian(block);
        m = (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(block[2..]) ^ HalfBits.Sign); // Minima are subtracted.
        for (int g = 0; g < 8; g++)
        {
            (int scale, int minimum) = SixBitPair(block.Slice(4, 12), g);
            (scales[g], minima[g]) = ((sbyte)scale, (sbyte)minimum);
        }
    }

    /// <summary>Scale and minimum of group <paramref name="j"/> in the 12 bytes of a Q4_K or Q5_K block: the definition.</summary>
    public static (int Scale, int Minimum) SixBitPair(ReadOnlySpan<byte> packed, int j) => j < 4
        ? (packed[j] & 63, packed[j + 4] & 63)
        : ((packed[j + 4] & 0x0F) | ((packed[j - 4] >> 6) << 4), (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4));

    /// <summary>The sixteen scales, 0 to 63, in the 12 bytes of a Q3_K block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<sbyte> SixBitSixteen(ref byte packed)
    {
        // SAFETY: reads the 12 bytes and no more.
        ulong low = Unsafe.ReadUnaligned<ulong>(ref packed);
        uint upper = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref packed, 8));
        const ulong Nibbles = 0x0F0F_0F0F_0F0F_0F0F;
        ulong first = (low & Nibbles) | ((ulong)((upper & 0x0303_0303) << 4) | ((ulong)((upper >> 2 & 0x0303_0303) << 4) << 32));
        ulong second = (low >> 4 & Nibbles) | ((ulong)((upper >> 4 & 0x0303_0303) << 4) | ((ulong)((upper >> 6 & 0x0303_0303) << 4) << 32));
        return Vector128.Create(first, second).AsSByte();
    }

    /// <summary>Scale <paramref name="j"/>, 0 to 63, in the 12 bytes of a Q3_K block: the definition.</summary>
    public static int SixBit(ReadOnlySpan<byte> packed, int j)
    {
        int low = j < 8 ? packed[j] & 0x0F : packed[j - 8] >> 4;
        return low | (((packed[8 + j % 4] >> (2 * (j / 4))) & 3) << 4);
    }

    /// <summary>Writes <c>d · scales</c>, sixteen floats, from element <paramref name="at"/> on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreSixteen(Vector128<sbyte> scales, float d, ref float destination, nuint at)
    {
        Times(scales, d).StoreUnsafe(ref destination, at);
        Times(Vector128.Create(scales.GetUpper(), default), d).StoreUnsafe(ref destination, at + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Times(Vector128<sbyte> lowerEight, float d)
    {
        Vector256<int> wide = Vector256.WidenLower(Vector128.WidenLower(lowerEight).ToVector256Unsafe());
        return Vector256.ConvertToSingle(wide) * Vector256.Create(d);
    }
}
