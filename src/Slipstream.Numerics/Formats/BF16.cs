using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>bfloat16: the upper half of a 32-bit float.</summary>
internal readonly struct BF16 : IEncodableFormat
{
    public static string Name => "BF16";

    public static int BlockLength => 1;

    public static int BlockBytes => 2;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        // SAFETY: Count proved that there are two bytes for each float; each step stays below n.
        nuint i = 0, n = (nuint)BlockCodec.Count<BF16>(blocks.Length, destination.Length);
        ref byte x = ref MemoryMarshal.GetReference(blocks);
        ref float y = ref MemoryMarshal.GetReference(destination);
        if (Vector512.IsHardwareAccelerated)
            for (; i + 16 <= n; i += 16)
                (Vector512.WidenLower(Vector256.LoadUnsafe(ref x, 2 * i).AsUInt16().ToVector512Unsafe()) << 16).AsSingle().StoreUnsafe(ref y, i);
        if (Vector256.IsHardwareAccelerated)
            for (; i + 8 <= n; i += 8)
                (Vector256.WidenLower(Vector128.LoadUnsafe(ref x, 2 * i).AsUInt16().ToVector256Unsafe()) << 16).AsSingle().StoreUnsafe(ref y, i);
        Reference(blocks[(2 * (int)i)..], destination[(int)i..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Encode(ReadOnlySpan<float> source, Span<byte> blocks)
    {
        // SAFETY: Count proved that there are two bytes for each float; each step stays below n.
        nuint i = 0, n = (nuint)BlockCodec.Count<BF16>(blocks.Length, source.Length);
        ref float x = ref MemoryMarshal.GetReference(source);
        ref byte y = ref MemoryMarshal.GetReference(blocks);
        if (Vector256.IsHardwareAccelerated)
            for (; i + 16 <= n; i += 16)
            {
                Vector512<float> value = Vector512.LoadUnsafe(ref x, i);
                Vector512<uint> bits = value.AsUInt32();
                Vector512<uint> upper = bits >> 16;
                Vector512<uint> rounded = (bits + Vector512.Create(0x7FFFu) + (upper & Vector512<uint>.One)) >> 16;
                rounded = Vector512.ConditionalSelect(Vector512.Equals(value, value).AsUInt32(), rounded, upper | Vector512.Create(0x40u));
                Vector256.Narrow(rounded.GetLower(), rounded.GetUpper()).AsByte().StoreUnsafe(ref y, 2 * i);
            }
        for (int j = (int)i; j < source.Length; j++)
            BinaryPrimitives.WriteUInt16LittleEndian(blocks[(2 * j)..], FromSingle(source[j]));
    }

    /// <summary>The definition, one weight at a time.</summary>
    internal static void Reference(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        for (int i = 0; i < destination.Length; i++)
            destination[i] = BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(blocks[(2 * i)..]) << 16);
    }

    /// <summary>Rounds to nearest, ties to even; a NaN stays one, made quiet.</summary>
    internal static ushort FromSingle(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value))
            return (ushort)((bits >> 16) | 0x40);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
