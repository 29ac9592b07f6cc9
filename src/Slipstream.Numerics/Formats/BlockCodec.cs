using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>What the block formats share: the checks of lengths and the step from codes to floats.</summary>
/// <remarks>Blocks are little-endian, and are read as they lie: only little-endian machines are served.</remarks>
internal static class BlockCodec
{
    // A chunk's codes and scales stay in the first-level cache between the two steps of Decode.
    private const int ChunkLength = 1024;
    private const int ShortestGroup = 16;

    /// <summary>Checks that the lengths are the same whole number of blocks, and returns that number.</summary>
    /// <exception cref="ArgumentException">They are not.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Count<TFormat>(int bytes, int weights) where TFormat : struct, IWeightFormat
    {
        int count = bytes / TFormat.BlockBytes;
        if (count * TFormat.BlockBytes != bytes || (long)count * TFormat.BlockLength != weights)
            ThrowLengths<TFormat>(bytes, weights);
        return count;
    }

    /// <summary>Checks the lengths of an <see cref="IIntegerFormat.Unpack"/>, and returns the number of blocks.</summary>
    /// <exception cref="ArgumentException">They do not fit each other.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Count<TFormat>(int bytes, int codes, int scales, int offsets) where TFormat : struct, IIntegerFormat
    {
        int count = Count<TFormat>(bytes, codes);
        int groups = count * (TFormat.BlockLength / TFormat.GroupLength);
        if (scales != groups || (TFormat.HasOffsets && offsets != groups))
            ThrowGroups<TFormat>(groups, scales, offsets);
        return count;
    }

    /// <summary>Decodes by way of <see cref="IIntegerFormat.Unpack"/>: the two can never disagree, and a format needs one fast path only. Allocates nothing.</summary>
    // SAFETY: SkipLocalsInit leaves the scratch undefined; Unpack writes every element of the parts that are then read.
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Decode<TFormat>(ReadOnlySpan<byte> blocks, Span<float> destination) where TFormat : struct, IIntegerFormat
    {
        int remaining = Count<TFormat>(blocks.Length, destination.Length);
        Span<byte> codes = stackalloc byte[ChunkLength];
        Span<float> scales = stackalloc float[ChunkLength / ShortestGroup];
        Span<float> offsets = stackalloc float[ChunkLength / ShortestGroup];
        while (remaining > 0)
        {
            int count = Math.Min(remaining, ChunkLength / TFormat.BlockLength);
            int length = count * TFormat.BlockLength;
            int groups = length / TFormat.GroupLength;
            TFormat.Unpack(blocks[..(count * TFormat.BlockBytes)], codes[..length], scales[..groups], TFormat.HasOffsets ? offsets[..groups] : default);
            Expand<TFormat>(codes[..length], scales, offsets, destination);
            blocks = blocks[(count * TFormat.BlockBytes)..];
            destination = destination[length..];
            remaining -= count;
        }
    }

    /// <summary><c>scale · (code − Zero) + offset</c>, rounded after the product and after the sum as ggml does: no fused multiply-add.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Expand<TFormat>(ReadOnlySpan<byte> codes, ReadOnlySpan<float> scales, ReadOnlySpan<float> offsets, Span<float> destination)
        where TFormat : struct, IIntegerFormat
    {
        // SAFETY: Decode passes whole groups; each step reads 16 codes of a group and writes 16 floats at the same place of a destination at least as long.
        ref byte code = ref MemoryMarshal.GetReference(codes);
        ref float y = ref MemoryMarshal.GetReference(destination);
        nuint at = 0;
        for (int g = 0; g < codes.Length / TFormat.GroupLength; g++)
        {
            float scale = scales[g];
            float offset = TFormat.HasOffsets ? offsets[g] : 0f;
            for (nuint end = at + (nuint)TFormat.GroupLength; at < end; at += 16)
            {
                Vector256<ushort> wide = Vector256.WidenLower(Vector128.LoadUnsafe(ref code, at).ToVector256Unsafe());
                if (Vector512.IsHardwareAccelerated)
                {
                    Vector512<int> value = Vector512.WidenLower(wide.ToVector512Unsafe()).AsInt32() - Vector512.Create(TFormat.Zero);
                    Vector512<float> product = Vector512.ConvertToSingle(value) * Vector512.Create(scale);
                    (TFormat.HasOffsets ? product + Vector512.Create(offset) : product).StoreUnsafe(ref y, at);
                }
                else
                {
                    Vector256<int> zero = Vector256.Create(TFormat.Zero);
                    Vector256<float> low = Vector256.ConvertToSingle(Vector256.WidenLower(wide).AsInt32() - zero) * Vector256.Create(scale);
                    Vector256<float> high = Vector256.ConvertToSingle(Vector256.WidenUpper(wide).AsInt32() - zero) * Vector256.Create(scale);
                    (TFormat.HasOffsets ? low + Vector256.Create(offset) : low).StoreUnsafe(ref y, at);
                    (TFormat.HasOffsets ? high + Vector256.Create(offset) : high).StoreUnsafe(ref y, at + 8);
                }
            }
        }
    }

    /// <summary>The 32 nibbles of 16 bytes: the low ones, then the high ones, as ggml packs a block of 32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Nibbles(Vector128<byte> packed) =>
        Vector256.Create(packed, Vector128.ShiftRightLogical(packed.AsUInt16(), 4).AsByte()) & Vector256.Create((byte)0x0F);

    /// <summary>Byte j is 16 where bit j of <paramref name="bits"/> is set, else 0: the fifth bits of a block of 32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> FifthBits(uint bits)
    {
        // Each byte of the result takes the byte of the word that holds its bit; the halves of the vector both hold the word, so no byte crosses them.
        Vector256<byte> spread = Vector256.Shuffle(
            Vector256.Create(bits).AsByte(),
            Vector256.Create((byte)0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 18, 18, 18, 18, 18, 18, 18, 18, 19, 19, 19, 19, 19, 19, 19, 19));
        Vector256<byte> mask = Vector256.Create(0x8040_2010_0804_0201ul).AsByte();
        return Vector256.Equals(spread & mask, mask) & Vector256.Create((byte)0x10);
    }

    [DoesNotReturn]
    private static void ThrowLengths<TFormat>(int bytes, int weights) where TFormat : struct, IWeightFormat =>
        throw new ArgumentException($"{bytes} bytes and {weights} weights are not the same whole number of {TFormat.Name} blocks ({TFormat.BlockBytes} bytes for {TFormat.BlockLength} weights).");

    [DoesNotReturn]
    private static void ThrowGroups<TFormat>(int groups, int scales, int offsets) where TFormat : struct, IIntegerFormat =>
        throw new ArgumentException($"{TFormat.Name} has {groups} groups here{(TFormat.HasOffsets ? ", each with a scale and an offset" : "")}, but there is room for {scales} scales and {offsets} offsets.");
}
