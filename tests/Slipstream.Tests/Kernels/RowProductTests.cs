using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Tests.Kernels;

public sealed class RowProductTests
{
    // From alone to more than a block, with every remainder of a tile.
    private static readonly int[] Many = [1, 6, 7, 12, 25, RowProduct.BlockRows, RowProduct.BlockRows + 5];

    public static TheoryData<string, int, KernelTier> Shapes
    {
        get
        {
            TheoryData<string, int, KernelTier> shapes = [];
            foreach (string format in new[] { "F16", "BF16" })
                foreach (KernelTier kernels in new[] { KernelTier.Auto, KernelTier.Intrinsics })
                    foreach (int width in new[] { 1, 15, 16, 32, 48, 100, 576 }) shapes.Add(format, width, kernels);
            return shapes;
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Products_have_the_bits_of_the_reference_for_every_shape_and_thread_count(string format, int width, KernelTier kernels)
    {
        using NativeBuffer<byte> data = Random(64, width);
        foreach (int outFeatures in Products.OutFeatures) Check(format, data.Region.Slice(0, 2L * outFeatures * width), outFeatures, width, null, kernels);
    }

    [Theory]
    [InlineData("F16", KernelTier.Auto)]
    [InlineData("BF16", KernelTier.Auto)]
    [InlineData("F16", KernelTier.Intrinsics)]
    [InlineData("BF16", KernelTier.Intrinsics)]
    public void Ranges_of_columns_blocks_and_panels_change_no_bit(string format, KernelTier kernels)
    {
        const int Width = 2 * 1024 + 16, OutFeatures = RowProduct.PanelRows + 5;
        using NativeBuffer<byte> data = Random(OutFeatures, Width);
        Check(format, data.Region, OutFeatures, Width, Many, kernels);
    }

    [Fact]
    public void Every_half_is_multiplied_exactly()
    {
        // All 65536 halves, among them subnormals, infinities and NaN, one a row beside zeros.
        using NativeBuffer<byte> data = new(65536 * 32);
        Span<byte> bytes = data.Span(0, 65536 * 32);
        for (int i = 0; i < 65536; i++) BitConverter.TryWriteBytes(bytes[(32 * i + 2 * (i % 16))..], (ushort)i);
        using ComputePool pool = new(2);
        foreach (KernelTier kernels in new[] { KernelTier.Auto, KernelTier.Intrinsics })
            foreach (int rows in new[] { 1, 2, 4, 6, 30 })
            {
                using Linear linear = Linear.Create("F16", data.Region, 65536, 16);
                using Activations x = new(rows, 16, ActivationPrecision.F32, kernels);
                Matrix ones = x.Begin(rows, 16);
                for (int row = 0; row < rows; row++) ones[row].Fill(1);
                float[] y = new float[rows * 65536];
                linear.Multiply(x, new Matrix(y, rows, 65536), pool);
                for (int row = 0; row < rows; row++)
                    for (int i = 0; i < 65536; i++)
                    {
                        float expected = HalfBits.ToSingle((uint)i), actual = y[row * 65536 + i];
                        if (float.IsNaN(expected) ? !float.IsNaN(actual) : expected != actual) Assert.Fail($"{i:x4}: {actual} instead of {expected}");
                    }
            }
    }

    private static NativeBuffer<byte> Random(int rows, int width)
    {
        NativeBuffer<byte> data = new(2L * rows * width);
        Random random = new(4);
        Span<byte> bytes = data.Span(0, 2 * rows * width);
        // Signs and mantissas at random, exponents near one in either format.
        for (int i = 0; i < rows * width; i++) BitConverter.TryWriteBytes(bytes[(2 * i)..], (ushort)((random.Next(65536) & 0x83FF) | 0x3800));
        return data;
    }

    private static void Check(string format, ByteRegion data, int outFeatures, int width, int[]? rows, KernelTier kernels)
    {
        using Linear linear = Linear.Create(format, data, outFeatures, width);
        float[] weights = new float[width * outFeatures];
        for (int row = 0; row < outFeatures; row++) linear.ReadRow(row, weights.AsSpan(row * width));
        Products.Check(linear, ActivationPrecision.F32, (row, x) => FloatTile.Reference(weights.AsSpan(row * width, width), x), rows, kernels);
    }
}
