using System.Buffers.Binary;
using Slipstream.Numerics;

namespace Slipstream.Tests.Kernels;

internal interface ITestSpec
{
    static abstract int Group { get; }
    static abstract int Zero { get; }
    static abstract int MaxCode { get; }
    static abstract bool Offsets { get; }
}

internal struct Bits3Group16 : ITestSpec { public static int Group => 16; public static int Zero => 4; public static int MaxCode => 7; public static bool Offsets => false; }
internal struct Bits4 : ITestSpec { public static int Group => 32; public static int Zero => 8; public static int MaxCode => 15; public static bool Offsets => false; }
internal struct Bits5Offset : ITestSpec { public static int Group => 32; public static int Zero => 0; public static int MaxCode => 31; public static bool Offsets => true; }
internal struct Bits6Group16 : ITestSpec { public static int Group => 16; public static int Zero => 32; public static int MaxCode => 63; public static bool Offsets => false; }
internal struct Bits2Group16Offset : ITestSpec { public static int Group => 16; public static int Zero => 0; public static int MaxCode => 3; public static bool Offsets => true; }
internal struct Bits8 : ITestSpec { public static int Group => 32; public static int Zero => 128; public static int MaxCode => 255; public static bool Offsets => false; }

/// <summary>
/// An integer format as plain as can be, so that the products are tested apart from the codecs: a block is 32 codes, the halves d and m, and for groups of 16 two scale bytes and two minima.
/// </summary>
internal readonly struct TestFormat<T> : IIntegerFormat where T : struct, ITestSpec
{
    private const int HalvesAt = 32, ScalesAt = 36, MinimaAt = 38;

    public static string Name => "Test " + typeof(T).Name;
    public static int BlockLength => 32;
    public static int BlockBytes => 40;
    public static int GroupLength => T.Group;
    public static int Zero => T.Zero;
    public static int MaxCode => T.MaxCode;
    public static bool HasOffsets => T.Offsets;
    public static int LowBits => T.MaxCode switch { <= 7 => 2, <= 63 => 4, _ => 8 };
    public static int HighBits => T.MaxCode switch { 7 or 31 => 1, 63 => 2, _ => 0 };
    private static int Groups => 32 / T.Group;

    public static void ReadScales(ReadOnlySpan<byte> block, out ushort d, out ushort m, Span<sbyte> scales, Span<sbyte> minima)
    {
        d = BinaryPrimitives.ReadUInt16LittleEndian(block[HalvesAt..]);
        m = T.Offsets ? BinaryPrimitives.ReadUInt16LittleEndian(block[(HalvesAt + 2)..]) : (ushort)0;
        for (int g = 0; g < Groups && Groups > 1; g++)
        {
            scales[g] = (sbyte)block[ScalesAt + g];
            if (T.Offsets) minima[g] = (sbyte)block[MinimaAt + g];
        }
    }

    public static void Unpack(ReadOnlySpan<byte> blocks, Span<byte> codes, Span<float> scales, Span<float> offsets)
    {
        for (int b = 0; b < blocks.Length / BlockBytes; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * BlockBytes, BlockBytes);
            block[..32].CopyTo(codes[(b * 32)..]);
            for (int g = 0; g < Groups; g++)
            {
                scales[b * Groups + g] = Number(block, HalvesAt, ScalesAt + g);
                if (T.Offsets) offsets[b * Groups + g] = Number(block, HalvesAt + 2, MinimaAt + g);
            }
        }
    }

    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        for (int i = 0; i < destination.Length; i++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(i / 32 * BlockBytes, BlockBytes);
            int g = i % 32 / T.Group;
            destination[i] = Number(block, HalvesAt, ScalesAt + g) * (block[i % 32] - T.Zero) + (T.Offsets ? Number(block, HalvesAt + 2, MinimaAt + g) : 0);
        }
    }

    public static NativeBuffer<byte> Random(int rows, int width, Random random)
    {
        NativeBuffer<byte> data = new((long)rows * width / 32 * BlockBytes);
        Span<byte> bytes = data.Span(0, (int)data.Length);
        for (int b = 0; b < bytes.Length / BlockBytes; b++)
        {
            Span<byte> block = bytes.Slice(b * BlockBytes, BlockBytes);
            for (int i = 0; i < 32; i++) block[i] = (byte)random.Next(T.MaxCode + 1);
            if (b % 5 == 0) block[..32].Fill((byte)T.MaxCode); // The largest sums a kernel can meet.
            for (int h = 0; h < 2; h++) BinaryPrimitives.WriteHalfLittleEndian(block[(HalvesAt + 2 * h)..], (Half)((random.NextSingle() - 0.5f) / T.MaxCode / (Groups > 1 ? 64 : 1)));
            for (int i = ScalesAt; i < BlockBytes; i++) block[i] = (byte)random.Next(256);
        }
        return data;
    }

    private static float Number(ReadOnlySpan<byte> block, int halfAt, int byteAt)
    {
        float half = (float)BinaryPrimitives.ReadHalfLittleEndian(block[halfAt..]);
        return Groups == 1 ? half : half * (sbyte)block[byteAt];
    }
}
