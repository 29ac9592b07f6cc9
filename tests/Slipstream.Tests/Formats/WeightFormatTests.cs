using Slipstream.Numerics;

namespace Slipstream.Tests.Formats;

public sealed class WeightFormatTests
{
    /// <summary>Every block count up to 9, and one that takes several chunks of the decoder; any bytes, so NaN and infinite scales too.</summary>
    [Theory]
    [MemberData(nameof(FormatCase.Supported), MemberType = typeof(FormatCase))]
    public void Decode_equals_its_reference(string name)
    {
        WeightFormat format = WeightFormats.Get(name);
        Random random = new(1);
        foreach (int count in Enumerable.Range(0, 10).Concat([17, 31, 203]))
            for (int round = 0; round < 20; round++)
            {
                byte[] blocks = new byte[count * format.BlockBytes];
                random.NextBytes(blocks);
                float[] expected = new float[count * format.BlockLength], actual = new float[expected.Length];
                FormatCase.Reference(name)(blocks, expected);
                format.Decode!(blocks, actual);
                FormatCase.AssertSameBits(expected, actual);
            }
    }

    [Theory]
    [MemberData(nameof(FormatCase.BlockFormats), MemberType = typeof(FormatCase))]
    public void Unpacked_codes_scales_and_offsets_make_the_weights(string name) => WeightFormats.Accept(name, new UnpackCheck());

    [Theory]
    [MemberData(nameof(FormatCase.Encodable), MemberType = typeof(FormatCase))]
    public void What_was_decoded_encodes_to_the_same_weights(string name)
    {
        WeightFormat format = WeightFormats.Get(name);
        Random random = new(2);
        for (int count = 0; count < 40; count++)
        {
            float[] source = new float[count * format.BlockLength];
            foreach (ref float x in source.AsSpan())
                x = (float)(random.NextDouble() - 0.5);
            float[] once = Roundtrip(format, source);
            float step = format.BlockLength == 1 ? 0.002f : name[1] == '8' ? 0.005f : name[1] == '5' ? 0.04f : 0.08f;
            for (int i = 0; i < source.Length; i++)
                Assert.InRange(once[i], source[i] - step, source[i] + step);
            if (format.BlockLength == 1)
                Assert.Equal(once, Roundtrip(format, once));
        }
    }

    [Theory]
    [MemberData(nameof(FormatCase.Encodable), MemberType = typeof(FormatCase))]
    public void Encode_survives_values_that_no_block_can_hold(string name)
    {
        WeightFormat format = WeightFormats.Get(name);
        float[] hard = [float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue, float.MinValue, float.Epsilon, -0f, 1e-40f];
        float[] source = new float[64];
        byte[] blocks = new byte[64 / format.BlockLength * format.BlockBytes];
        foreach (float x in hard)
        {
            Array.Fill(source, 0f);
            source[5] = x;
            format.Encode!(source, blocks);
            float[] decoded = new float[64];
            format.Decode!(blocks, decoded);
            if (format.BlockLength == 32)
                Assert.All(decoded[32..], v => Assert.Equal(0f, v));
        }
    }

