using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Tests.Kernels;

/// <summary>Layers that multiply together give what each gives alone.</summary>
public sealed class LinearGroupTests
{
    private const int Width = 256;

    /// <summary>Formats of three layers: one code for zero, one besides 0, and several, for which no set of activations serves all.</summary>
    [Theory]
    [InlineData("Q8_0", "Q8_0", "Q8_0")]
    [InlineData("Q4_K", "Q4_K", "Q6_K")]
    [InlineData("Q4_0", "Q6_K", "Q8_0")]
    [InlineData("Q4_1", "F32", "Q4_0")]
    [InlineData("BF16", "BF16", "BF16")]
    [InlineData("BF16", "Q8_0", "BF16")]
    public void Results_are_those_of_one_layer_at_a_time(string first, string second, string third)
    {
        using ComputePool pool = new(2);
        using NativeBuffer<byte> weights = new(48 * Width * sizeof(float));
        Random random = new(1);
        foreach (ref byte value in weights.Span(0, (int)weights.Length)) value = (byte)(random.Next(256) & 0xBF);
        using Linear a = Make(first, weights, 48, pool), b = Make(second, weights, 33, pool), c = Make(third, weights, 17, pool);
        using NativeBuffer<float> source = Products.RandomFloats(65 * Width, 4);
        foreach (KernelTier tier in PackedProductTests.Tiers)
        {
            using Activations x = new(65, Width, first == "BF16" ? ActivationPrecision.Bf16 : ActivationPrecision.Int8, tier);
            foreach (int rows in (ReadOnlySpan<int>)[1, 2, 5, 33, 65])
                for (int exactFrom = 0; exactFrom <= 3; exactFrom++)
                {
                    float[][] together = [new float[rows * 48], new float[rows * 33], new float[rows * 17]], alone = [new float[rows * 48], new float[rows * 33], new float[rows * 17]];
                    Set(x, source, rows);
                    new LinearGroup(a, b, c).Multiply(x, new Matrix(together[0], rows, 48), new Matrix(together[1], rows, 33), new Matrix(together[2], rows, 17), pool, exactFrom);
                    Set(x, source, rows);
                    c.Multiply(x, new Matrix(alone[2], rows, 17), pool, exactFrom <= 2); // In another order: a set serves weights with different codes for zero one after the other.
                    a.Multiply(x, new Matrix(alone[0], rows, 48), pool, exactFrom <= 0);
                    b.Multiply(x, new Matrix(alone[1], rows, 33), pool, exactFrom <= 1);
                    Assert.Equal(alone, together);
                    Set(x, source, rows);
                    float[] pair = new float[rows * 33];
                    new LinearGroup(a, b).Multiply(x, new Matrix(together[0], rows, 48), new Matrix(pair, rows, 33), default, pool, exactFrom);
                    Assert.Equal(alone[1], pair);
                }
        }
    }

