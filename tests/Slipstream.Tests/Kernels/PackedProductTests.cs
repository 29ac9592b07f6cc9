using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;
using Slipstream.Numerics.Kernels.Emitted;
using Slipstream.Tests.Kernels.Emitted;

namespace Slipstream.Tests.Kernels;

public sealed class PackedProductTests
{
    public static TheoryData<int> Widths => [32, 64, 96, 128, 160, 576];

    [Theory, MemberData(nameof(Widths))]
    public void Three_bits_in_groups_of_16(int width) => Check<TestFormat<Bits3Group16>>(TestFormat<Bits3Group16>.Random(64, width, new Random(8)), width);

    [Theory, MemberData(nameof(Widths))]
    public void Four_bits(int width) => Check<TestFormat<Bits4>>(TestFormat<Bits4>.Random(64, width, new Random(1)), width);

    [Theory, MemberData(nameof(Widths))]
    public void Five_bits_with_offsets(int width) => Check<TestFormat<Bits5Offset>>(TestFormat<Bits5Offset>.Random(64, width, new Random(2)), width);

    [Theory, MemberData(nameof(Widths))]
    public void Six_bits_in_groups_of_16(int width) => Check<TestFormat<Bits6Group16>>(TestFormat<Bits6Group16>.Random(64, width, new Random(3)), width);

    [Theory, MemberData(nameof(Widths))]
    public void Two_bits_in_groups_of_16_with_offsets(int width) =>
        Check<TestFormat<Bits2Group16Offset>>(TestFormat<Bits2Group16Offset>.Random(64, width, new Random(4)), width);

    [Theory, MemberData(nameof(Widths))]
    public void Eight_bits(int width) => Check<TestFormat<Bits8>>(TestFormat<Bits8>.Random(64, width, new Random(5)), width);

    [Fact]
    public void Dot_products_of_codes_are_exact_on_every_instruction_set()
    {
        Random random = new(6);
        byte[] codes = new byte[64];
        sbyte[] x = new sbyte[64];
        for (int round = 0; round < 200; round++)
        {
            int max = round % 2 == 0 ? 255 : 129;
            for (int i = 0; i < 64; i++)
            {
                codes[i] = (byte)(round < 8 ? round / 2 % 2 * max : random.Next(max + 1));
                x[i] = (sbyte)(round % 4 < 2 && round < 8 ? 127 : round < 8 ? -127 : random.Next(-127, 128));
            }
            Vector512<byte> c = Vector512.Create(codes);
            Vector512<sbyte> v = Vector512.Create(x);
            Vector512<int> expected = IntegerDot.DotPortable(c, v);
            Assert.Equal(Enumerable.Range(0, 4).Sum(i => codes[60 + i] * x[60 + i]), expected[15]);
            Assert.Equal(expected, max == 255 ? IntegerDot.Dot(c, v, 255) : IntegerDot.Dot(c, v, 129));
            if (Avx2.IsSupported)
                Assert.Equal(expected.GetLower(), IntegerDot.DotAvx2(c.GetLower(), v.GetLower(), max));
        }
    }

