using Slipstream.Numerics;

namespace Slipstream.Tests.Kernels;

/// <summary>What every product must hold, whatever the format.</summary>
internal static class Products
{
    public delegate float Element(int row, ReadOnlySpan<float> x);

    public static readonly int[] OutFeatures = [1, 2, 9, 16, 17, 64];
    private static readonly int[] Rows = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 33, 65];

    public static NativeBuffer<float> RandomFloats(int count, int seed)
    {
        Random random = new(seed);
        NativeBuffer<float> buffer = new(count);
        foreach (ref float value in buffer.Span(0, count)) value = random.NextSingle() * 2 - 1;
        return buffer;
    }

    /// <summary>Random bytes whose 16-bit words are finite as halves, as brain floats and (for F32) as the upper half of a single, wherever a format keeps its scales.</summary>
    public static NativeBuffer<byte> RandomBlocks<TFormat>(int rows, int width) where TFormat : struct, IWeightFormat
    {
        NativeBuffer<byte> data = new((long)rows * width / TFormat.BlockLength * TFormat.BlockBytes);
        Random random = new(11);
        foreach (ref byte value in data.Span(0, (int)data.Length)) value = (byte)(random.Next(256) & 0xBF);
        return data;
    }

    /// <summary>Every element equals <paramref name="reference"/> bit for bit, for all numbers of rows and threads; the gap between rows of y is left alone; bytes are counted once.</summary>
    public static void Check(Linear linear, ActivationPrecision precision, Element reference, int[]? counts = null, KernelTier kernels = KernelTier.Auto)
    {
        int[] sizes = counts ?? Rows;
        int width = linear.InFeatures, n = linear.OutFeatures, stride = n + 3;
        using NativeBuffer<float> source = RandomFloats(sizes[^1] * width, 7);
        float[] expected = new float[sizes[^1] * n];
        for (int m = 0; m < sizes[^1]; m++)
            for (int row = 0; row < n; row++)
                expected[m * n + row] = reference(row, source.Span(m * width, width));
        for (int threads = 1; threads <= 3; threads++)
        {
            using ComputePool pool = new(threads);
            using Activations x = new(sizes[^1], width, precision, kernels);
            foreach (int rows in sizes)
            {
                Matrix set = x.Begin(rows, width);
                for (int m = 0; m < rows; m++) source.Span(m * width, width).CopyTo(set[m]);
                float[] y = new float[rows * stride];
                Array.Fill(y, float.NaN);
                long before = pool.Counters.WeightBytes;
                linear.Multiply(x, new Matrix(y, rows, n, stride), pool);
                Assert.Equal(linear.Bytes, pool.Counters.WeightBytes - before);
                for (int i = 0; i < y.Length; i++)
                {
                    bool gap = i % stride >= n;
                    float want = gap ? float.NaN : expected[i / stride * n + i % stride];
                    if (BitConverter.SingleToInt32Bits(want) != BitConverter.SingleToInt32Bits(y[i]))
                        Assert.Fail($"{linear.Format} [{n}, {width}], {rows} rows, {threads} threads, row {i / stride} column {i % stride}: {y[i]:R} instead of {want:R}");
                }
            }
        }
    }
}
