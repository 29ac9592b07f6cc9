using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Widens cached rows of one head, in any <see cref="CacheType"/>, to the floats that the products read. Exactly the numbers that <see cref="CacheRows.Load"/> gives.</summary>
internal static unsafe class AttentionPacking
{
    /// <summary>Writes one row of keys or values, with zeros up to a multiple of 16.</summary>
    /// <param name="type">How it is stored.</param>
    /// <param name="row">Its <see cref="CacheRows.HeadBytes"/> bytes.</param>
    /// <param name="headSize">Numbers in it.</param>
    /// <param name="packed">Room for them, rounded up to a multiple of 16.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void Unpack(CacheType type, byte* row, int headSize, float* packed)
    {
        // SAFETY: the caller's row and room are as documented.
        int d = 0;
        if (Vector512.IsHardwareAccelerated)
            switch (type)
            {
                case CacheType.F32:
                    for (; d + 16 <= headSize; d += 16) Vector512.Load((float*)row + d).Store(packed + d);
                    break;
                case CacheType.F16:
                    for (; d + 16 <= headSize; d += 16)
                        HalfBits.ToSingle(Vector512.WidenLower(Vector256.Load((ushort*)row + d).ToVector512Unsafe()).AsInt32()).Store(packed + d);
                    break;
                default:
                    ushort* scales = (ushort*)(row + headSize);
                    for (; d + 16 <= headSize; d += 16)
                    {
                        Vector256<short> wide = Vector256.WidenLower(Vector128.Load((sbyte*)row + d).ToVector256Unsafe());
                        Vector512<float> codes = Vector512.ConvertToSingle(Vector512.WidenLower(wide.ToVector512Unsafe()));
                        (codes * Vector512.Create(HalfBits.ToSingle(scales[d / CacheRows.GroupLength]))).Store(packed + d);
                    }
                    break;
            }
        for (; d < headSize; d++)
            packed[d] = type switch
            {
                CacheType.F32 => ((float*)row)[d],
                CacheType.F16 => HalfBits.ToSingle(((ushort*)row)[d]),
                _ => ((sbyte*)row)[d] * HalfBits.ToSingle(((ushort*)(row + headSize))[d / CacheRows.GroupLength]),
            };
        for (; d % 16 != 0; d++) packed[d] = 0;
    }
}
