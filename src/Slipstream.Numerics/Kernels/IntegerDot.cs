using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>Exact products of unsigned 8-bit codes and signed 8-bit activations, summed by fours, on every instruction set.</summary>
internal static class IntegerDot
{
    // The largest code of which two products with 127 fit into 16 bits.
    private const int LargestPairable = 129;

    /// <summary>The sums of each four products of codes and activations.</summary>
    /// <param name="codes">64 codes, none above <paramref name="maxCode"/>.</param>
    /// <param name="x">64 activations, −127 to 127.</param>
    /// <param name="maxCode">A constant.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Dot(Vector512<byte> codes, Vector512<sbyte> x, int maxCode)
    {
        if (Avx512BW.IsSupported && maxCode <= LargestPairable)
            return Avx512BW.MultiplyAddAdjacent(Avx512BW.MultiplyAddAdjacent(codes, x), Vector512<short>.One);
        if (AvxVnni.IsSupported || Avx2.IsSupported)
            return Vector512.Create(Dot(codes.GetLower(), x.GetLower(), maxCode), Dot(codes.GetUpper(), x.GetUpper(), maxCode));
        return DotPortable(codes, x);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Dot(Vector256<byte> codes, Vector256<sbyte> x, int maxCode)
    {
        if (AvxVnni.IsSupported) return AvxVnni.MultiplyWideningAndAdd(Vector256<int>.Zero, codes, x);
        return DotAvx2(codes, x, maxCode);
    }

    /// <summary><see cref="Dot(Vector512{byte}, Vector512{sbyte}, int)"/> of half the lanes without the dot product instructions.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<int> DotAvx2(Vector256<byte> codes, Vector256<sbyte> x, int maxCode)
    {
        Vector256<short> one = Vector256<short>.One;
        if (maxCode <= LargestPairable) return Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(codes, x), one);
        // The top bit apart from the rest: neither part's pairs leave 16 bits, where the instruction would saturate.
        Vector256<byte> top = Vector256.Create((byte)0x80);
        return Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(Vector256.AndNot(codes, top), x), one)
             + Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(codes & top, x), one);
    }

    /// <summary>The definition of <see cref="Dot(Vector512{byte}, Vector512{sbyte}, int)"/>, for machines without vector instructions for it.</summary>
    internal static Vector512<int> DotPortable(Vector512<byte> codes, Vector512<sbyte> x)
    {
        Vector512<int> result = default;
        for (int j = 0; j < Vector512<int>.Count; j++)
        {
            int sum = 0;
            for (int i = 4 * j; i < 4 * j + 4; i++) sum += codes.GetElement(i) * x.GetElement(i);
            result = result.WithElement(j, sum);
        }
        return result;
    }
}
