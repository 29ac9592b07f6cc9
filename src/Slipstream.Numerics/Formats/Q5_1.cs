using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>32 codes of 5 bits with a scale and a minimum: half d, half m, 4 bytes of fifth bits (bit j belongs to weight j), then 16 bytes of nibbles as in Q4_1; <c>w = d · q + m</c>.</summary>
internal readonly struct Q5_1 : IEncodableFormat, IIntegerFormat
{
    public static string Name => "Q5_1";

    public static int BlockLength => 32;

    public static int BlockBytes => 24;

    public static int GroupLength => 32;

    public static int Zero => 0;

    public static int MaxCode => 31;

    public static bool HasOffsets => true;

    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination) => BlockCodec.Decode<Q5_1>(blocks, destination);

    public static int LowBits => 4;

    public static int HighBits => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ReadScales(ReadOnlySpan<byte> block, out ushort d, out ushort m, Span<sbyte> scales, Span<sbyte> minima)
    {
        d = BinaryPrimitives.ReadUInt16LittleEndian(block);
        m = BinaryPrimitives.ReadUInt16LittleEndian(block[2..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(ReadOnlySpan<byte> blocks, Span<byte> codes, Span<float> scales, Span<float> offsets)
    {
        // SAFETY: Count proved the lengths; step b touches block b, its codes, its scale and its offset only.
        nuint count = (nuint)BlockCodec.Count<Q5_1>(blocks.Length, codes.Length, scales.Length, offsets.Length);
        ref byte block = ref MemoryMarshal.GetReference(blocks);
        ref byte code = ref MemoryMarshal.GetReference(codes);
        ref uint scale = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(scales));
        ref uint offset = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(offsets));
        for (nuint b = 0; b < count; b++)
        {
            uint both = Unsafe.ReadUnaligned<uint>(ref block);
            Unsafe.Add(ref scale, b) = both & 0xFFFF;
            Unsafe.Add(ref offset, b) = both >> 16;
            Vector256<byte> low = BlockCodec.Nibbles(Vector128.LoadUnsafe(ref block, 8));
            (low | BlockCodec.FifthBits(Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref block, 4)))).StoreUnsafe(ref code, b * 32);
            block = ref Unsafe.Add(ref block, 24);
        }
        HalfBits.WidenInPlace(scales);
        HalfBits.WidenInPlace(offsets);
    }

    public static void Encode(ReadOnlySpan<float> source, Span<byte> blocks)
    {
        int count = BlockCodec.Count<Q5_1>(blocks.Length, source.Length);
        for (int b = 0; b < count; b++)
        {
            ReadOnlySpan<float> x = source.Slice(b * 32, 32);
            Span<byte> block = blocks.Slice(b * 24, 24);
            (float low, float high) = BlockRange.LowHigh(x);
            float d = (high - low) / 31f;
            float inverse = d != 0f ? 1f / d : 0f;
            BinaryPrimitives.WriteUInt16LittleEndian(block, HalfBits.FromSingle(d));
            BinaryPrimitives.WriteUInt16LittleEndian(block[2..], HalfBits.FromSingle(low));
            uint fifth = 0;
            for (int i = 0; i < 16; i++)
            {
                int q0 = BlockRange.Code((x[i] - low) * inverse + 0.5f, 31);
                int q1 = BlockRange.Code((x[i + 16] - low) * inverse + 0.5f, 31);
                block[8 + i] = (byte)((q0 & 0x0F) | ((q1 & 0x0F) << 4));
                fifth |= (uint)(q0 >> 4) << i;
                fifth |= (uint)(q1 >> 4) << (i + 16);
            }
            BinaryPrimitives.WriteUInt32LittleEndian(block[4..], fifth);
        }
    }

    /// <summary>The definition of <see cref="Decode"/>, one weight at a time.</summary>
    internal static void Reference(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        for (; !blocks.IsEmpty; blocks = blocks[24..], destination = destination[32..])
        {
            float d = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks));
            float m = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks[2..]));
            uint fifth = BinaryPrimitives.ReadUInt32LittleEndian(blocks[4..]);
            for (int i = 0; i < 16; i++)
            {
                int q0 = (blocks[8 + i] & 0x0F) | (int)(((fifth >> i) & 1) << 4);
                int q1 = (blocks[8 + i] >> 4) | (int)(((fifth >> (i + 16)) & 1) << 4);
                destination[i] = q0 * d + m;
                destination[i + 16] = q1 * d + m;
            }
        }
    }
}
