using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>256 codes of 5 bits in groups of 32: half d, half dmin, 12 bytes of 6-bit scales and minima, 32 bytes of fifth bits, 128 bytes of nibbles; <c>w = (d · sc) · q − dmin · m</c>.</summary>
internal readonly struct Q5_K : IIntegerFormat
{
    public static string Name => "Q5_K";

    public static int BlockLength => 256;

    public static int BlockBytes => 176;

    public static int GroupLength => 32;

    public static int Zero => 0;

    public static int MaxCode => 31;

    public static bool HasOffsets => true;

    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination) => BlockCodec.Decode<Q5_K>(blocks, destination);

    public static int LowBits => 4;

    public static int HighBits => 1;

    public static void ReadScales(ReadOnlySpan<byte> block, out ushort d, out ushort m, Span<sbyte> scales, Span<sbyte> minima)
        => KQuantScales.ReadSixBitPairs(block, out d, out m, scales, minima);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(ReadOnlySpan<byte> blocks, Span<byte> codes, Span<float> scales, Span<float> offsets)
    {
        // SAFETY: Count proved the lengths; step b touches block b, its 256 codes, its 8 scales and its 8 offsets only.
        nuint count = (nuint)BlockCodec.Count<Q5_K>(blocks.Length, codes.Length, scales.Length, offsets.Length);
        ref byte block = ref MemoryMarshal.GetReference(blocks);
        ref byte code = ref MemoryMarshal.GetReference(codes);
        ref float scale = ref MemoryMarshal.GetReference(scales);
        ref float offset = ref MemoryMarshal.GetReference(offsets);
        Vector256<byte> nibble = Vector256.Create((byte)0x0F);
        Vector256<byte> bit = Vector256.Create((byte)0x10);
        for (nuint b = 0; b < count; b++)
        {
            KQuantScales.StoreSixBitPairs(ref block, b * 8, ref scale, ref offset);
            Vector256<byte> fifth = Vector256.LoadUnsafe(ref block, 16);
            for (nuint j = 0; j < 4; j++)
            {
                // Bits 2j and 2j + 1 of each byte are the fifth bits of these 64 weights.
                Vector256<byte> packed = Vector256.LoadUnsafe(ref block, 48 + 32 * j);
                Vector256<byte> low = (packed & nibble) | (KQuantScales.ShiftLeft(fifth, 4) & bit);
                Vector256<byte> high = (KQuantScales.ShiftRight(packed, 4) & nibble) | (KQuantScales.ShiftLeft(fifth, 3) & bit);
                fifth = KQuantScales.ShiftRight(fifth, 2);
                low.StoreUnsafe(ref code, 64 * j);
                high.StoreUnsafe(ref code, 64 * j + 32);
            }
            block = ref Unsafe.Add(ref block, 176);
            code = ref Unsafe.Add(ref code, 256);
        }
    }

    /// <summary>The definition of <see cref="Decode"/>, one weight at a time.</summary>
    internal static void Reference(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        for (; !blocks.IsEmpty; blocks = blocks[176..], destination = destination[256..])
        {
            float d = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks));
            float least = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks[2..]));
            for (int j = 0; j < 4; j++)
            {
                (int sc0, int m0) = KQuantScales.SixBitPair(blocks.Slice(4, 12), 2 * j);
                (int sc1, int m1) = KQuantScales.SixBitPair(blocks.Slice(4, 12), 2 * j + 1);
                float d0 = d * sc0, least0 = least * m0, d1 = d * sc1, least1 = least * m1;
                for (int i = 0; i < 32; i++)
                {
                    destination[64 * j + i] = d0 * ((blocks[48 + 32 * j + i] & 0x0F) | (((blocks[16 + i] >> (2 * j)) & 1) << 4)) - least0;
                    destination[64 * j + 32 + i] = d1 * ((blocks[48 + 32 * j + i] >> 4) | (((blocks[16 + i] >> (2 * j + 1)) & 1) << 4)) - least1;
                }
            }
        }
    }
}
