using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>32 signed bytes with one scale: half d, then the bytes; <c>w = d · q</c>.</summary>
internal readonly struct Q8_0 : IEncodableFormat, IIntegerFormat
{
    public static string Name => "Q8_0";

    public static int BlockLength => 32;

    public static int BlockBytes => 34;

    public static int GroupLength => 32;

    public static int Zero => 128;

    public static bool HasOffsets => false;

    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination) => BlockCodec.Decode<Q8_0>(blocks, destination);

    public static int LowBits => 8;

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
        nuint count = (nuint)BlockCodec.Count<Q8_0>(blocks.Length, codes.Length, scales.Length, offsets.Length);
        ref byte block = ref MemoryMarshal.GetReference(blocks);
        ref byte code = ref MemoryMarshal.GetReference(codes);
        ref uint scale = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(scales));
        for (nuint b = 0; b < count; b++)
        {
            Unsafe.Add(ref scale, b) = Unsafe.ReadUnaligned<ushort>(ref block);
            (Vector256.LoadUnsafe(ref block, 2) ^ Vector256.Create((byte)0x80)).StoreUnsafe(ref code, b * 32);
            block = ref Unsafe.Add(ref block, 34);
        }
        HalfBits.WidenInPlace(scales);
    }

    public static void Encode(ReadOnlySpan<float> source, Span<byte> blocks)
    {
        int count = BlockCodec.Count<Q8_0>(blocks.Length, source.Length);
        for (int b = 0; b < count; b++)
        {
            ReadOnlySpan<float> x = source.Slice(b * 32, 32);
            Span<byte> block = blocks.Slice(b * 34, 34);
            float largest = 0f;
            foreach (float v in x)
                largest = MathF.Max(largest, MathF.Abs(v));
            float d = largest / 127f;
            float inverse = d != 0f ? 1f / d : 0f;
            BinaryPrimitives.WriteUInt16LittleEndian(block, HalfBits.FromSingle(d));
            for (int i = 0; i < 32; i++)
                block[2 + i] = (byte)(sbyte)MathF.Round(x[i] * inverse, MidpointRounding.AwayFromZero);
        }
    }

    /// <summary>The definition of <see cref="Decode"/>, one weight at a time.</summary>
    internal static void Reference(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        for (; !blocks.IsEmpty; blocks = blocks[34..], destination = destination[32..])
        {
            float d = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks));
            for (int i = 0; i < 32; i++)
                destination[i] = (sbyte)blocks[2 + i] * d;
        }
    }
}
