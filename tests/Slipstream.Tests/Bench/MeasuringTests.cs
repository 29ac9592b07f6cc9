using Slipstream.Bench;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;
using Slipstream.Numerics.Kernels.Emitted;
using Slipstream.Tests.Checkpoints;
using Slipstream.Tests.Kernels.Emitted;

namespace Slipstream.Tests.Bench;

public sealed class MeasuringTests
{
    [Fact]
    public void Every_number_of_streams_reads_every_byte()
    {
        using NativeBuffer<byte> memory = new(3L << 20);
        using ComputePool pool = new(2);
        Random random = new(1);
        for (int streams = 1; streams <= ReadStreams.MostStreams; streams++)
        {
            ReadStreams nothing = new(memory.Region, streams);
            pool.For(ref nothing, nothing.Count);
            Assert.Equal(0, nothing.Or);
            foreach (int at in (int[])[0, (3 << 20) - 1, (1 << 20) - 1, .. Enumerable.Range(0, 40).Select(_ => random.Next(3 << 20))])
            {
                memory.Span(at, 1)[0] = 1;
                ReadStreams job = new(memory.Region, streams);
                pool.For(ref job, job.Count);
                Assert.NotEqual(0, job.Or);
                memory.Span(at, 1)[0] = 0;
            }
        }
    }

    [Fact]
    public void Peak_kernels_compute_what_they_count()
    {
        foreach (PeakKernel kernel in (PeakKernel[])[.. PeakOperations.Int8, .. PeakOperations.Bf16, .. PeakOperations.F32])
        {
            Assert.True(kernel.OperationsPerRound > 0, kernel.Name);
            Assert.NotEqual(kernel.Run(3), kernel.Run(8));
        }
    }

    [Fact]
    public void The_peaks_of_emitted_products_are_sound_and_count_every_round()
    {
        foreach (bool windows in (ReadOnlySpan<bool>)[false, true])
        {
            Assert.InRange(MachineCode.Check(PeakKernels.DotBytes.Assemble(windows), windows).Count, 40, 120);
            Assert.InRange(MachineCode.Check(PeakKernels.DotHalves.Assemble(windows), windows).Count, 40, 120);
            Assert.InRange(MachineCode.Check(PeakKernels.TilesOfBytes.Assemble(windows), windows).Count, 40, 120);
            Assert.InRange(MachineCode.Check(PeakKernels.TilesOfHalves.Assemble(windows), windows).Count, 40, 120);
        }
        if (!EmittedKernels.IsAvailable || !EmissionSupport.HasVnni512) return;
        // A lane of a round: 1·1 + 2·2 + 3·3 + 4·4, in each accumulator.
        Assert.Equal(7L * PeakKernels.Products * 30, PeakKernels.Run(PeakKernels.DotBytes, 7));
        // Of pairs of ones, two.
        if (EmissionSupport.HasBf16) Assert.Equal(7f * PeakKernels.Products * 2, BitConverter.Int32BitsToSingle((int)PeakKernels.Run(PeakKernels.DotHalves, 7)));
        if (!EmittedKernels.HasAmx) return;
        // The first sum of the first tile: in each of sixteen rows of four, (4k + 1)·1 + (4k + 2)·2 + (4k + 3)·3 + (4k + 4)·4; and of 32 ones.
        Assert.Equal(7L * Enumerable.Range(0, 16).Sum(k => 30 + 40 * k), PeakKernels.Run(PeakKernels.TilesOfBytes, 7));
        Assert.Equal(7f * 32, BitConverter.Int32BitsToSingle((int)PeakKernels.Run(PeakKernels.TilesOfHalves, 7)));
    }

    [Fact]
    public void A_clock_follows_the_stages_and_changes_no_result()
    {
        using TempFolder folder = new();
        using SlipstreamContender contender = new(RandomModelTests.Make(folder, "tiny", "Q8_0"), 2, ActivationPrecision.Auto, 8);
        Workload work = new(WorkKind.Verify, 4, 40);
        contender.Begin([work]);
        contender.Prepare(work);
        Assert.Null(contender.Pool.Clock);
        contender.Forward([11, 12, 13, 14], all: true);
        float[] without = contender.Logits(3).ToArray();
        contender.Drop();

        StageClock clock = new();
        contender.Pool.Clock = clock;
        clock.Restart();
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        contender.Forward([11, 12, 13, 14], all: true);
        clock.Enter(Stage.Other);
        TimeSpan all = System.Diagnostics.Stopwatch.GetElapsedTime(start);
        Assert.Equal(without, contender.Logits(3).ToArray());
        foreach (Stage stage in (Stage[])[Stage.Prepare, Stage.Norm, Stage.Quantize, Stage.Products, Stage.Store, Stage.Attention, Stage.Gate, Stage.Residual, Stage.Head]) Assert.True(clock[stage] > TimeSpan.Zero, $"{stage}");
        double sum = Enum.GetValues<Stage>().Sum(stage => clock[stage].TotalMilliseconds);
        Assert.InRange(sum, 0.5 * all.TotalMilliseconds, 2 * all.TotalMilliseconds + 1);
        clock.Restart();
        Assert.All(Enum.GetValues<Stage>(), stage => Assert.Equal(TimeSpan.Zero, clock[stage]));
    }

