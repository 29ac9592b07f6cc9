using Slipstream.Numerics;

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
            using Activations x = new(65, Width, ActivationPrecision.Int8, tier);
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

    private static Linear Make(string format, NativeBuffer<byte> weights, int outFeatures, ComputePool pool)
    {
        WeightFormat known = WeightFormats.All.Single(f => f.Name == format);
        ByteRegion data = weights.Region.Slice(0, (long)outFeatures * Width / known.BlockLength * known.BlockBytes);
        return known.BlockLength == 1 ? Linear.Create(format, data, outFeatures, Width) : Linear.Pack(format, data, outFeatures, Width, pool);
    }

    private static void Set(Activations x, NativeBuffer<float> source, int rows)
    {
        Matrix set = x.Begin(rows, Width);
        for (int row = 0; row < rows; row++) source.Span(row * Width, Width).CopyTo(set[row]);
    }
}
