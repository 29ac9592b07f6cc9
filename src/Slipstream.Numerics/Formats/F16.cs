using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>IEEE 754 half precision.</summary>
internal readonly struct F16 : IEncodableFormat
{
    public static string Name => "F16";

    public static int BlockLength => 1;

    public static int BlockBytes => 2;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        // SAFETY: Count proved that there are two bytes for each float; each step stays below n.
        nuint i = 0, n = (nuint)BlockCodec.Count<F16>(blocks.Length, destination.Length);
        ref byte x = ref MemoryMarshal.GetReference(blocks);
        ref float y = ref MemoryMarshal.GetReference(destination);
        if (Vector512.IsHardwareAccelerated)
            for (; i + 16 <= n; i += 16)
                HalfBits.ToSingle(Vector512.WidenLower(Vector256.LoadUnsafe(ref x, 2 * i).AsUInt16().ToVector512Unsafe()).AsInt32()).StoreUnsafe(ref y, i);
        if (Vector256.IsHardwareAccelerated)
            for (; i + 8 <= n; i += 8)
                HalfBits.ToSingle(Vector256.WidenLower(Vector128.LoadUnsafe(ref x, 2 * i).AsUInt16().ToVector256Unsafe()).AsInt32()).StoreUnsafe(ref y, i);
        Reference(blocks[(2 * (int)i)..], destination[(int)i..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Encode(ReadOnlySpan<float> source, Span<byte> blocks)
    {
        // SAFETY: Count proved that there are two bytes for each float; each step stays below n.
        nuint i = 0, n = (nuint)BlockCodec.Count<F16>(blocks.Length, source.Length);
        ref float x = ref MemoryMarshal.GetReference(source);
        ref byte y = ref MemoryMarshal.GetReference(blocks);
        if (Vector256.IsHardwareAccelerated)
            for (; i + 8 <= n; i += 8)
            {
                Vector256<uint> halves = HalfBits.FromSingle(Vector256.LoadUnsafe(ref x, i)).AsUInt32();
                Vector128.Narrow(halves.GetLower(), halves.GetUpper()).AsByte().StoreUnsafe(ref y, 2 * i);
            }
        for (int j = (int)i; j < source.Length; j++)
            BinaryPrimitives.WriteUInt16LittleEndian(blocks[(2 * j)..], HalfBits.FromSingle(source[j]));
    }

    /// <summary>The definition, one weight at a time.</summary>
    internal static void Reference(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        for (int i = 0; i < destination.Length; i++)
            destination[i] = HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(blocks[(2 * i)..]));
    }
}