    [Fact]
    public void The_ceilings_only_rise()
    {
        using ComputePool pool = new(1);
        using Ceilings ceilings = new(pool);
        (double read, double int8, double f32) = (ceilings.Read.BytesPerSecond, ceilings.Int8.PerSecond, ceilings.F32.PerSecond);
        Assert.True(read > 1e8 && int8 > 1e8 && f32 > 1e8);
        ceilings.Measure();
        Assert.True(ceilings.Read.BytesPerSecond >= read && ceilings.Int8.PerSecond >= int8 && ceilings.F32.PerSecond >= f32);
        Assert.InRange(ceilings.Read.Streams, 1, ReadStreams.MostStreams);
    }

    [Fact]
    public void Verified_rows_and_batches_are_the_passes_they_stand_for()
    {
        using TempFolder folder = new();
        using SlipstreamContender contender = new(RandomModelTests.Make(folder, "tiny", "Q8_0"), 2, ActivationPrecision.Auto, 8);
        Workload verify = new(WorkKind.Verify, 4, 40), decode = new(WorkKind.Decode, 1, 40, 4), batch = new(WorkKind.Batch, 3, 40, 4);
        contender.Begin([verify, decode, batch]);
        contender.Prepare(verify);
        contender.Forward([11, 12, 13, 14], all: true);
        float[][] together = [.. Enumerable.Range(0, 4).Select(i => contender.Logits(i).ToArray())];
        contender.Drop();
        contender.Forward([11, 12, 13, 14], all: false);
        Assert.Equal(together[3], contender.Logits(0).ToArray());

        contender.Prepare(decode);
        for (int i = 0; i < 4; i++)
        {
            contender.Forward([11 + i], all: true);
            Assert.Equal(together[i], contender.Logits(0).ToArray());
        }
        contender.Prepare(batch);
        contender.Forward([11, 11, 99], all: true);
        // Other slots hold other made-up rows, so only the first sequence has the cache of the passes above.
        Assert.Equal(together[0], contender.Logits(0).ToArray());
        Assert.NotEqual(together[0], contender.Logits(2).ToArray());
    }

    [Fact]
    public void Bytes_and_operations_are_those_of_the_formula()
    {
        using TempFolder folder = new();
        using SlipstreamContender contender = new(RandomModelTests.Make(folder, "tiny", "Q8_0"), 1, ActivationPrecision.Auto, 8);
        // Two layers of q and output 256·256, k and v 128·256, gate, up and down 512·256; a head of 512·256.
        const long layers = 2 * ((2 * 256 + 2 * 128 + 3 * 512) * 256L), head = 512 * 256, attention = 4L * 2 * 4 * 64;
        Workload verify = new(WorkKind.Verify, 4, 100);
        contender.Begin([verify]);
        contender.Prepare(verify);
        long before = contender.BytesRead;
        contender.Forward([1, 2, 3, 4], all: true);
        long weights = (layers + head) * 34 / 32;
        Assert.InRange(contender.BytesRead - before - weights, 100 * 2 * 2 * 128 * sizeof(float), 4 * 104 * 2 * 2 * 128 * sizeof(float));

        Operations int8 = new(contender.Config, contender.Tensors, ActivationPrecision.Auto), f32 = new(contender.Config, contender.Tensors, ActivationPrecision.F32);
        Assert.Equal(2.0 * 4 * (layers + head) + attention * (101 + 102 + 103 + 104), int8.Seconds(verify, 1, 1e30, 1));
        Assert.Equal(int8.Seconds(verify, 1, 1e30, 1), f32.Seconds(verify, 1e9, 1e30, 1));
        Operations bf16 = new(contender.Config, contender.Tensors.Select(t => t with { Format = "BF16" }), ActivationPrecision.Bf16);
        Assert.Equal(int8.Seconds(verify, 1, 1e30, 1), bf16.Seconds(verify, 1e9, 1, 1));
        Assert.Equal(attention * 410.0, int8.Seconds(verify, 1e30, 1e30, 1), 1e-3);
        Assert.Equal(2.0 * (8 * layers + head) + attention * 36, int8.Seconds(new Workload(WorkKind.Prefill, 8, 0), 1, 1e30, 1));
        Assert.Equal(2.0 * 8 * (layers + head) + attention * 8 * 108.5, int8.Seconds(new Workload(WorkKind.Batch, 8, 100, 16), 1, 1e30, 1));
    }

