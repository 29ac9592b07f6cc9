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
    [InlineData(KernelTier.EmittedVectors)]
    [InlineData(KernelTier.Intrinsics)]
    public void Products_have_the_bits_of_the_reference_in_every_tier(KernelTier kernels)
    {
        SkipWithout(kernels);
        foreach (int width in new[] { 1, 15, 16, 31, 32, 48, 64, 96, 100, 576 })
        {
            using NativeBuffer<byte> data = Random(64, width);
            foreach (int outFeatures in Products.OutFeatures) Check(data, outFeatures, width, null, kernels);
        }
    }

    [Theory]
    [InlineData(KernelTier.Auto)]
    [InlineData(KernelTier.EmittedVectors)]
    [InlineData(KernelTier.Intrinsics)]
    public void Ranges_of_columns_blocks_and_panels_change_no_bit(KernelTier kernels)
    {
        SkipWithout(kernels);
        const int Width = 2048 + 64, OutFeatures = RowProduct.PanelRows + 5;
        using NativeBuffer<byte> data = Random(OutFeatures, Width);
        Check(data, OutFeatures, Width, Many, kernels);
    }

    [Theory]
    [InlineData(KernelTier.Auto)]
    [InlineData(KernelTier.EmittedVectors)]
    [InlineData(KernelTier.Intrinsics)]
    public void Packed_products_have_the_bits_of_the_reference_in_every_tier(KernelTier kernels)
    {
        SkipWithout(kernels);
        foreach (int width in new[] { 1, 2, 7, 16, 30, 31, 34, 62, 64, 98, 576, 578 })
        {
            using NativeBuffer<byte> data = Random(130, width);
            foreach (int outFeatures in (int[])[.. Products.OutFeatures, 33, 130])
                CheckPacked(data, outFeatures, width, kernels, outFeatures is 1 or 33 or 130 && width is 34 or 98 ? [.. Enumerable.Range(1, 41), 97] : null);
        }
    }

    /// <summary>Rows so wide or so many that they are gone through in several turns, and by the rows of each thread.</summary>
    [Theory]
    [InlineData(32768, 37, new[] { 1, 3, 9, 23, 40 })]
    [InlineData(4096, 101, new[] { 2, 100, 199 })]
    public void Packed_products_of_many_or_wide_rows_have_the_bits_of_the_reference(int width, int outFeatures, int[] rows)
    {
        using NativeBuffer<byte> data = Random(outFeatures, width);
        foreach (KernelTier kernels in PackedProductTests.Tiers) CheckPacked(data, outFeatures, width, kernels, rows);
    }

    [Fact]
    public void Packed_rows_are_read_with_the_bits_of_the_file()
    {
        const int OutFeatures = 37;
        Random random = new(5);
        using ComputePool pool = new(2);
        foreach (int width in new[] { 1, 2, 33, 64, 578 })
        {
            using NativeBuffer<byte> data = new(2L * OutFeatures * width);
            random.NextBytes(data.Span(0, (int)data.Length));
            using Linear inFile = Linear.Create("BF16", data.Region, OutFeatures, width), packed = Pack(data.Region, OutFeatures, width, pool);
            float[] expected = new float[width], actual = new float[width];
            for (int row = 0; row < OutFeatures; row++)
            {
                inFile.ReadRow(row, expected);
                packed.ReadRow(row, actual);
                Assert.Equal(expected.Select(BitConverter.SingleToUInt32Bits), actual.Select(BitConverter.SingleToUInt32Bits));
            }
        }
    }

    [Fact]
    public void Packed_weights_refuse_other_activations()
    {
        using NativeBuffer<byte> data = Random(2, 64);
        using ComputePool pool = new(1);
        using Linear packed = Pack(data.Region, 2, 64, pool);
        foreach (ActivationPrecision precision in new[] { ActivationPrecision.Auto, ActivationPrecision.F32, ActivationPrecision.Int8, ActivationPrecision.Int16 })
        {
            using Activations x = new(1, 64, precision);
            x.Begin(1, 64)[0].Fill(1);
            Assert.Throws<InvalidOperationException>(() => packed.Multiply(x, new Matrix(new float[2], 1, 2), pool));
        }
    }

    [Fact]
    public void Tiny_values_are_flushed_by_the_instruction_and_kept_by_compiled_kernels()
    {
        const int Width = 64, Rows = 3;
        using NativeBuffer<byte> data = new(2 * Width * Rows);
        using ComputePool pool = new(1);
        Random random = new(11);
        bool flushes = EmittedKernels.IsAvailable && EmissionSupport.HasBf16;
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
            float[] flushed = Product(KernelTier.Auto, packed: true), kept = Product(KernelTier.Intrinsics, packed: true), inRows = Product(KernelTier.Auto, packed: false);
            for (int row = 0; row < Rows; row++)
            {
                ReadOnlySpan<byte> weights = data.Span(2 * row * Width, 2 * Width);
                Assert.Equal(PairProduct.Reference(weights, x, PairOrder.Rows, flushes: false), inRows[row]);
                Assert.Equal(PairProduct.Reference(weights, x, PairOrder.Packed, flushes: false), kept[row]);
                Assert.InRange(Math.Abs(flushed[row] - kept[row]), 0, MathF.ScaleB(magnitude + Width, -126));
                Assert.Equal(PairProduct.Reference(weights, x, OrderOf(KernelTier.Auto, Width), flushes), flushed[row]);
                if (kept[row] != flushed[row]) differing++;
            }
            if (trial == 499) Assert.Equal(flushes, differing > 100);

            float[] Product(KernelTier kernels, bool packed)
            {
                using Activations activations = new(1, Width, ActivationPrecision.Bf16, kernels);
                x.CopyTo(activations.Begin(1, Width)[0]);
                float[] y = new float[Rows];
                using Linear linear = packed ? Pack(data.Region, Rows, Width, pool) : Linear.Create("BF16", data.Region, Rows, Width);
                linear.Multiply(activations, new Matrix(y, 1, Rows), pool);
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
        foreach ((string format, bool packs) in new[] { ("BF16", true), ("BF16", false), ("F16", false) })
            foreach (KernelTier kernels in new[] { KernelTier.Auto, KernelTier.Intrinsics })
                foreach (int rows in new[] { 1, 8, 100 })
                {
                    using Linear linear = packs ? Pack(data.Region, 128, 2112, pool) : Linear.Create(format, data.Region, 128, 2112);
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
        MachineCode.Check(PairProductKernels.Instance, 40);
        MachineCode.Check(AmxPairKernels.Instance, 60);
    }

    private static void SkipWithout(KernelTier kernels) => Assert.SkipWhen(kernels == KernelTier.EmittedVectors && !EmittedKernels.IsAvailable, $"{EmittedKernels.UnavailableReason}");

    /// <summary>The order of packed products in a tier on this machine.</summary>
    private static PairOrder OrderOf(KernelTier kernels, int width) => EmittedKernels.UseAmx(kernels) && width % AmxPairKernels.Columns == 0 ? PairOrder.Tiles : PairOrder.Packed;

    private static Linear Pack(ByteRegion data, int outFeatures, int width, ComputePool pool) => Linear.Pack("BF16", data, outFeatures, width, pool, null, pairs: true);

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
        Products.Check(linear, ActivationPrecision.Bf16, (row, x) => PairProduct.Reference(data.Span(2L * row * width, 2 * width), x, PairOrder.Rows, flushes: false), rows, kernels);
    }

    // Weights and activations are such that nothing is flushed.
    private static void CheckPacked(NativeBuffer<byte> data, int outFeatures, int width, KernelTier kernels, int[]? rows)
    {
        using ComputePool pool = new(2);
        using Linear linear = Pack(data.Region.Slice(0, 2L * outFeatures * width), outFeatures, width, pool);
        Products.Check(linear, ActivationPrecision.Bf16, (row, x) => PairProduct.Reference(data.Span(2L * row * width, 2 * width), x, OrderOf(kernels, width), flushes: false), rows, kernels);
    }
}
