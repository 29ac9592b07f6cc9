using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;
using Slipstream.Numerics.Kernels.Emitted;
using Slipstream.Tests.Kernels.Emitted;

namespace Slipstream.Tests.Kernels;

public sealed class PairProductTests
{
    private static readonly int[] Many = [1, 6, 7, 12, 25, RowProduct.BlockRows, RowProduct.BlockRows + 5];

    [Theory]
    [InlineData(KernelTier.Auto)]
    [InlineData(KernelTier.Intrinsics)]
    public void Products_have_the_bits_of_the_reference_in_every_tier(KernelTier kernels)
    {
        foreach (int width in new[] { 1, 15, 16, 31, 32, 48, 64, 96, 100, 576 })
        {
            using NativeBuffer<byte> data = Random(64, width);
            foreach (int outFeatures in Products.OutFeatures) Check(data, outFeatures, width, null, kernels);
        }
    }

    [Theory]
    [InlineData(KernelTier.Auto)]
    [InlineData(KernelTier.Intrinsics)]
    public void Ranges_of_columns_blocks_and_panels_change_no_bit(KernelTier kernels)
    {
        const int Width = 2048 + 64, OutFeatures = RowProduct.PanelRows + 5;
        using NativeBuffer<byte> data = Random(OutFeatures, Width);
        Check(data, OutFeatures, Width, Many, kernels);
    }

    [Fact]
    public void Tiny_values_are_flushed_by_the_instruction_and_kept_by_compiled_kernels()
    {
        const int Width = 64, Rows = 3;
        using NativeBuffer<byte> data = new(2 * Width * Rows);
        using ComputePool pool = new(1);
        Random random = new(11);
        int differing = 0;
        for (int trial = 0; trial < 500; trial++)
        {
            float[] x = new float[Width];
            float magnitude = 0;
            for (int i = 0; i < Width; i++)
            {
                // Inputs around the smallest normal, or products around it.
                x[i] = MathF.ScaleB(random.NextSingle() - 0.5f, trial % 2 == 0 ? 0 : -60);
                for (int row = 0; row < Rows; row++)
                    BitConverter.TryWriteBytes(data.Span(2 * (row * Width + i), 2), BF16.FromSingle(MathF.ScaleB(random.NextSingle() - 0.5f, trial % 2 == 0 ? -125 : -64)));
                magnitude += MathF.Abs(x[i]) + 1;
            }
            float[] flushed = Product(KernelTier.Auto), kept = Product(KernelTier.Intrinsics);
            bool flushes = EmittedKernels.IsAvailable && EmissionSupport.HasBf16;
            for (int row = 0; row < Rows; row++)
            {
                ReadOnlySpan<byte> weights = data.Span(2 * row * Width, 2 * Width);
                Assert.Equal(PairProduct.Reference(weights, x, flushes: false), kept[row]);
                Assert.InRange(Math.Abs(flushed[row] - kept[row]), 0, MathF.ScaleB(magnitude + Width, -126));
                Assert.Equal(PairProduct.Reference(weights, x, flushes), flushed[row]);
                if (kept[row] != flushed[row]) differing++;
            }
            if (trial == 499) Assert.Equal(flushes, differing > 100);

            float[] Product(KernelTier kernels)
            {
                using Activations activations = new(1, Width, ActivationPrecision.Bf16, kernels);
                x.CopyTo(activations.Begin(1, Width)[0]);
                float[] y = new float[Rows];
                Linear.Create("BF16", data.Region, Rows, Width).Multiply(activations, new Matrix(y, 1, Rows), pool);
                return y;
            }
        }
    }

    [Fact]
    public void Only_bf16_weights_take_rounded_activations_and_exact_products_take_them_too()
    {
        using NativeBuffer<byte> data = Random(2, 64);
        using ComputePool pool = new(1);
        float[] row = new float[64];
        foreach (string format in new[] { "BF16", "F16", "Q8_0" })
            foreach (bool exact in new[] { false, true })
            {
                WeightFormat description = WeightFormats.Get(format);
                byte[] bytes = new byte[description.BytesOf(64)];
                Linear.Create("BF16", data.Region, 2, 64).ReadRow(0, row);
                description.Encode!(row, bytes);
                using NativeBuffer<byte> weights = new(bytes.Length);
                bytes.CopyTo(weights.Span(0, bytes.Length));
                using Linear linear = Linear.Create(format, weights.Region, 1, 64);
                float[] rounded = new float[1], plain = new float[1];
                Multiply(linear, ActivationPrecision.Bf16, exact, rounded);
                Multiply(linear, ActivationPrecision.Auto, exact, plain);
                Assert.Equal(format != "BF16", rounded[0] == plain[0]);
            }

        void Multiply(Linear linear, ActivationPrecision precision, bool exact, float[] y)
        {
            using Activations x = new(1, 64, precision);
            using NativeBuffer<float> source = Products.RandomFloats(64, 3);
            source.Span(0, 64).CopyTo(x.Begin(1, 64)[0]);
            linear.Multiply(x, new Matrix(y, 1, 1), pool, exact);
        }
    }

    [Fact]
    public void Products_allocate_nothing_once_warm()
    {
        using NativeBuffer<byte> data = Random(128, 2112);
        using ComputePool pool = new(1);
        foreach (string format in new[] { "BF16", "F16" })
            foreach (KernelTier kernels in new[] { KernelTier.Auto, KernelTier.Intrinsics })
                foreach (int rows in new[] { 1, 8, 100 })
                {
                    using Linear linear = Linear.Create(format, data.Region, 128, 2112);
                    using Activations x = new(rows, 2112, ActivationPrecision.Bf16, kernels);
                    float[] y = new float[rows * 128];
                    for (int i = 0; i < 3; i++) Multiply();
                    long before = GC.GetAllocatedBytesForCurrentThread();
                    for (int i = 0; i < 10; i++) Multiply();
                    Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

                    void Multiply()
                    {
                        x.Begin(rows, 2112);
                        linear.Multiply(x, new Matrix(y, rows, 128), pool);
                    }
                }
    }

    [Fact]
    public void The_machine_code_of_every_tile_is_sound()
    {
        foreach (RowTileKind kind in Enum.GetValues<RowTileKind>())
            foreach (EmittedKernel<RowTileArguments> kernel in RowTileCode.Kernels(kind))
                foreach (bool windows in new[] { false, true })
                    Assert.InRange(MachineCode.Check(kernel.Assemble(windows), windows).Count, 50, 500);
    }

    private static NativeBuffer<byte> Random(int rows, int width)
    {
        NativeBuffer<byte> data = new(2L * rows * width);
        Random random = new(4);
        for (int i = 0; i < rows * width; i++) BitConverter.TryWriteBytes(data.Span(2 * i, 2), (ushort)((random.Next(65536) & 0x83FF) | 0x3800));
        return data;
    }

    private static void Check(NativeBuffer<byte> data, int outFeatures, int width, int[]? rows, KernelTier kernels)
    {
        using Linear linear = Linear.Create("BF16", data.Region.Slice(0, 2L * outFeatures * width), outFeatures, width);
        Products.Check(linear, ActivationPrecision.Bf16, (row, x) => PairProduct.Reference(data.Span(2L * row * width, 2 * width), x, flushes: false), rows, kernels);
    }
}
