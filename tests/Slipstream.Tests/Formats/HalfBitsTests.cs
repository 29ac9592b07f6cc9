using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Slipstream.Numerics;

namespace Slipstream.Tests.Formats;

public sealed class HalfBitsTests
{
    [Fact]
    public void Every_half_widens_exactly_in_every_width()
    {
        float[] raw = new float[65536];
        for (int h = 0; h < raw.Length; h++)
        {
            float expected = (float)BitConverter.UInt16BitsToHalf((ushort)h);
            raw[h] = BitConverter.Int32BitsToSingle(h);
            float one = HalfBits.ToSingle((uint)h);
            Assert.True(expected.Equals(one), $"{h:X4}");
            Assert.Equal(BitConverter.SingleToUInt32Bits(one), BitConverter.SingleToUInt32Bits(HalfBits.ToSingle(Vector256.Create(h))[7]));
            Assert.Equal(BitConverter.SingleToUInt32Bits(one), BitConverter.SingleToUInt32Bits(HalfBits.ToSingle(Vector512.Create(h))[15]));
            if (!float.IsNaN(expected))
                Assert.Equal(BitConverter.SingleToUInt32Bits(expected), BitConverter.SingleToUInt32Bits(one));
        }
        for (int length = 0; length < 70; length++)
        {
            float[] some = raw[..(length + 1)];
            HalfBits.WidenInPlace(some.AsSpan(0, length));
            for (int h = 0; h < length; h++)
                Assert.Equal(HalfBits.ToSingle((uint)h), some[h]);
            Assert.Equal(raw[length], some[length]);
        }
    }

    [Fact]
    public void Singles_narrow_as_the_runtime_does()
    {
        // Every half, the halfway point above it, and the floats beside both; then bits at random.
        List<float> values = [float.MaxValue, float.MinValue, float.Epsilon, -float.Epsilon, float.NaN, -float.NaN];
        for (int h = 0; h < 65536; h++)
        {
            float x = HalfBits.ToSingle((uint)h);
            float half = BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(x) + 0x1000);
            float subnormalHalf = x + MathF.CopySign(1f / (1 << 25), x);
            values.AddRange([x, MathF.BitIncrement(x), MathF.BitDecrement(x), half, MathF.BitIncrement(half), MathF.BitDecrement(half),
                subnormalHalf, MathF.BitIncrement(subnormalHalf), MathF.BitDecrement(subnormalHalf)]);
        }
        Random random = new(4);
        byte[] noise = new byte[400_000];
        random.NextBytes(noise);
        values.AddRange(MemoryMarshal.Cast<byte, float>(noise));
        foreach (float x in values)
        {
            ushort expected = float.IsNaN(x) ? (ushort)(0x7E00 | (float.IsNegative(x) ? 0x8000 : 0)) : BitConverter.HalfToUInt16Bits((Half)x);
            ushort one = HalfBits.FromSingle(x);
            int vector = HalfBits.FromSingle(Vector256.Create(x))[7];
            if (one != expected || vector != expected)
                Assert.Fail($"{x:R} narrows to {one:X4} and {vector:X4}, not {expected:X4}.");
        }
    }

    [Theory]
    [InlineData("F16")]
    [InlineData("BF16")]
    public void Rows_of_every_length_encode_as_one_weight_at_a_time(string name)
    {
        WeightFormat format = WeightFormats.Get(name);
        Random random = new(5);
        for (int length = 0; length < 70; length++)
        {
            byte[] noise = new byte[4 * length];
            random.NextBytes(noise);
            float[] source = MemoryMarshal.Cast<byte, float>(noise).ToArray();
            if (length > 3)
                source[length / 2] = float.NaN;
            byte[] together = new byte[2 * length], alone = new byte[2 * length];
            format.Encode!(source, together);
            for (int i = 0; i < length; i++)
                format.Encode!(source.AsSpan(i, 1), alone.AsSpan(2 * i, 2));
            Assert.Equal(alone, together);
        }
    }
}
