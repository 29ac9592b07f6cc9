using System.Runtime.Intrinsics.X86;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;
using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Tests.Kernels;

/// <summary>Products on the matrix unit have the bits of those on vectors, which other tests hold to the reference.</summary>
public sealed class AmxProductTests
{
    private const int OutFeatures = 16 * 5 + 3;

    public static TheoryData<string> Integers => [.. WeightFormats.All.Where(f => f.IsSupported && f.Name is not ("F32" or "F16" or "BF16")).Select(f => f.Name)];

    /// <summary>Groups of activations whose scales lie near each other, far apart, at nothing and beyond what is a number; in whole tiles and less, in one turn and several, by one thread and more.</summary>
    [Theory, MemberData(nameof(Integers))]
    public void Tiles_give_the_bits_of_vectors(string format)
    {
        Assert.SkipUnless(EmittedKernels.HasAmx, "the processor has no AMX, or the system does not let this process use it");
        WeightFormats.Accept(format, new Comparison());
    }

    [Fact]
    public void Tiles_hold_codes_times_scales_and_say_which_records_are_wide()
    {
        Assert.SkipUnless(Avx512F.IsSupported, "the processor or the runtime's settings offer no AVX-512");
        const int Rows = 37, Columns = 96;
        using NativeBuffer<float> values = Activations(Rows, Columns, 3);
        using ComputePool pool = new(2);
        foreach (bool exact in new[] { false, true })
        {
            using QuantizedRows rows = new(exact);
            rows.Quantize(new Matrix(values.Span(0, Rows * Columns), Rows, Columns), Rows, 8, pool);
            using QuantizedTiles tiles = new();
            tiles.Make(rows, rows.Rows, Columns, pool);
            int wide = 0;
            for (int row = 0; row < rows.Rows; row++)
                for (int record = 0; record < Columns / 32; record++)
                    CheckRow(rows, tiles, row, record, Columns, ref wide);
            Assert.InRange(wide, 1, rows.Rows * Columns / 32 - 1);
        }
    }

    // SAFETY: rows and records are those that were made.
    private static unsafe void CheckRow(QuantizedRows rows, QuantizedTiles tiles, int row, int record, int columns, ref int wide)
    {
        byte* source = rows.Pointer + row / 4 * QuantizedRows.TileBytes(columns) + record * QuantizedRows.RecordBytes, target = tiles.Pointer + row / 16 * QuantizedTiles.TileBytes(columns) + record * QuantizedTiles.RecordBytes;
        ushort* actual = (ushort*)(target + QuantizedTiles.RowBytes * (row % 16));
        sbyte* codes = (sbyte*)source + 32 * (row % 4);
        float[] scales = new float[2];
        for (int half = 0; half < 2; half++)
        {
            scales[half] = ((float*)(source + QuantizedRows.OriginsAt))[2 * (row % 4) + half] / (1.5f * (1 << 23));
            for (int i = 16 * half; i < 16 * half + 16; i++)
            {
                float expected = codes[i / 4 * 4 + ((i % 4) switch { 1 => 2, 2 => 1, int other => other })] * scales[half], value = BitConverter.UInt32BitsToSingle((uint)actual[i] << 16);
                Assert.Equal(expected, value);
            }
            Assert.Equal(((float*)(source + QuantizedRows.GroupTermsAt))[2 * (row % 4) + half], ((float*)(target + QuantizedTiles.GroupTermsAt))[16 * half + row % 16]);
        }
        Assert.Equal(((float*)(source + QuantizedRows.TermsAt))[row % 4], ((float*)(target + QuantizedTiles.TermsAt))[row % 16]);
        bool isWide = *(int*)(target + QuantizedTiles.WideAt) != 0, apart = scales[0] > 0 && scales[1] > 0 && (scales[0] > 64 * scales[1] || scales[1] > 64 * scales[0]);
        if (apart) Assert.True(isWide);
        if (isWide) wide++;
    }

