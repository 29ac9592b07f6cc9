using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics;

/// <summary>The bytes of one head's keys or values of a cached row, in each <see cref="CacheType"/> whose rows lie alone; <see cref="CachePairs"/> has those of <see cref="CacheType.Bf16"/>.</summary>
/// <remarks><see cref="CacheType.Q8"/> holds the codes and then the scales of its groups, so that four codes make a word for the kernel; the last group may be shorter than 32.</remarks>
internal static class CacheRows
{
    /// <summary>Numbers under one scale of <see cref="CacheType.Q8"/>.</summary>
    public const int GroupLength = 32;

    private const float LargestHalf = 65504f;

    /// <summary>Scales of one head.</summary>
    public static int Groups(int headSize) => (headSize + GroupLength - 1) / GroupLength;

    /// <summary>Bytes of one head of a row.</summary>
    public static int HeadBytes(CacheType type, int headSize) => type switch
    {
        CacheType.F32 => headSize * sizeof(float),
        CacheType.F16 => headSize * 2,
        CacheType.Bf16 => CachePairs.Stride(headSize) * sizeof(ushort),
        _ => headSize + 2 * Groups(headSize),
    };

    /// <summary>Rows of one head that lie together: those of <see cref="CacheType.Bf16"/> in groups, others alone.</summary>
    public static int GroupRows(CacheType type) => type == CacheType.Bf16 ? CachePairs.GroupRows : 1;

    /// <summary>Rounds the key of one head of a row and writes it.</summary>
    /// <param name="type">How.</param>
    /// <param name="head"><c>[headSize]</c>.</param>
    /// <param name="group"><see cref="HeadBytes"/> bytes for each of <see cref="GroupRows"/> rows.</param>
    /// <param name="row">Which of these rows.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void StoreKey(CacheType type, ReadOnlySpan<float> head, Span<byte> group, int row)
    {
        if (type == CacheType.Bf16) CachePairs.StoreKey(head, group, row);
        else Store(type, head, group);
    }

    /// <summary>Rounds the value of one head of a row and writes it.</summary>
    /// <inheritdoc cref="StoreKey"/>
    public static void StoreValue(CacheType type, ReadOnlySpan<float> head, Span<byte> group, int row)
    {
        if (type == CacheType.Bf16) CachePairs.StoreValue(head, group, row);
        else Store(type, head, group);
    }

    /// <summary>Rounds the keys and the values of one head of some rows that follow each other and writes them.</summary>
    /// <param name="type">How.</param>
    /// <param name="keys"><c>[rows, headSize]</c>; one row unless these lie in groups.</param>
    /// <param name="values">As many.</param>
    /// <param name="keyGroup"><see cref="HeadBytes"/> bytes for each of <see cref="GroupRows"/> rows.</param>
    /// <param name="valueGroup">As many.</param>
    /// <param name="row">The first row's place.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void Store(CacheType type, Matrix keys, Matrix values, Span<byte> keyGroup, Span<byte> valueGroup, int row)
    {
        if (type == CacheType.Bf16)
        {
            CachePairs.StoreKeys(keys, keyGroup, row);
            CachePairs.StoreValues(values, valueGroup, row);
            return;
        }
        Store(type, keys[0], keyGroup);
        Store(type, values[0], valueGroup);
    }

    /// <summary>Reads the key of one head of a row as stored.</summary>
    /// <inheritdoc cref="StoreKey"/>
    public static void LoadKey(CacheType type, ReadOnlySpan<byte> group, int row, Span<float> head)
    {
        if (type == CacheType.Bf16) CachePairs.LoadKey(group, row, head);
        else Load(type, group, head);
    }

    /// <summary>Reads the value of one head of a row as stored.</summary>
    /// <inheritdoc cref="StoreKey"/>
    public static void LoadValue(CacheType type, ReadOnlySpan<byte> group, int row, Span<float> head)
    {
        if (type == CacheType.Bf16) CachePairs.LoadValue(group, row, head);
        else Load(type, group, head);
    }

