using System.Runtime.InteropServices;
using Slipstream.Numerics;

namespace Slipstream.Tests.Kernels;

internal interface ITestSpec
{
    static abstract int Group { get; }
    static abstract int Zero { get; }
    static abstract int MaxCode { get; }
    static abstract bool Offsets { get; }
}

internal struct Bits4 : ITestSpec { public static int Group => 32; public static int Zero => 8; public static int MaxCode => 15; public static bool Offsets => false; }
internal struct Bits5Offset : ITestSpec { public static int Group => 32; public static int Zero => 0; public static int MaxCode => 31; public static bool Offsets => true; }
internal struct Bits6Group16 : ITestSpec { public static int Group => 16; public static int Zero => 32; public static int MaxCode => 63; public static bool Offsets => false; }
internal struct Bits2Group16Offset : ITestSpec { public static int Group => 16; public static int Zero => 0; public static int MaxCode => 3; public static bool Offsets => true; }
internal struct Bits8 : ITestSpec { public static int Group => 32; public static int Zero => 128; public static int MaxCode => 255; public static bool Offsets => false; }

/// <summary>An integer format as plain as can be, so that the products are tested apart from the codecs: 32 codes, then scales and offsets as floats.</summary>
internal readonly struct TestFormat<T> : IIntegerFormat where T : struct, ITestSpec
{
    public static string Name => "Test " + typeof(T).Name;
    public static int BlockLength => 32;
    public static int BlockBytes => 32 + 8 * (32 / T.Group);
    public static int GroupLength => T.Group;
    public static int Zero => T.Zero;
    public static int MaxCode => T.MaxCode;
    public static bool HasOffsets => T.Offsets;

    public static void Unpack(ReadOnlySpan<byte> blocks, Span<byte> codes, Span<float> scales, Span<float> offsets)
    {
        int groups = 32 / T.Group;
        for (int b = 0; b < blocks.Length / BlockBytes; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * BlockBytes, BlockBytes);
            block[..32].CopyTo(codes[(b * 32)..]);
            ReadOnlySpan<float> numbers = MemoryMarshal.Cast<byte, float>(block[32..]);
            for (int g = 0; g < groups; g++)
            {
                scales[b * groups + g] = numbers[g];
                if (T.Offsets) offsets[b * groups + g] = numbers[groups + g];
            }
        }
    }

    public static void Decode(ReadOnlySpan<byte> blocks, Span<float> destination)
    {
        int groups = 32 / T.Group;
        for (int i = 0; i < destination.Length; i++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(i / 32 * BlockBytes, BlockBytes);
            ReadOnlySpan<float> numbers = MemoryMarshal.Cast<byte, float>(block[32..]);
            int g = i % 32 / T.Group;
            destination[i] = numbers[g] * (block[i % 32] - T.Zero) + (T.Offsets ? numbers[groups + g] : 0);
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
            Span<float> numbers = MemoryMarshal.Cast<byte, float>(block[32..]);
            for (int i = 0; i < numbers.Length; i++) numbers[i] = (random.NextSingle() - 0.5f) / T.MaxCode;
        }
        return data;
    }
}
