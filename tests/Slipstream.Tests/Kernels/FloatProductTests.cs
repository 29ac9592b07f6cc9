using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Tests.Kernels;

public sealed class FloatProductTests
{
    public static TheoryData<int> Widths => [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 65, 96, 100, 576];

    [Theory]
    [MemberData(nameof(Widths))]
    public void Dense_products_have_the_bits_of_the_reference_for_every_shape_and_thread_count(int width)
    {
        using NativeBuffer<float> weights = Products.RandomFloats(64 * width, 1);
        foreach (int outFeatures in Products.OutFeatures)
        {
            using Linear linear = Linear.Create("F32", weights.Region.Slice(0, (long)outFeatures * width * 4), outFeatures, width);
            Products.Check(linear, ActivationPrecision.F32, (row, x) => FloatTile.Reference(weights.Span((long)row * width, width), x));
        }
    }

    [Theory]
    [InlineData(32)]
    [InlineData(96)]
    [InlineData(576)]
    public void Encoded_products_have_the_bits_of_the_reference(int width)
    {
        using NativeBuffer<byte> data = TestFormat<Bits5Offset>.Random(64, width, new Random(2));
        foreach (int outFeatures in Products.OutFeatures)
        {
            Linear linear = Linear.Create<TestFormat<Bits5Offset>>(data.Region.Slice(0, data.Length / 64 * outFeatures), outFeatures, width);
            float[] row = new float[width];
            Products.Check(linear, ActivationPrecision.F32, (n, x) =>
            {
                linear.ReadRow(n, row);
                return FloatTile.Reference(row, x);
            });
        }
    }

    [Fact]
    public void Owned_weights_are_freed_with_the_layer()
    {
        NativeBuffer<float> weights = new(6);
        Linear linear = Linear.Create(weights, 2, 3);
        Assert.Equal("F32", linear.Format);
        Assert.Equal(24, linear.Bytes);
        linear.Dispose();
        Assert.Throws<ObjectDisposedException>(() => weights.Span(0, 1));
    }

    [Fact]
    public void Rows_are_read_back()
    {
        using NativeBuffer<float> weights = Products.RandomFloats(3 * 5, 3);
        float[] row = new float[5];
        Linear.Create("F32", weights.Region, 3, 5).ReadRow(1, row);
        Assert.Equal(weights.Span(5, 5).ToArray(), row);
    }

    [Fact]
    public void Wrong_shapes_are_refused()
    {
        using NativeBuffer<float> weights = new(64);
        using ComputePool pool = new(1);
        Linear linear = Linear.Create("F32", weights.Region, 2, 32);
        using Activations x = new(2, 64, ActivationPrecision.F32);
        float[] y = new float[8];
        x.Begin(2, 31);
        Assert.Throws<ArgumentException>(() => linear.Multiply(x, new Matrix(y, 2, 2), pool));
        x.Begin(2, 32);
        Assert.Throws<ArgumentException>(() => linear.Multiply(x, new Matrix(y, 1, 2), pool));
        Assert.Throws<ArgumentException>(() => linear.Multiply(x, new Matrix(y, 2, 3), pool));
        Assert.Throws<ArgumentOutOfRangeException>(() => linear.ReadRow(2, new float[32]));
        Assert.Throws<ArgumentOutOfRangeException>(() => linear.ReadRow(-1, new float[32]));
        Assert.Throws<ArgumentException>(() => linear.ReadRow(0, new float[31]));
        Assert.Throws<ArgumentException>(() => Linear.Create("F32", weights.Region, 3, 32));
        Assert.Throws<SlipstreamException>(() => Linear.Create("no such", weights.Region, 2, 32));
        Assert.Throws<ArgumentException>(() => Linear.Create<TestFormat<Bits4>>(weights.Region, 1, 33));
        Assert.Throws<ArgumentException>(() => Linear.Create(weights, 2, 33));
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Begin(3, 32));
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Begin(1, 65));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Activations(1 << 20, 1 << 20, ActivationPrecision.F32));
    }
}
