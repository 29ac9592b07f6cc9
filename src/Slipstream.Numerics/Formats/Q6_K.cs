using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>256 codes of 6 bits in groups of 16: 128 bytes of nibbles, 64 bytes of the upper two bits, 16 signed byte scales, half d; <c>w = (d · sc) · (q − 32)</c>.</summary>
internal readonly struct Q6_K : IIntegerFormat
{
    public static string Name => "Q6_K";

    public static int BlockLength => 256;

    public static int BlockBytes => 210;

    public static int GroupLength => 16;

    public static int Zero => 32;

    public static int MaxCode => 63;

    public static bool HasOffsets => false;

    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination) => BlockCodec.Decode<Q6_K>(blocks, destination);

    public static int LowBits => 4;

    public static int HighBits => 2;

    public static void ReadScales(ReadOnlySpan<byte> block, out ushort d, out ushort m, Span<sbyte> scales, Span<sbyte> minima)
    {
        d = BinaryPrimitives.ReadUInt16LittleEndian(block[208..]);
        m = 0;
        for (int g = 0; g < 16; g++) scales[g] = (sbyte)block[192 + g];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(ReadOnlySpan<byte> blocks, Span<byte> codes, Span<float> scales, Span<float> offsets)
    {
        // SAFETY: Count proved the lengths; step b touches block b, its 256 codes and its 16 scales only.
        nuint count = (nuint)BlockCodec.Count<Q6_K>(blocks.Length, codes.Length, scales.Length, offsets.Length);
        ref byte block = ref MemoryMarshal.GetReference(blocks);
        ref byte code = ref MemoryMarshal.GetReference(codes);
        ref float scale = ref MemoryMarshal.GetReference(scales);
        Vector256<byte> nibble = Vector256.Create((byte)0x0F), top = Vector256.Create((byte)0x30);
        for (nuint b = 0; b < count; b++)
        {
            float d = HalfBits.ToSingle(Unsafe.ReadUnaligned<ushort>(ref Unsafe.Add(ref block, 208)));
            KQuantScales.StoreSixteen(Vector128.LoadUnsafe(ref block, 192).AsSByte(), d, ref scale, b * 16);
            for (nuint h = 0; h < 2; h++)
            {
                Vector256<byte> first = Vector256.LoadUnsafe(ref block, 64 * h);
                Vector256<byte> second = Vector256.LoadUnsafe(ref block, 64 * h + 32);
                Vector256<byte> upper = Vector256.LoadUnsafe(ref block, 128 + 32 * h);
                ((first & nibble) | (KQuantScales.ShiftLeft(upper, 4) & top)).StoreUnsafe(ref code, 128 * h);
                ((second & nibble) | (KQuantScales.ShiftLeft(upper, 2) & top)).StoreUnsafe(ref code, 128 * h + 32);
                ((KQuantScales.ShiftRight(first, 4) & nibble) | (upper & top)).StoreUnsafe(ref code, 128 * h + 64);
                ((KQuantScales.ShiftRight(second, 4) & nibble) | (KQuantScales.ShiftRight(upper, 2) & top)).StoreUnsafe(ref code, 128 * h + 96);
            }
            block = ref Unsafe.Add(ref block, 210);
            code = ref Unsafe.Add(ref code, 256);
        }
    }

    /// <summary>The definition of <see cref="Decode"/>, one weight at a time.</summary>
    internal static void Reference(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        for (; !blocks.IsEmpty; blocks = blocks[210..], destination = destination[256..])
        {
            float d = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks[208..]));
            for (int w = 0; w < 256; w++)
            {
                // Each half of 128 weights is four quarters of 32: two in the low nibbles of 64 bytes, two in their high nibbles.
                int h = w / 128, quarter = w / 32 % 4, i = w % 32;
                int packed = blocks[64 * h + 32 * (quarter % 2) + i];
                int low = quarter < 2 ? packed & 0x0F : packed >> 4;
                int upper = (blocks[128 + 32 * h + i] >> (2 * quarter)) & 3;
                destination[w] = d * (sbyte)blocks[192 + w / 16] * ((low | (upper << 4)) - 32);
            }
        }
    }
}