    [Fact]
    public void Codes_and_scales_of_a_group()
    {
        float[] group = new float[16];
        int[] codes = new int[16];
        (group[0], group[1], group[2], group[15]) = (-254, 1, 3, 127); // 0.5, 1.5 and 63.5 round to even
        Assert.Equal(2f, QuantizedRows.Reference(group, codes));
        Assert.Equal([-127, 0, 2, 64], [.. codes[..3], codes[15]]);
        group[0] = 255; // just over 2 · 127: the next power of two
        Assert.Equal(4f, QuantizedRows.Reference(group, codes));
        Assert.Equal([64, 0, 1, 32], [.. codes[..3], codes[15]]);
        group.AsSpan().Fill(1e-31f); // too small to divide by
        Assert.Equal(0f, QuantizedRows.Reference(group, codes));
        Assert.All(codes, c => Assert.Equal(0, c));
        group[5] = float.NaN;
        Assert.Equal(float.NaN, QuantizedRows.Reference(group, codes));
        Assert.All(codes, c => Assert.Equal(0, c));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    [InlineData(1.1e33f)]
    public void What_is_not_finite_or_far_too_large_shows_in_the_product(float bad)
    {
        const int Width = 160;
        using NativeBuffer<byte> data = TestFormat<Bits5Offset>.Random(4, Width, new Random(1));
        using ComputePool pool = new(1);
        using Linear linear = Linear.Pack<TestFormat<Bits5Offset>>(data.Region, 4, Width, pool);
        using Activations x = new(3, Width, ActivationPrecision.Int8);
        Matrix set = x.Begin(3, Width);
        set.Data.Clear();
        // Where records are made four at a time, and behind that.
        (set[1][40], set[2][150]) = (bad, bad);
        float[] y = new float[12];
        linear.Multiply(x, new Matrix(y, 3, 4), pool);
        Assert.All(y[..4], v => Assert.Equal(0f, v));
        Assert.All(y[4..], v => Assert.True(float.IsNaN(v)));
    }

    /// <summary>A record says the same whether it is made with its neighbours or alone.</summary>
    [Theory]
    [InlineData(false, 0)]
    [InlineData(false, 8)]
    [InlineData(true, 32)]
    public unsafe void Records_are_made_the_same_alone(bool exact, int zero)
    {
        const int Width = 288, Rows = 3;
        Random random = new(4);
        float[] values = [.. Enumerable.Range(0, Rows * Width).Select(i => (random.NextSingle() - 0.5f) * MathF.Pow(10, i / 16 % 9 - 4))];
        // Ends of what a group can be: its largest magnitude becomes 128, nothing, too little, too much, no number.
        (values[0], values[16], values[48], values[80], values[112]) = (-127.6f, 0, 1e-31f, 2e33f, float.NaN);
        values.AsSpan(17, 15).Clear();
        values.AsSpan(48, 16).Fill(1e-31f);
        using QuantizedRows whole = new(exact), part = new(exact);
        // SAFETY: the forms live to the end of the method, and each index lies in the record it is of.
        whole.Quantize(new Matrix(values, Rows, Width), Rows, zero, null);
        int bytes = QuantizedRows.RecordBytes, tiles = (whole.Rows + QuantizedRows.TileRows - 1) / QuantizedRows.TileRows;
        for (int at = 0; at < Width; at += QuantizedRows.RecordLength)
        {
            part.Quantize(new Matrix(values.AsSpan(at), Rows, QuantizedRows.RecordLength, Width), Rows, zero, null);
            for (int tile = 0; tile < tiles; tile++)
            {
                byte* one = part.Pointer + tile * bytes, other = whole.Pointer + tile * QuantizedRows.TileBytes(Width) + at / QuantizedRows.RecordLength * bytes;
                for (int i = 0; i < bytes; i++)
                {
                    int row = i < QuantizedRows.OriginsAt ? i / QuantizedRows.RecordLength : i >= QuantizedRows.TermsAt && i < QuantizedRows.GroupTermsAt ? (i - QuantizedRows.TermsAt) / 4 : (i - QuantizedRows.OriginsAt) % 32 / 8;
                    if (i >= QuantizedRows.GroupTermsAt) row = (i - QuantizedRows.GroupTermsAt) / 8;
                    if (tile * QuantizedRows.TileRows + row < whole.Rows) Assert.True(one[i] == other[i], $"columns {at}, tile {tile}, byte {i}: {other[i]} with neighbours, {one[i]} alone");
                }
            }
        }
    }

    [Fact]
    public void Tiny_activations_are_zero_and_a_new_set_forgets_the_old_one()
    {
        using NativeBuffer<byte> data = TestFormat<Bits8>.Random(4, 64, new Random(1));
        using ComputePool pool = new(1);
        using Linear linear = Linear.Pack<TestFormat<Bits8>>(data.Region, 4, 64, pool);
        using Activations x = new(1, 64, ActivationPrecision.Auto);
        float[] y = new float[4];
        x.Begin(1, 64)[0].Fill(1);
        linear.Multiply(x, new Matrix(y, 1, 4), pool);
        Assert.All(y, v => Assert.NotEqual(0f, v));
        x.Begin(1, 64)[0].Fill(float.Epsilon);
        linear.Multiply(x, new Matrix(y, 1, 4), pool);
        Assert.All(y, v => Assert.Equal(0f, v));
    }

    /// <summary>Rows so wide that few tiles of them stay in the cache are gone through in several turns.</summary>
    [Fact]
    public void Wide_rows_have_the_bits_of_the_reference()
    {
        const int Width = 32768, OutFeatures = 35;
        using NativeBuffer<byte> data = TestFormat<Bits8>.Random(OutFeatures, Width, new Random(5));
        int rowBytes = (int)(data.Length / OutFeatures);
        using ComputePool pool = new(1);
        using Linear linear = Linear.Pack<TestFormat<Bits8>>(data.Region, OutFeatures, Width, pool);
        foreach (KernelTier tier in Tiers)
            Products.Check(linear, ActivationPrecision.Int8, (row, x) => PackedTile.Reference<TestFormat<Bits8>>(data.Span(row * rowBytes, rowBytes), x), [1, 3, 9, 23], tier);
    }

    [Fact]
    public void Integer_products_are_as_near_as_eight_bits_allow()
    {
        const int Width = 576;
        using NativeBuffer<byte> data = TestFormat<Bits5Offset>.Random(64, Width, new Random(9));
        using NativeBuffer<float> source = Products.RandomFloats(Width, 10);
        using ComputePool pool = new(1);
        using Linear linear = Linear.Pack<TestFormat<Bits5Offset>>(data.Region, 64, Width, pool);
        using Activations x = new(1, Width, ActivationPrecision.Int8);
        source.Span(0, Width).CopyTo(x.Begin(1, Width)[0]);
        float[] y = new float[64], row = new float[Width];
        linear.Multiply(x, new Matrix(y, 1, 64), pool);
        for (int n = 0; n < 64; n++)
        {
            linear.ReadRow(n, row);
            double exact = 0, bound = 0;
            for (int i = 0; i < Width; i++)
            {
                exact += (double)row[i] * source.Span(i, 1)[0];
                bound += Math.Abs(row[i]) * 0.5 / 127; // Half a step of a scale that is not rounded up to a power of two, the largest activation being under 1.
            }
            Assert.InRange(y[n], exact - bound * 1.001, exact + bound * 1.001);
        }
    }

    [Fact]
    public void Exact_products_are_nearly_those_of_floats()
    {
        const int Width = 576, Rows = 11;
        using NativeBuffer<byte> data = TestFormat<Bits5Offset>.Random(37, Width, new Random(9));
        using NativeBuffer<float> source = Products.RandomFloats(Rows * Width, 10);
        using ComputePool pool = new(2);
        using Linear linear = Linear.Pack<TestFormat<Bits5Offset>>(data.Region, 37, Width, pool);
        float[] alone = new float[37], all = new float[Rows * 37], row = new float[Width];
        foreach (KernelTier tier in Tiers)
        {
            using Activations x = new(Rows, Width, ActivationPrecision.Int8, tier);
            for (int m = 0; m < Rows; m++) source.Span(m * Width, Width).CopyTo(m == 0 ? x.Begin(Rows, Width)[0] : x.Values[m]);
            linear.Multiply(x, new Matrix(all, Rows, 37), pool, exact: true);
            for (int m = 0; m < Rows; m++)
            {
                source.Span(m * Width, Width).CopyTo(x.Begin(1, Width)[0]);
                linear.Multiply(x, new Matrix(alone, 1, 37), pool, exact: true);
                Assert.Equal(alone, all[(m * 37)..((m + 1) * 37)]);
                for (int n = 0; n < 37; n++)
                {
                    linear.ReadRow(n, row);
                    double exact = 0, bound = 0;
                    for (int i = 0; i < Width; i++)
                    {
                        exact += (double)row[i] * source.Span(m * Width + i, 1)[0];
                        bound += Math.Abs(row[i]) / 32768; // Half a fine step: the largest activation is under 1, its step 1/64 at most and the fine one 1/16384.
                    }
                    Assert.InRange(alone[n], exact - bound, exact + bound);
                }
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Many_groups_have_the_bits_of_the_reference_from_a_cache_and_from_memory(bool fromMemory)
    {
        const int Width = 96, OutFeatures = 16 * 70 + 3; // More groups than a call takes, for each of three threads.
        using NativeBuffer<byte> data = TestFormat<Bits5Offset>.Random(OutFeatures, Width, new Random(12));
        int rowBytes = (int)(data.Length / OutFeatures);
        using ComputePool pool = new(2);
        using WeightArena arena = Arena(fromMemory);
        using Linear linear = Linear.Pack<TestFormat<Bits5Offset>>(data.Region, OutFeatures, Width, pool, arena);
        Assert.Equal(fromMemory ? PackedKernels.FromMemory : PackedKernels.Ahead, ((PackedLinear)linear).Fetch);
        foreach (KernelTier tier in Tiers)
            Products.Check(linear, ActivationPrecision.Int8, (row, x) => PackedTile.Reference<TestFormat<Bits5Offset>>(data.Span(row * rowBytes, rowBytes), x), [1, 2, 3, 4, 5, 6, 7, 8, 9], tier);
    }

    /// <summary>An arena whose weights are few or, with what else is taken of it, more than a cache holds.</summary>
    internal static WeightArena Arena(bool fromMemory)
    {
        WeightArena arena = new();
        if (fromMemory) arena.Take(33 << 20);
        return arena;
    }

    /// <summary>The tiers that can run here.</summary>
    internal static IEnumerable<KernelTier> Tiers => EmittedKernels.IsAvailable ? [KernelTier.Intrinsics, KernelTier.Emitted, KernelTier.EmittedVectors] : [KernelTier.Intrinsics];

    private static void Check<TFormat>(NativeBuffer<byte> data, int width) where TFormat : IIntegerFormat
    {
        using (data)
        {
            long rowBytes = data.Length / 64;
            float[] decoded = new float[width], packed = new float[width];
            foreach (int outFeatures in Products.OutFeatures)
            {
                using ComputePool pool = new(2);
                using Linear linear = Linear.Pack<TFormat>(data.Region.Slice(0, rowBytes * outFeatures), outFeatures, width, pool);
                foreach (KernelTier tier in Tiers)
                    Products.Check(linear, ActivationPrecision.Int8, (row, x) => PackedTile.Reference<TFormat>(data.Span(row * rowBytes, (int)rowBytes), x), kernels: tier);
                for (int row = 0; row < outFeatures; row++)
                {
                    TFormat.Decode(data.Span(row * rowBytes, (int)rowBytes), decoded);
                    linear.ReadRow(row, packed);
                    Assert.Equal(decoded, packed);
                }
            }
            Linear asFloats = Linear.Create<TFormat>(data.Region, 64, width);
            Products.Check(asFloats, ActivationPrecision.F32, (row, x) =>
            {
                asFloats.ReadRow(row, decoded);
                return FloatTile.Reference(decoded, x);
            });
        }
    }
}

/// <summary>The formats of files: what holds for the plain test formats holds for them.</summary>
public sealed class FormatProductTests
{
    public static TheoryData<string> Names => [.. WeightFormats.All.Where(f => f.IsSupported).Select(f => f.Name)];

    [Theory, MemberData(nameof(Names))]
    public void Products_have_the_bits_of_the_reference(string name) => WeightFormats.Accept(name, new Check());

    private sealed class Check : IFormatVisitor<bool>
    {
        private const int Width = 512, OutFeatures = 73;

        public bool Visit<TFormat>() where TFormat : struct, IWeightFormat
        {
            using NativeBuffer<byte> data = Products.RandomBlocks<TFormat>(OutFeatures, Width);
            Linear linear = Linear.Create(TFormat.Name, data.Region, OutFeatures, Width);
            float[] row = new float[Width];
            Products.Check(linear, ActivationPrecision.Auto, (n, x) =>
            {
                linear.ReadRow(n, row);
                return FloatTile.Reference(row, x);
            });
            return true;
        }

        public bool VisitInteger<TFormat>() where TFormat : struct, IIntegerFormat
        {
            MachineCode.Check(IntegerKernels.Of(PackedLayout.Of<TFormat>()), 50);
            MachineCode.Check(AmxIntegerKernels.Of(PackedLayout.Of<TFormat>()), 350, most: 1200);
            if (AmxFewRowsKernels.Take(PackedLayout.Of<TFormat>(), AmxFewRowsKernels.LeastColumns)) MachineCode.Check(AmxFewRowsKernels.Of(PackedLayout.Of<TFormat>()), 350, most: 6000);
            using NativeBuffer<byte> data = Products.RandomBlocks<TFormat>(OutFeatures, Width);
            int rowBytes = (int)(data.Length / OutFeatures);
            byte[] codes = new byte[Width];
            float[] scales = new float[Width / TFormat.GroupLength], offsets = new float[TFormat.HasOffsets ? scales.Length : 0];
            for (int n = 0; n < OutFeatures; n++)
            {
                TFormat.Unpack(data.Span(n * rowBytes, rowBytes), codes, scales, offsets);
                Assert.True(codes.Max() <= TFormat.MaxCode);
            }
            using ComputePool pool = new(1);
            using WeightArena arena = PackedProductTests.Arena(fromMemory: true);
            using Linear linear = Linear.Pack(TFormat.Name, data.Region, OutFeatures, Width, pool), ofMemory = Linear.Pack(TFormat.Name, data.Region, OutFeatures, Width, pool, arena);
            float[] decoded = new float[Width], row = new float[Width];
            for (int n = 0; n < OutFeatures; n++)
            {
                TFormat.Decode(data.Span(n * rowBytes, rowBytes), decoded);
                linear.ReadRow(n, row);
                Assert.Equal(decoded, row);
            }
            foreach (KernelTier tier in PackedProductTests.Tiers)
                foreach (Linear weights in (ReadOnlySpan<Linear>)[linear, ofMemory])
                    Products.Check(weights, ActivationPrecision.Auto, (n, x) => PackedTile.Reference<TFormat>(data.Span(n * rowBytes, rowBytes), x), kernels: tier);
            return true;
        }
    }
}