    /// <summary>Two layers whose results become one by the thread that made them, in every division of the work: rows for each thread, rows for all, one row, a last group that is not full.</summary>
    [Theory]
    [InlineData("Q8_0", "Q8_0")]
    [InlineData("Q4_K", "Q6_K")]
    [InlineData("Q4_1", "Q4_1")]
    [InlineData("BF16", "BF16")]
    public void Combined_results_are_those_of_the_two_layers_combined_afterwards(string first, string second)
    {
        const int Outputs = 73, MostRows = 300;
        using NativeBuffer<byte> weights = new(Outputs * Width * sizeof(float));
        Random random = new(2);
        foreach (ref byte value in weights.Span(0, (int)weights.Length)) value = (byte)(random.Next(256) & 0xBF);
        using NativeBuffer<float> source = Products.RandomFloats(MostRows * Width, 4);
        foreach (int threads in (ReadOnlySpan<int>)[1, 2, 3])
        {
            using ComputePool pool = new(threads);
            using Linear a = Make(first, weights, Outputs, pool), b = Make(second, weights, Outputs, pool);
            foreach (KernelTier tier in PackedProductTests.Tiers)
                foreach (ActivationPrecision precision in first == "BF16" ? [ActivationPrecision.Bf16] : (ReadOnlySpan<ActivationPrecision>)[ActivationPrecision.Int8, ActivationPrecision.Int16])
                {
                    using Activations x = new(MostRows, Width, precision, tier);
                    foreach (int rows in (ReadOnlySpan<int>)[1, 2, 3, 5, 9, 33, 131, MostRows])
                    {
                        float[] left = new float[rows * Outputs], right = new float[rows * Outputs], expected = new float[rows * Outputs];
                        Set(x, source, rows);
                        a.Multiply(x, new Matrix(left, rows, Outputs), pool);
                        b.Multiply(x, new Matrix(right, rows, Outputs), pool);
                        SwiGlu.Apply(left, right, expected);
                        Array.Fill(left, float.NaN);
                        Array.Fill(right, float.NaN);
                        Set(x, source, rows);
                        PackedProduct.Run(new PackedLayers((PackedLinear)a, (PackedLinear)b), x, new Matrix(left, rows, Outputs), new Matrix(right, rows, Outputs), default, pool, 3, SwiGlu.Apply);
                        Assert.Equal(expected, left);
                    }
                }
        }
    }

    /// <summary>What two layers give becomes the rows of a third, in the form that one multiplies: for one with another code for zero, one that takes floats, and after each other.</summary>
    [Theory]
    [InlineData("Q8_0", 96)]
    [InlineData("Q4_0", 160)]
    [InlineData("Q4_0", 2048)]
    [InlineData("Q4_1", 96, 2048)]
    [InlineData("Q6_K", 256)]
    [InlineData("F32", 80)]
    [InlineData("BF16", 96)]
    [InlineData("BF16", 80)]
    public void Combined_results_enter_the_next_layer_as_if_they_had_been_written(string next, int outputs, int inputs = Width)
    {
        const int Most = 203, Last = 20;
        using NativeBuffer<byte> weights = new(outputs * inputs * sizeof(float)), more = new(Last * outputs * sizeof(float));
        Random random = new(3);
        foreach (ref byte value in weights.Span(0, (int)weights.Length)) value = (byte)(random.Next(256) & 0xBF);
        foreach (ref byte value in more.Span(0, (int)more.Length)) value = (byte)(random.Next(256) & 0xBF);
        using NativeBuffer<float> source = Products.RandomFloats(Most * inputs, 4), left = new(Most * outputs), right = new(Most * outputs);
        foreach (int threads in (ReadOnlySpan<int>)[1, 2, 3])
        {
            using ComputePool pool = new(threads);
            bool pairs = next == "BF16";
            using Linear a = Make(pairs ? next : "Q4_1", weights, outputs, pool, inputs), b = Make(pairs ? next : next == "Q4_1" ? "Q4_0" : "Q8_0", weights, outputs, pool, inputs), last = Make(next, more, Last, pool, outputs);
            foreach (KernelTier tier in PackedProductTests.Tiers)
                foreach (ActivationPrecision precision in pairs ? (ReadOnlySpan<ActivationPrecision>)[ActivationPrecision.Bf16] : [ActivationPrecision.Int8, ActivationPrecision.Int16])
                {
                    using Activations x = new(Most, Math.Max(inputs, outputs), precision, tier);
                    foreach (int rows in (ReadOnlySpan<int>)[1, 6, 7, 33, 12, Most, 30, 16, 8])
                    {
                        float[] expected = new float[rows * Last], found = new float[rows * Last];
                        Matrix gates = new(left.Span(0, rows * outputs), rows, outputs), ups = new(right.Span(0, rows * outputs), rows, outputs);
                        Set(x, source, rows, inputs);
                        a.Multiply(x, gates, pool);
                        b.Multiply(x, ups, pool);
                        SwiGlu.Apply(gates.Data, ups.Data, x.Begin(rows, outputs).Data);
                        last.Multiply(x, new Matrix(expected, rows, Last), pool);
                        Assert.DoesNotContain(float.NaN, expected);
                        gates.Data.Fill(float.NaN);
                        ups.Data.Fill(float.NaN);
                        Set(x, source, rows, inputs);
                        new LinearGroup(a, b).MultiplyAndCombine(x, gates, ups, SwiGlu.Apply, last, pool);
                        last.Multiply(x, new Matrix(found, rows, Last), pool);
                        Assert.Equal(expected, found);
                        if (outputs != 80 && precision == ActivationPrecision.Int8 && rows > Activations.MostOwnRows) Assert.Throws<InvalidOperationException>(() => x.Values.Rows);
                    }
                }
        }
    }