    [Fact]
    public void A_plan_lists_every_workload_at_every_depth()
    {
        BenchPlan plan = new([128], 64, [1, 2], [4], [0, 4096], 5);
        Assert.Equal(
            ["prefill 128 at 0", "decode 1 at 0", "verify 1 at 0", "verify 2 at 0", "batch 4 at 0", "prefill 128 at 4096", "decode 1 at 4096", "verify 1 at 4096", "verify 2 at 4096", "batch 4 at 4096"],
            plan.All.Select(w => w.ToString()));
        Assert.Equal((1, 4, 4), (plan.All.First().Outputs, plan.All.Last().Outputs, plan.All.Last().Sequences));
    }

    [Fact]
    public void A_cache_that_does_not_fit_is_refused_with_both_numbers()
    {
        using TempFolder folder = new();
        using SlipstreamContender contender = new(RandomModelTests.Make(folder, "tiny", "Q8_0"), 1, ActivationPrecision.Auto, 256);
        SlipstreamException e = Assert.Throws<SlipstreamException>(() => contender.Begin([new Workload(WorkKind.Batch, 256, int.MaxValue / 2, 16)]));
        Assert.Contains("'batch 256 at 1073741823' takes", e.Message, StringComparison.Ordinal);
        Assert.Contains("lower --depth or --batch", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Engines_are_compared_in_rounds_in_which_the_machine_read_alike()
    {
        // The second round of ours and the third of the peer's fell into a slow phase.
        Sample[] ours = [new(10, 60e9), new(18, 36e9), new(10, 61e9), new(12, 59e9)];
        BenchResult result = new(new Workload(WorkKind.Verify, 6, 0), ours, 300_000_000, 0.0075, new Dictionary<string, IReadOnlyList<Sample>>
        {
            ["slow"] = [new(20, 60e9), new(20, 60e9), new(40, 35e9), new(20, 58e9)],
            ["fast"] = [new(5, 60e9), new(5, 60e9), new(50, 35e9), new(5, 60e9)],
        });
        Assert.Equal(6000 / 11.0, result.TokensPerSecond, 1e-9);
        Assert.Equal("fast", result.FastestPeer);
        // Rounds 1 and 4: 5/10 and 5/12.
        (double ratio, int rounds) = result.Against("fast");
        Assert.Equal((0.5 + 5 / 12.0) / 2, ratio, 1e-9);
        Assert.Equal(2, rounds);
        Assert.Equal((20 / 10.0 + 20 / 12.0) / 2, result.Against("slow").Ratio, 1e-9);
        // 300 MB at 60, 36, 61 and 59 GB/s take 5, 8.33, 4.92 and 5.08 ms.
        Assert.Equal(Middle(300 / 60.0 / 10, 300 / 36.0 / 18, 300 / 61.0 / 10, 300 / 59.0 / 12), result.BandwidthFraction, 1e-9);
        Assert.Equal(Middle(7.5 / 10, 300 / 36.0 / 18, 7.5 / 10, 7.5 / 12), result.RooflineFraction, 1e-9);
        Assert.Equal((36e9, 59.5e9, 61e9), (result.ReadBandwidth.Min, result.ReadBandwidth.Median, result.ReadBandwidth.Max));
        BenchResult never = result with { Others = new Dictionary<string, IReadOnlyList<Sample>> { ["slow"] = [.. ours.Select(sample => new Sample(20, sample.ReadBandwidth / 2))] } };
        Assert.Equal((Middle(2, 20 / 18.0, 2, 20 / 12.0), 0), never.Against("slow"));
        Assert.Null((result with { Others = new Dictionary<string, IReadOnlyList<Sample>>() }).FastestPeer);

        static double Middle(params double[] values) => Spread.Of(values).Median;
    }
}
