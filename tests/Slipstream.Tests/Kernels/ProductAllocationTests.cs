using Slipstream.Numerics;

namespace Slipstream.Tests.Kernels;

public sealed class ProductAllocationTests
{
    [Theory]
    [InlineData(ActivationPrecision.F32)]
    [InlineData(ActivationPrecision.Int8)]
    public void Products_allocate_nothing_once_warm(ActivationPrecision precision)
    {
        using NativeBuffer<byte> data = TestFormat<Bits5Offset>.Random(64, 96, new Random(1));
        using NativeBuffer<float> dense = new(64 * 96);
        using ComputePool packing = new(1);
        using Linear packed = Linear.Pack<TestFormat<Bits5Offset>>(data.Region, 64, 96, packing);
        Linear[] layers = [packed, Linear.Create<TestFormat<Bits5Offset>>(data.Region, 64, 96), Linear.Create("F32", dense.Region, 64, 96)];
        foreach (int threads in new[] { 1, 3 })
        {
            using ComputePool pool = new(threads);
            using Activations x = new(7, 96, precision);
            float[] y = new float[7 * 64];
            long before = 0;
            for (int round = 0; round < 60; round++)
            {
                if (round == 30) before = GC.GetAllocatedBytesForCurrentThread();
                // Three rows are quantised by each thread, seven once for all.
                foreach (int rows in (ReadOnlySpan<int>)[3, 7])
                {
                    x.Begin(rows, 96).Data.Fill(round);
                    foreach (Linear layer in layers) layer.Multiply(x, new Matrix(y, rows, 64), pool);
                }
            }
            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        }
    }

    private readonly ref struct Observe(long[] allocated, Span<float> scratch) : IRangeJob
    {
        private readonly Span<float> _scratch = scratch;

        public void Execute(int from, int to, int worker)
        {
            _scratch[worker]++;
            allocated[worker] = GC.GetAllocatedBytesForCurrentThread();
            Thread.SpinWait(500);
        }
    }

    [Fact]
    public void Products_allocate_nothing_on_the_pools_threads()
    {
        using NativeBuffer<byte> data = TestFormat<Bits5Offset>.Random(64, 96, new Random(1));
        using ComputePool pool = new(3);
        using Linear layer = Linear.Pack<TestFormat<Bits5Offset>>(data.Region, 64, 96, pool), floats = Linear.Create<TestFormat<Bits5Offset>>(data.Region, 64, 96);
        using Activations x = new(7, 96, ActivationPrecision.Int8), asFloats = new(7, 96, ActivationPrecision.F32);
        float[] y = new float[7 * 64], visits = new float[3];
        long[] before = new long[3], after = new long[3];
        for (int round = 0; round < 400; round++)
        {
            if (round is 200)
            {
                Observe first = new(before, visits);
                for (int i = 0; i < 20; i++) pool.For(ref first, 64);
            }
            x.Begin(7, 96).Data.Fill(round);
            asFloats.Begin(7, 96).Data.Fill(round);
            layer.Multiply(x, new Matrix(y, 7, 64), pool);
            floats.Multiply(asFloats, new Matrix(y, 7, 64), pool);
        }
        Observe last = new(after, visits);
        for (int i = 0; i < 20; i++) pool.For(ref last, 64);
        Assert.True(visits[0] > 0);
        for (int worker = 0; worker < 3; worker++)
            if (before[worker] > 0 && after[worker] > 0) Assert.Equal(before[worker], after[worker]);
    }
}
