using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>IEEE 754 half precision to and from single, exactly, with integer arithmetic.</summary>
/// <remarks>
/// The conversions of <see cref="Half"/> are several times slower and do not vectorise. Widening is exact and keeps the payload of a NaN; narrowing rounds to
/// nearest, ties to even, and turns every NaN into the quiet one, as ggml does.
/// </remarks>
internal static class HalfBits
{
    /// <summary>The sign bit of a half.</summary>
    public const ushort Sign = 0x8000;

    // A half's exponent bias is 15, a single's 127; the fields move by 13 bits.
    private const uint Rebias = (127 - 15) << 23;
    private const uint SmallestNormalBits = (127 - 14) << 23;
    private const float SmallestNormal = 1f / 16384f;

    // A power of two whose last mantissa bit is the weight of a half's last subnormal bit: adding it rounds there.
    private const uint SubnormalMagicBits = (127 - 15 + 23 - 10 + 1) << 23;
    private const float SubnormalMagic = 0.5f;
    private const uint TooLargeBits = (127 + 16) << 23;
    private const uint InfinityBits = 0xFFu << 23;

    /// <summary>Widens one half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ToSingle(uint half)
    {
        uint magnitude = half & 0x7FFF;
        uint shifted = magnitude << 13;
        uint bits = shifted + Rebias;
        if (magnitude >= 0x7C00)
            bits += Rebias;
        else if (magnitude < 0x0400)
            bits = BitConverter.SingleToUInt32Bits(BitConverter.UInt32BitsToSingle(shifted + SmallestNormalBits) - SmallestNormal);
        return BitConverter.UInt32BitsToSingle(bits | ((half & 0x8000) << 16));
    }

    /// <summary>Widens eight halves, each in the low 16 bits of its element; the high bits must be zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ToSingle(Vector256<int> halves)
    {
        Vector256<int> magnitude = halves & Vector256.Create(0x7FFF);
        Vector256<int> shifted = magnitude << 13;
        Vector256<int> normal = shifted + Vector256.Create((int)Rebias);
        normal += Vector256.GreaterThan(magnitude, Vector256.Create(0x7BFF)) & Vector256.Create((int)Rebias);
        Vector256<float> subnormal = (shifted + Vector256.Create((int)SmallestNormalBits)).AsSingle() - Vector256.Create(SmallestNormal);
        Vector256<int> bits = Vector256.ConditionalSelect(Vector256.LessThan(magnitude, Vector256.Create(0x0400)), subnormal.AsInt32(), normal);
        return (bits | ((halves ^ magnitude) << 16)).AsSingle();
    }

    /// <summary>Widens sixteen halves, each in the low 16 bits of its element; the high bits must be zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ToSingle(Vector512<int> halves)
    {
        Vector512<int> magnitude = halves & Vector512.Create(0x7FFF);
        Vector512<int> shifted = magnitude << 13;
        Vector512<int> normal = shifted + Vector512.Create((int)Rebias);
        normal += Vector512.GreaterThan(magnitude, Vector512.Create(0x7BFF)) & Vector512.Create((int)Rebias);
        Vector512<float> subnormal = (shifted + Vector512.Create((int)SmallestNormalBits)).AsSingle() - Vector512.Create(SmallestNormal);
        Vector512<int> bits = Vector512.ConditionalSelect(Vector512.LessThan(magnitude, Vector512.Create(0x0400)), subnormal.AsInt32(), normal);
        return (bits | ((halves ^ magnitude) << 16)).AsSingle();
    }

    /// <summary>Replaces half bits, stored one an element in place of the floats, by the floats they stand for.</summary>
    /// <remarks>Lets a format copy the bits out of its blocks one by one and still convert them many at a time.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void WidenInPlace(Span<float> values)
    {
        ref float v = ref MemoryMarshal.GetReference(values);
        nuint i = 0, n = (nuint)values.Length;
        if (Vector512.IsHardwareAccelerated)
            for (; i + 16 <= n; i += 16)
                ToSingle(Vector512.LoadUnsafe(ref v, i).AsInt32()).StoreUnsafe(ref v, i);
        if (Vector256.IsHardwareAccelerated)
            for (; i + 8 <= n; i += 8)
                ToSingle(Vector256.LoadUnsafe(ref v, i).AsInt32()).StoreUnsafe(ref v, i);
        for (; i < n; i++)
        {
            ref float one = ref Unsafe.Add(ref v, i);
            one = ToSingle(BitConverter.SingleToUInt32Bits(one));
        }
    }

    /// <summary>Narrows one single.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort FromSingle(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        uint magnitude = bits & 0x7FFF_FFFF;
        uint sign = (bits ^ magnitude) >> 16;
        uint half;
        if (magnitude >= TooLargeBits)
            half = magnitude > InfinityBits ? 0x7E00u : 0x7C00u;
        else if (magnitude < SmallestNormalBits)
            half = BitConverter.SingleToUInt32Bits(BitConverter.UInt32BitsToSingle(magnitude) + SubnormalMagic) - SubnormalMagicBits;
        else
            half = (magnitude - Rebias + 0x0FFF + ((magnitude >> 13) & 1)) >> 13;
        return (ushort)(half | sign);
    }

    /// <summary>Narrows eight singles; each half is in the low 16 bits of its element, the high bits are zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> FromSingle(Vector256<float> values)
    {
        Vector256<int> bits = values.AsInt32();
        Vector256<int> magnitude = bits & Vector256.Create(0x7FFF_FFFF);
        Vector256<int> sign = Vector256.ShiftRightLogical(bits ^ magnitude, 16);
        Vector256<int> odd = Vector256.ShiftRightLogical(magnitude, 13) & Vector256<int>.One;
        Vector256<int> normal = Vector256.ShiftRightLogical(magnitude - Vector256.Create((int)Rebias - 0x0FFF) + odd, 13);
        Vector256<int> subnormal = (magnitude.AsSingle() + Vector256.Create(SubnormalMagic)).AsInt32() - Vector256.Create((int)SubnormalMagicBits);
        Vector256<int> special = Vector256.ConditionalSelect(
            Vector256.GreaterThan(magnitude, Vector256.Create((int)InfinityBits)), Vector256.Create(0x7E00), Vector256.Create(0x7C00));
        Vector256<int> half = Vector256.ConditionalSelect(Vector256.LessThan(magnitude, Vector256.Create((int)SmallestNormalBits)), subnormal, normal);
        half = Vector256.ConditionalSelect(Vector256.GreaterThan(magnitude, Vector256.Create((int)TooLargeBits - 1)), special, half);
        return half | sign;
    }
}
