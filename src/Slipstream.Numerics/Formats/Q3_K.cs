using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>256 codes of 3 bits in groups of 16: 32 bytes of third bits, 64 bytes of the lower two, 12 bytes of 6-bit scales, half d; <c>w = d · (sc − 32) · (q − 4)</c>.</summary>
internal readonly struct Q3_K : IIntegerFormat
{
    public static string Name => "Q3_K";

    public static int BlockLength => 256;

    public static int BlockBytes => 110;

    public static int GroupLength => 16;

    public static int Zero => 4;

    public static int MaxCode => 7;

    public static bool HasOffsets => false;

    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination) => BlockCodec.Decode<Q3_K>(blocks, destination);

    public static int LowBits => 2;

    public static int HighBits => 1;

    public static void ReadScales(ReadOnlySpan<byte> block, out ushort d, out ushort m, Span<sbyte> scales, Span<sbyte> minima)
    {
        d = BinaryPrimitives.ReadUInt16LittleEndian(block[108..]);
        m = 0;
        for (int g = 0; g < 16; g++) scales[g] = (sbyte)(KQuantScales.SixBit(block.Slice(96, 12), g) - 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(ReadOnlySpan<byte> blocks, Span<byte> codes, Span<float> scales, Span<float> offsets)
    {
        // SAFETY: Count proved the lengths; step b touches block b, its 256 codes and its 16 scales only.
        nuint count = (nuint)BlockCodec.Count<Q3_K>(blocks.Length, codes.Length, scales.Length, offsets.Length);
        ref byte block = ref MemoryMarshal.GetReference(blocks);
        ref byte code = ref MemoryMarshal.GetReference(codes);
        ref float scale = ref MemoryMarshal.GetReference(scales);
        Vector256<byte> three = Vector256.Create((byte)3), four = Vector256.Create((byte)4);
        for (nuint b = 0; b < count; b++)
        {
            float d = HalfBits.ToSingle(Unsafe.ReadUnaligned<ushort>(ref Unsafe.Add(ref block, 108)));
            KQuantScales.StoreSixteen(KQuantScales.SixBitSixteen(ref Unsafe.Add(ref block, 96)) - Vector128.Create((sbyte)32), d, ref scale, b * 16);
            Vector256<byte> third = Vector256.LoadUnsafe(ref block, 0);
            for (nuint h = 0; h < 2; h++)
            {
                // Bit 4h + k of each byte is the third bit of the k-th 32 weights of this half.
                Vector256<byte> packed = Vector256.LoadUnsafe(ref block, 32 + 32 * h);
                ((packed & three) | (KQuantScales.ShiftLeft(third, 2) & four)).StoreUnsafe(ref code, 128 * h);
                ((KQuantScales.ShiftRight(packed, 2) & three) | (KQuantScales.ShiftLeft(third, 1) & four)).StoreUnsafe(ref code, 128 * h + 32);
                ((KQuantScales.ShiftRight(packed, 4) & three) | (third & four)).StoreUnsafe(ref code, 128 * h + 64);
                ((KQuantScales.ShiftRight(packed, 6) & three) | (KQuantScales.ShiftRight(third, 1) & four)).StoreUnsafe(ref code, 128 * h + 96);
                third = KQuantScales.ShiftRight(third, 4);
            }
            block = ref Unsafe.Add(ref block, 110);
            code = ref Unsafe.Add(ref code, 256);
        }
    }

    /// <summary>The definition of <see cref="Decode"/>, one weight at a time.</summary>
    internal static void Reference(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        for (; !blocks.IsEmpty; blocks = blocks[110..], destination = destination[256..])
        {
            float d = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks[108..]));
            for (int w = 0; w < 256; w++)
            {
                int low = (blocks[32 + 32 * (w / 128) + w % 32] >> (2 * (w / 32 % 4))) & 3;
                int third = (blocks[w % 32] >> (w / 32)) & 1;
                float scale = d * (KQuantScales.SixBit(blocks.Slice(96, 12), w / 16) - 32);
                destination[w] = scale * ((low | (third << 2)) - 4);
            }
        }
    }
}