    [Fact]
    public void Layers_of_several_jobs_or_widths_are_not_combined()
    {
        using ComputePool pool = new(1);
        using NativeBuffer<byte> weights = new(48 * Width * sizeof(float));
        using Linear packed = Make("Q8_0", weights, 48, pool), narrow = Make("Q8_0", weights, 32, pool), floats = Make("F32", weights, 48, pool), pairs = Make("BF16", weights, 48, pool);
        using Activations x = new(1, Width, ActivationPrecision.Int8);
        Assert.True(new LinearGroup(packed, packed).CanCombine);
        Assert.True(new LinearGroup(pairs, pairs).CanCombine);
        foreach (LinearGroup group in (LinearGroup[])[new(packed, floats), new(packed, pairs), new(packed, narrow), new(packed, packed, packed)])
        {
            Assert.False(group.CanCombine);
            Assert.Throws<InvalidOperationException>(() => group.MultiplyAndCombine(x, default, default, SwiGlu.Apply, floats, pool));
        }
    }

    [Fact]
    public void Rows_are_used_where_they_lie_as_if_they_had_been_copied()
    {
        using ComputePool pool = new(2);
        using NativeBuffer<byte> weights = new(48 * Width / 32 * 34);
        weights.Span(0, (int)weights.Length).Fill(0x35);
        using Linear layer = Make("Q8_0", weights, 48, pool);
        using NativeBuffer<float> source = Products.RandomFloats(7 * Width, 4);
        using Activations x = new(7, Width, ActivationPrecision.Int8);
        float[] copied = new float[7 * 48], inPlace = new float[7 * 48];
        Set(x, source, 7);
        layer.Multiply(x, new Matrix(copied, 7, 48), pool);
        x.Begin(3, 32).Data.Fill(1);
        x.Use(new Matrix(source.Span(0, 7 * Width), 7, Width));
        layer.Multiply(x, new Matrix(inPlace, 7, 48), pool);
        Assert.Equal(copied, inPlace);
        Assert.Throws<ArgumentException>(() => x.Use(new Matrix(source.Span(0, 7 * Width), 3, 40)));
        Assert.Throws<ArgumentException>(() => x.Use(new Matrix(source.Span(0, 7 * Width), 2, 32, 64)));
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Use(new Matrix(source.Span(0, 8 * 32), 8, 32)));
    }

    private static Linear Make(string format, NativeBuffer<byte> weights, int outFeatures, ComputePool pool, int width = Width)
    {
        WeightFormat known = WeightFormats.All.Single(f => f.Name == format);
        ByteRegion data = weights.Region.Slice(0, (long)outFeatures * width / known.BlockLength * known.BlockBytes);
        if (format == "BF16") return Linear.Pack(format, data, outFeatures, width, pool, null, pairs: true);
        return known.BlockLength == 1 ? Linear.Create(format, data, outFeatures, width) : Linear.Pack(format, data, outFeatures, width, pool);
    }

    private static void Set(Activations x, NativeBuffer<float> source, int rows, int width = Width)
    {
        Matrix set = x.Begin(rows, width);
        for (int row = 0; row < rows; row++) source.Span(row * width, width).CopyTo(set[row]);
    }
}