    private static NativeBuffer<float> Activations(int rows, int width, int seed)
    {
        Random random = new(seed);
        NativeBuffer<float> values = new((long)rows * width);
        for (int group = 0; group < rows * width / 16; group++)
        {
            // Most groups lie within 2⁶ of each other; some do not, some are zeros.
            float scale = random.Next(12) switch { 0 => 0, 1 => MathF.ScaleB(1, random.Next(-40, 40)), _ => MathF.ScaleB(1, random.Next(-3, 4)) };
            foreach (ref float value in values.Span(16L * group, 16)) value = (random.NextSingle() * 2 - 1) * scale;
        }
        return values;
    }

    private sealed class Comparison : IFormatVisitor<bool>
    {
        public bool Visit<TFormat>() where TFormat : struct, IWeightFormat => throw new InvalidOperationException($"{TFormat.Name} is no format of integers.");

        public bool VisitInteger<TFormat>() where TFormat : struct, IIntegerFormat
        {
            Compare<TFormat>(1024, [AmxIntegerKernels.LeastRowsElse, 67, 130, 400]);
            Compare<TFormat>(AmxFewRowsKernels.LeastColumns, [AmxFewRowsKernels.LeastRows, 13, AmxFewRowsKernels.MostRows, AmxIntegerKernels.LeastRows]);
            // Columns that kernels for few rows take, and, where blocks are short, that they do not.
            foreach (int width in (ReadOnlySpan<int>)(TFormat.BlockLength == 32 ? [2112, 2080, 320] : [2304, 768]))
            {
                Assert.Equal(width is 2112 or 2304 && TFormat.LowBits < 8 && TFormat.GroupLength == 32, AmxFewRowsKernels.Take(PackedLayout.Of<TFormat>(), width));
                Compare<TFormat>(width, [AmxFewRowsKernels.LeastRows, AmxFewRowsKernels.MostRows]);
            }
            return true;
        }

        private static void Compare<TFormat>(int width, ReadOnlySpan<int> rowCounts) where TFormat : struct, IIntegerFormat
        {
            using NativeBuffer<byte> data = Products.RandomBlocks<TFormat>(OutFeatures, width);
            for (int threads = 1; threads <= 3; threads++)
            {
                using ComputePool pool = new(threads);
                using Linear linear = Linear.Pack<TFormat>(data.Region, OutFeatures, width, pool);
                foreach (int rows in rowCounts)
                    foreach (bool exact in (ReadOnlySpan<bool>)[false, true])
                    {
                        using NativeBuffer<float> values = Activations(rows, width, rows);
                        int[] broken = [1, 5, rows - 1];
                        foreach ((int row, int column, float value) in (ReadOnlySpan<(int, int, float)>)[(broken[0], 40, float.NaN), (broken[1], 3, 2e33f), (broken[2], width - 30, float.PositiveInfinity)])
                            values.Span((long)row * width + column, 1)[0] = value;
                        float[] onTiles = Multiply(linear, values, rows, width, exact, KernelTier.Emitted, pool), onVectors = Multiply(linear, values, rows, width, exact, KernelTier.EmittedVectors, pool);
                        for (int i = 0; i < onTiles.Length; i++)
                            if (BitConverter.SingleToInt32Bits(onTiles[i]) != BitConverter.SingleToInt32Bits(onVectors[i]) && !(float.IsNaN(onTiles[i]) && float.IsNaN(onVectors[i])))
                                Assert.Fail($"{TFormat.Name}, {width} columns, {rows} rows, {threads} threads, exact {exact}, row {i / OutFeatures} column {i % OutFeatures}: {onTiles[i]:R} on tiles, {onVectors[i]:R} on vectors");
                        foreach (int row in broken) Assert.True(float.IsNaN(onTiles[row * OutFeatures]));
                        Assert.Equal(broken.Length * OutFeatures, onTiles.Count(float.IsNaN));
                    }
            }
        }

        private static float[] Multiply(Linear linear, NativeBuffer<float> values, int rows, int width, bool exact, KernelTier tier, ComputePool pool)
        {
            using Activations x = new(rows, width, ActivationPrecision.Int8, tier);
            Matrix set = x.Begin(rows, width);
            for (int row = 0; row < rows; row++) values.Span((long)row * width, width).CopyTo(set[row]);
            float[] y = new float[rows * OutFeatures];
            linear.Multiply(x, new Matrix(y, rows, OutFeatures), pool, exact);
            return y;
        }
    }
}
