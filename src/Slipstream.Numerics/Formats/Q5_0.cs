using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>32 codes of 5 bits with a scale: half d, 4 bytes of fifth bits (bit j belongs to weight j), then 16 bytes of nibbles as in Q4_0; <c>w = d · (q − 16)</c>.</summary>
internal readonly struct Q5_0 : IEncodableFormat, IIntegerFormat
{
    public static string Name => "Q5_0";

    public static int BlockLength => 32;

    public static int BlockBytes => 22;

    public static int GroupLength => 32;

    public static int Zero => 16;

    public static int MaxCode => 31;

    public static bool HasOffsets => false;

    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination) => BlockCodec.Decode<Q5_0>(blocks, destination);

    public static int LowBits => 4;

    public static int HighBits => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ReadScales(ReadOnlySpan<byte> block, out ushort d, out ushort m, Span<sbyte> scales, Span<sbyte> minima)
    {
        d = BinaryPrimitives.ReadUInt16LittleEndian(block);
        m = 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(ReadOnlySpan<byte> blocks, Span<byte> codes, Span<float> scales, Span<float> offsets)
    {
        // SAFETY: Count proved the lengths; step b touches block b, its codes and its scale only.
        nuint count = (nuint)BlockCodec.Count<Q5_0>(blocks.Length, codes.Length, scales.Length, offsets.Length);
        ref byte block = ref MemoryMarshal.GetReference(blocks);
        ref byte code = ref MemoryMarshal.GetReference(codes);
        ref uint scale = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(scales));
        for (nuint b = 0; b < count; b++)
        {
            Unsafe.Add(ref scale, b) = Unsafe.ReadUnaligned<ushort>(ref block);
            Vector256<byte> low = BlockCodec.Nibbles(Vector128.LoadUnsafe(ref block, 6));
            (low | BlockCodec.FifthBits(Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref block, 2)))).StoreUnsafe(ref code, b * 32);
            block = ref Unsafe.Add(ref block, 22);
        }
        HalfBits.WidenInPlace(scales);
    }

    public static void Encode(ReadOnlySpan<float> source, Span<byte> blocks)
    {
        int count = BlockCodec.Count<Q5_0>(blocks.Length, source.Length);
        for (int b = 0; b < count; b++)
        {
            ReadOnlySpan<float> x = source.Slice(b * 32, 32);
            Span<byte> block = blocks.Slice(b * 22, 22);
            float d = BlockRange.Farthest(x) / -16f;
            float inverse = d != 0f ? 1f / d : 0f;
            BinaryPrimitives.WriteUInt16LittleEndian(block, HalfBits.FromSingle(d));
            uint fifth = 0;
            for (int i = 0; i < 16; i++)
            {
                int q0 = BlockRange.Code(x[i] * inverse + 16.5f, 31);
                int q1 = BlockRange.Code(x[i + 16] * inverse + 16.5f, 31);
                block[6 + i] = (byte)((q0 & 0x0F) | ((q1 & 0x0F) << 4));
                fifth |= (uint)(q0 >> 4) << i;
                fifth |= (uint)(q1 >> 4) << (i + 16);
            }
            BinaryPrimitives.WriteUInt32LittleEndian(block[2..], fifth);
        }
    }

    /// <summary>The definition of <see cref="Decode"/>, one weight at a time.</summary>
    internal static void Reference(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        for (; !blocks.IsEmpty; blocks = blocks[22..], destination = destination[32..])
        {
            float d = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks));
            uint fifth = BinaryPrimitives.ReadUInt32LittleEndian(blocks[2..]);
            for (int i = 0; i < 16; i++)
            {
                int q0 = (blocks[6 + i] & 0x0F) | (int)(((fifth >> i) & 1) << 4);
                int q1 = (blocks[6 + i] >> 4) | (int)(((fifth >> (i + 16)) & 1) << 4);
                destination[i] = (q0 - 16) * d;
                destination[i + 16] = (q1 - 16) * d;
            }
        }
    }
}
