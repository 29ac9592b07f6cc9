using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <summary>Widens cached rows of one head, in any <see cref="CacheType"/>, to the floats that the products read. Exactly the numbers that <see cref="CacheRows.Load"/> gives.</summary>
internal static unsafe class AttentionPacking
{
    private const MethodImplOptions KernelCode = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    /// <summary>Writes rows of keys or values, each with zeros up to a multiple of 16.</summary>
    /// <param name="type">How they are stored.</param>
    /// <param name="from">Where offsets count from.</param>
    /// <param name="offset">Where each row's <see cref="CacheRows.HeadBytes"/> bytes begin, in bytes.</param>
    /// <param name="place">Where each row goes: places are as far apart as a row rounded up to a multiple of 16.</param>
    /// <param name="count">Rows.</param>
    /// <param name="headSize">Numbers in a row.</param>
    /// <param name="packed">Room for all places.</param>
    /// <param name="emitted">Whether emitted kernels may be used.</param>
    public static void Unpack(CacheType type, byte* from, long* offset, int* place, int count, int headSize, float* packed, bool emitted)
    {
        if (count == 0) return;
        // SAFETY: (all below) the caller's rows and room are as documented.
        nint stride = (headSize + 15) & ~15, whole = Vector512.IsHardwareAccelerated ? headSize & ~15 : 0;
        if (whole > 0)
            switch (type)
            {
                case CacheType.F32: Floats(from, offset, place, count, whole, stride, packed); break;
                case CacheType.F16 when emitted:
                    HalfRowsCall call = new() { From = from, Offset = offset, Place = place, Count = count, Vectors = whole / 16, Stride = stride * sizeof(float), Packed = packed };
                    HalfRows.Kernel.Entry(&call);
                    break;
                case CacheType.F16: Halves(from, offset, place, count, whole, stride, packed); break;
                default: Codes(from, offset, place, count, whole, headSize, stride, packed); break;
            }
        if (whole == stride) return;
        for (int i = 0; i < count; i++) Rest(type, from + offset[i], (int)whole, headSize, packed + place[i] * stride);
    }

    [MethodImpl(KernelCode)]
    private static void Floats(byte* from, long* offset, int* place, int count, nint whole, nint stride, float* packed)
    {
        for (int i = 0; i < count; i++)
        {
            float* row = (float*)(from + offset[i]), to = packed + place[i] * stride;
            for (nint d = 0; d < whole; d += 16) Vector512.Load(row + d).Store(to + d);
        }
    }

    [MethodImpl(KernelCode)]
    private static void Halves(byte* from, long* offset, int* place, int count, nint whole, nint stride, float* packed)
    {
        for (int i = 0; i < count; i++)
        {
            ushort* row = (ushort*)(from + offset[i]);
            float* to = packed + place[i] * stride;
            for (nint d = 0; d < whole; d += 16)
                HalfBits.ToSingle(Vector512.WidenLower(Vector256.Load(row + d).ToVector512Unsafe()).AsInt32()).Store(to + d);
        }
    }

    [MethodImpl(KernelCode)]
    private static void Codes(byte* from, long* offset, int* place, int count, nint whole, int headSize, nint stride, float* packed)
    {
        for (int i = 0; i < count; i++)
        {
            sbyte* row = (sbyte*)(from + offset[i]);
            ushort* scales = (ushort*)(row + headSize);
            float* to = packed + place[i] * stride;
            for (nint d = 0; d < whole; d += CacheRows.GroupLength)
            {
                Vector512<float> scale = Vector512.Create(HalfBits.ToSingle(*scales++));
                (Widen(row + d) * scale).Store(to + d);
                if (d + 16 < whole) (Widen(row + d + 16) * scale).Store(to + d + 16);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Widen(sbyte* codes)
    {
        Vector128<sbyte> sixteen = Vector128.Load(codes);
        if (Avx512F.IsSupported) return Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(sixteen));
        return Vector512.ConvertToSingle(Vector512.WidenLower(Vector256.WidenLower(sixteen.ToVector256Unsafe()).ToVector512Unsafe()));
    }

    /// <summary>What whole vectors leave of a row, and the zeros after it.</summary>
    private static void Rest(CacheType type, byte* row, int d, int headSize, float* packed)
    {
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
