using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>256 codes of 2 bits in groups of 16: 16 bytes of 4-bit scales (low) and minima (high), 64 bytes of codes, half d, half dmin; <c>w = (d · sc) · q − dmin · m</c>.</summary>
internal readonly struct Q2_K : IIntegerFormat
{
    public static string Name => "Q2_K";

    public static int BlockLength => 256;

    public static int BlockBytes => 84;

    public static int GroupLength => 16;

    public static int Zero => 0;

    public static int MaxCode => 3;

    public static bool HasOffsets => true;

    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination) => BlockCodec.Decode<Q2_K>(blocks, destination);

    public static int LowBits => 2;

    public static void ReadScales(ReadOnlySpan<byte> block, out ushort d, out ushort m, Span<sbyte> scales, Span<sbyte> minima)
    {
        d = BinaryPrimitives.ReadUInt16LittleEndian(block[80..]);
        m = (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(block[82..]) ^ HalfBits.Sign); // Minima are subtracted.
        for (int g = 0; g < 16; g++) (scales[g], minima[g]) = ((sbyte)(block[g] & 0x0F), (sbyte)(block[g] >> 4));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(ReadOnlySpan<byte> blocks, Span<byte> codes, Span<float> scales, Span<float> offsets)
    {
        // SAFETY: Count proved the lengths; step b touches block b, its 256 codes, its 16 scales and its 16 offsets only.
        nuint count = (nuint)BlockCodec.Count<Q2_K>(blocks.Length, codes.Length, scales.Length, offsets.Length);
        ref byte block = ref MemoryMarshal.GetReference(blocks);
        ref byte code = ref MemoryMarshal.GetReference(codes);
        ref float scale = ref MemoryMarshal.GetReference(scales);
        ref float offset = ref MemoryMarshal.GetReference(offsets);
        Vector256<byte> three = Vector256.Create((byte)3);
        for (nuint b = 0; b < count; b++)
        {
            float d = HalfBits.ToSingle(Unsafe.ReadUnaligned<ushort>(ref Unsafe.Add(ref block, 80)));
            float least = HalfBits.ToSingle(Unsafe.ReadUnaligned<ushort>(ref Unsafe.Add(ref block, 82)));
            Vector256<byte> both = BlockCodec.Nibbles(Vector128.LoadUnsafe(ref block, 0));
            KQuantScales.StoreSixteen(both.GetLower().AsSByte(), d, ref scale, b * 16);
            KQuantScales.StoreSixteen(both.GetUpper().AsSByte(), -least, ref offset, b * 16);
            for (nuint h = 0; h < 2; h++)
            {
                Vector256<byte> packed = Vector256.LoadUnsafe(ref block, 16 + 32 * h);
                (packed & three).StoreUnsafe(ref code, 128 * h);
                (KQuantScales.ShiftRight(packed, 2) & three).StoreUnsafe(ref code, 128 * h + 32);
                (KQuantScales.ShiftRight(packed, 4) & three).StoreUnsafe(ref code, 128 * h + 64);
                (KQuantScales.ShiftRight(packed, 6) & three).StoreUnsafe(ref code, 128 * h + 96);
            }
            block = ref Unsafe.Add(ref block, 84);
            code = ref Unsafe.Add(ref code, 256);
        }
    }

    /// <summary>The definition of <see cref="Decode"/>, one weight at a time.</summary>
    internal static void Reference(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        for (; !blocks.IsEmpty; blocks = blocks[84..], destination = destination[256..])
        {
            float d = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks[80..]));
            float least = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks[82..]));
            for (int w = 0; w < 256; w++)
            {
                int q = (blocks[16 + 32 * (w / 128) + w % 32] >> (2 * (w / 32 % 4))) & 3;
                int both = blocks[w / 16];
                destination[w] = d * (both & 0x0F) * q - least * (both >> 4);
            }
        }
    }
}