    /// <summary>Rounds the numbers of one head and writes them.</summary>
    /// <param name="type">How.</param>
    /// <param name="head"><c>[headSize]</c>.</param>
    /// <param name="bytes"><see cref="HeadBytes"/> bytes.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void Store(CacheType type, ReadOnlySpan<float> head, Span<byte> bytes)
    {
        Check(type, head.Length, bytes.Length);
        switch (type)
        {
            case CacheType.F32:
                MemoryMarshal.AsBytes(head).CopyTo(bytes);
                return;
            case CacheType.F16:
                StoreHalves(head, MemoryMarshal.Cast<byte, ushort>(bytes));
                return;
            default:
                Span<byte> scales = bytes[head.Length..];
                for (int i = 0; i < head.Length; i += GroupLength, scales = scales[2..])
                {
                    int length = Math.Min(GroupLength, head.Length - i);
                    Quantize(head.Slice(i, length), bytes.Slice(i, length), scales);
                }
                return;
        }
    }

    /// <summary>Reads the numbers of one head as stored: the definition that the kernel's own reading is tested against.</summary>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void Load(CacheType type, ReadOnlySpan<byte> bytes, Span<float> head)
    {
        Check(type, head.Length, bytes.Length);
        for (int i = 0; i < head.Length; i++)
            head[i] = type switch
            {
                CacheType.F32 => BinaryPrimitives.ReadSingleLittleEndian(bytes[(4 * i)..]),
                CacheType.F16 => HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * i)..])),
                _ => (sbyte)bytes[i] * HalfBits.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(bytes[(head.Length + i / GroupLength * 2)..])),
            };
    }

    private static void StoreHalves(ReadOnlySpan<float> x, Span<ushort> halves)
    {
        // SAFETY: both spans have as many elements; each step stays below n.
        nuint i = 0, n = (nuint)x.Length;
        ref float from = ref MemoryMarshal.GetReference(x);
        ref ushort to = ref MemoryMarshal.GetReference(halves);
        if (Vector256.IsHardwareAccelerated)
            for (; i + 8 <= n; i += 8)
            {
                Vector256<float> v = Vector256.LoadUnsafe(ref from, i);
                // Comparisons let a NaN through.
                v = Vector256.ConditionalSelect(Vector256.GreaterThan(v, Vector256.Create(LargestHalf)), Vector256.Create(LargestHalf), v);
                v = Vector256.ConditionalSelect(Vector256.LessThan(v, Vector256.Create(-LargestHalf)), Vector256.Create(-LargestHalf), v);
                Vector256<uint> bits = HalfBits.FromSingle(v).AsUInt32();
                Vector128.Narrow(bits.GetLower(), bits.GetUpper()).StoreUnsafe(ref to, i);
            }
        for (int j = (int)i; j < x.Length; j++) halves[j] = HalfBits.FromSingle(Math.Clamp(x[j], -LargestHalf, LargestHalf));
    }

    private static void Quantize(ReadOnlySpan<float> x, Span<byte> codes, Span<byte> scale)
    {
        float largest = 0;
        foreach (float v in x) largest = MathF.Max(largest, MathF.Abs(v));
        // The codes are taken with the scale as it is stored, so that its own rounding is not paid for twice.
        ushort half = HalfBits.FromSingle(MathF.Min(largest / 127f, LargestHalf));
        BinaryPrimitives.WriteUInt16LittleEndian(scale, half);
        float d = HalfBits.ToSingle(half), inverse = d != 0 ? 1f / d : 0;
        for (int i = 0; i < x.Length; i++) codes[i] = (byte)(sbyte)Math.Clamp(MathF.Round(x[i] * inverse), -127f, 127f);
    }

    private static void Check(CacheType type, int headSize, int bytes)
    {
        if (type == CacheType.Bf16) throw new ArgumentException("Rows of bfloat16 lie in groups, not alone.", nameof(type));
        if (bytes != HeadBytes(type, headSize)) throw new ArgumentException($"A head of {headSize} numbers takes {HeadBytes(type, headSize)} bytes as {type}, not {bytes}.", nameof(bytes));
    }
}
