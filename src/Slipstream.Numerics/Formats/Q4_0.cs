using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>32 codes of 4 bits with a scale: half d, then 16 bytes, weights 0..15 in the low nibbles and 16..31 in the high ones; <c>w = d · (q − 8)</c>.</summary>
internal readonly struct Q4_0 : IEncodableFormat, IIntegerFormat
{
    public static string Name => "Q4_0";

    public static int BlockLength => 32;

    public static int BlockBytes => 18;

    public static int GroupLength => 32;

    public static int Zero => 8;

    public static int MaxCode => 15;

    public static bool HasOffsets => false;

    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination) => BlockCodec.Decode<Q4_0>(blocks, destination);

    public static int LowBits => 4;

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
        nuint count = (nuint)BlockCodec.Count<Q4_0>(blocks.Length, codes.Length, scales.Length, offsets.Length);
        ref byte block = ref MemoryMarshal.GetReference(blocks);
        ref byte code = ref MemoryMarshal.GetReference(codes);
        ref uint scale = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(scales));
        for (nuint b = 0; b < count; b++)
        {
            Unsafe.Add(ref scale, b) = Unsafe.ReadUnaligned<ushort>(ref block);
            BlockCodec.Nibbles(Vector128.LoadUnsafe(ref block, 2)).StoreUnsafe(ref code, b * 32);
            block = ref Unsafe.Add(ref block, 18);
        }
        HalfBits.WidenInPlace(scales);
    }

    public static void Encode(ReadOnlySpan<float> source, Span<byte> blocks)
    {
        int count = BlockCodec.Count<Q4_0>(blocks.Length, source.Length);
        for (int b = 0; b < count; b++)
        {
            ReadOnlySpan<float> x = source.Slice(b * 32, 32);
            Span<byte> block = blocks.Slice(b * 18, 18);
            float d = BlockRange.Farthest(x) / -8f;
            float inverse = d != 0f ? 1f / d : 0f;
            BinaryPrimitives.WriteUInt16LittleEndian(block, HalfBits.FromSingle(d));
            for (int i = 0; i < 16; i++)
            {
                int q0 = BlockRange.Code(x[i] * inverse + 8.5f, 15);
                int q1 = BlockRange.Code(x[i + 16] * inverse + 8.5f, 15);
                block[2 + i] = (byte)(q0 | (q1 << 4));
            }
        }
    }

    /// <summary>The definition of <see cref="Decode"/>, one weight at a time.</summary>
    internal static void Reference(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        for (; !blocks.IsEmpty; blocks = blocks[18..], destination = destination[32..])
        {
            float d = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks));
            for (int i = 0; i < 16; i++)
            {
                destination[i] = ((blocks[2 + i] & 0x0F) - 8) * d;
                destination[i + 16] = ((blocks[2 + i] >> 4) - 8) * d;
            }
        }
    }
}