    [Theory]
    [MemberData(nameof(FormatCase.Supported), MemberType = typeof(FormatCase))]
    public void Lengths_that_are_no_whole_number_of_blocks_are_refused(string name)
    {
        WeightFormat format = WeightFormats.Get(name);
        byte[] blocks = new byte[3 * format.BlockBytes];
        float[] weights = new float[3 * format.BlockLength];
        Assert.Contains(name, Assert.Throws<ArgumentException>(() => format.Decode!(blocks.AsSpan(1), weights)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => format.Decode!(blocks, weights.AsSpan(1)));
        Assert.Throws<ArgumentException>(() => format.Decode!(blocks.AsSpan(format.BlockBytes), weights));
        if (format.Encode is { } encode)
        {
            Assert.Throws<ArgumentException>(() => encode(weights, blocks.AsSpan(1)));
            Assert.Throws<ArgumentException>(() => encode(weights.AsSpan(1), blocks));
        }
        if (format.BlockLength > 1)
        {
            Assert.Throws<ArgumentException>(() => format.BytesOf(format.BlockLength + 1));
            WeightFormats.Accept(name, new UnpackLengths());
        }
        Assert.Equal(blocks.Length, format.BytesOf(weights.Length));
        Assert.Throws<ArgumentException>(() => format.BytesOf(-format.BlockLength));
        if (format.BlockBytes > format.BlockLength)
            Assert.Throws<ArgumentException>(() => format.BytesOf(long.MaxValue / format.BlockLength * format.BlockLength));
    }

    [Theory]
    [MemberData(nameof(FormatCase.Supported), MemberType = typeof(FormatCase))]
    public void Hot_paths_allocate_nothing(string name) => WeightFormats.Accept(name, new AllocationCheck());

    private static float[] Roundtrip(WeightFormat format, float[] source)
    {
        byte[] blocks = new byte[format.BytesOf(source.Length)];
        float[] decoded = new float[source.Length];
        format.Encode!(source, blocks);
        format.Decode!(blocks, decoded);
        return decoded;
    }

    private sealed class UnpackCheck : IFormatVisitor<bool>
    {
        public bool Visit<TFormat>() where TFormat : struct, IWeightFormat => throw new InvalidOperationException($"{TFormat.Name} is no block format.");

        public bool VisitInteger<TFormat>() where TFormat : struct, IIntegerFormat
        {
            Check<TFormat>(new GoldenFile(TFormat.Name).Bytes);
            Random random = new(3);
            foreach (int count in Enumerable.Range(0, 10).Concat([17, 31, 203]))
                for (int round = 0; round < 20; round++)
                {
                    byte[] blocks = new byte[count * TFormat.BlockBytes];
                    random.NextBytes(blocks);
                    Check<TFormat>(blocks);
                }
            return true;
        }

        private static void Check<TFormat>(byte[] blocks) where TFormat : struct, IIntegerFormat
        {
            int length = blocks.Length / TFormat.BlockBytes * TFormat.BlockLength;
            // One guard element after each part: what lies behind must not change.
            byte[] codes = new byte[length + 1];
            float[] scales = new float[length / TFormat.GroupLength + 1], offsets = new float[scales.Length];
            codes[^1] = 77;
            scales[^1] = offsets[^1] = 77f;
            TFormat.Unpack(blocks, codes.AsSpan(..^1), scales.AsSpan(..^1), TFormat.HasOffsets ? offsets.AsSpan(..^1) : default);
            Assert.Equal((77, 77f, 77f), (codes[^1], scales[^1], offsets[^1]));

            float[] expected = new float[length], made = new float[length];
            FormatCase.Reference(TFormat.Name)(blocks, expected);
            for (int i = 0; i < length; i++)
            {
                int g = i / TFormat.GroupLength;
                made[i] = scales[g] * (codes[i] - TFormat.Zero);
                if (TFormat.HasOffsets)
                    made[i] += offsets[g];
            }
            FormatCase.AssertSameBits(expected, made);
        }
    }

    private sealed class UnpackLengths : IFormatVisitor<bool>
    {
        public bool Visit<TFormat>() where TFormat : struct, IWeightFormat => false;

        public bool VisitInteger<TFormat>() where TFormat : struct, IIntegerFormat
        {
            byte[] blocks = new byte[2 * TFormat.BlockBytes];
            byte[] codes = new byte[2 * TFormat.BlockLength];
            float[] groups = new float[2 * TFormat.BlockLength / TFormat.GroupLength];
            TFormat.Unpack(blocks, codes, groups, groups);
            Assert.Throws<ArgumentException>(() => TFormat.Unpack(blocks.AsSpan(1), codes, groups, groups));
            Assert.Throws<ArgumentException>(() => TFormat.Unpack(blocks, codes.AsSpan(1), groups, groups));
            Assert.Throws<ArgumentException>(() => TFormat.Unpack(blocks, codes, groups.AsSpan(1), groups));
            if (TFormat.HasOffsets)
                Assert.Throws<ArgumentException>(() => TFormat.Unpack(blocks, codes, groups, default));
            else
                TFormat.Unpack(blocks, codes, groups, default);
            return true;
        }
    }

    private sealed class AllocationCheck : IFormatVisitor<bool>
    {
        public bool Visit<TFormat>() where TFormat : struct, IWeightFormat
        {
            byte[] blocks = new byte[20 * TFormat.BlockBytes];
            float[] weights = new float[20 * TFormat.BlockLength];
            TFormat.Decode(blocks, weights);
            long before = GC.GetAllocatedBytesForCurrentThread();
            TFormat.Decode(blocks, weights);
            Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
            return true;
        }

        public bool VisitInteger<TFormat>() where TFormat : struct, IIntegerFormat
        {
            byte[] blocks = new byte[20 * TFormat.BlockBytes], codes = new byte[20 * TFormat.BlockLength];
            float[] scales = new float[codes.Length / TFormat.GroupLength], offsets = new float[scales.Length];
            TFormat.Unpack(blocks, codes, scales, offsets);
            long before = GC.GetAllocatedBytesForCurrentThread();
            TFormat.Unpack(blocks, codes, scales, offsets);
            Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
            return Visit<TFormat>();
        }
    }
}
