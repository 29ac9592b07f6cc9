using Slipstream.Distillation.Torch;
using Slipstream.Distillation.Training;

namespace Slipstream.Distillation.Tests.Training;

/// <summary>The loop: it learns, goes on bit for bit, and keeps its last good checkpoint.</summary>
public sealed class TrainingRunTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_run_that_was_cut_off_goes_on_bit_for_bit(bool bfloat16)
    {
        TorchFixture.Require();
        using TorchFixture.Folder folder = new();
        TrainingOptions options = TorchFixture.Options(60) with { Bfloat16 = bfloat16, Accumulation = 2 };
        using TorchLlama whole = new(TorchFixture.Toy, 7);
        TrainingReport expected = new TrainingRun().Run(whole, new NextTokenObjective(), TorchFixture.Data(), options, new TorchFixture.Recorder());

        using CancellationTokenSource source = new();
        using TorchLlama first = new(TorchFixture.Toy, 7);
        TrainingReport cut = new TrainingRun(folder["state"]).Run(first, new NextTokenObjective(), TorchFixture.Data(), options, new TorchFixture.Recorder(step => { if (step.Step == 27) source.Cancel(); }), source.Token);
        Assert.True(cut.Interrupted);
        Assert.Equal(27, cut.Steps);

        // Another seed of the weights: all that counts comes from the checkpoint.
        using TorchLlama second = new(TorchFixture.Toy, 8);
        TorchFixture.Recorder recorder = new();
        TrainingReport rest = new TrainingRun(folder["state"]).Run(second, new NextTokenObjective(), TorchFixture.Data(), options, recorder);
        Assert.Equal(27, recorder.Begun);
        Assert.Equal(expected.Losses, rest.Losses);
        Assert.Equal(expected.Evaluations, rest.Evaluations);
        Assert.Equal(expected.BestStep, rest.BestStep);
        Assert.Equal(whole.Weights, second.Weights);
        Assert.True(expected.Losses[^1] < expected.Losses[0] - 1, $"Nothing was learnt: {expected.Losses[0]} to {expected.Losses[^1]}.");
    }

    [Fact]
    public void Accumulated_batches_are_one_larger_batch()
    {
        TorchFixture.Require();
        using TorchLlama one = new(TorchFixture.Toy, 7), two = new(TorchFixture.Toy, 7);
        new TrainingRun().Run(one, new NextTokenObjective(), TorchFixture.Data(), TorchFixture.Options(3) with { Batch = 8 }, new TorchFixture.Recorder());
        new TrainingRun().Run(two, new NextTokenObjective(), TorchFixture.Data(), TorchFixture.Options(3) with { Batch = 4, Accumulation = 2 }, new TorchFixture.Recorder());
        // Adam divides by the size of the gradient, so the last bits of tiny ones show.
        double worst = 0, mean = 0;
        for (int i = 0; i < one.Weights.Length; i++)
        {
            double difference = Math.Abs(one.Weights[i] - two.Weights[i]);
            (worst, mean) = (Math.Max(worst, difference), mean + difference / one.Weights.Length);
        }
        Assert.True(mean < 1e-5, $"The weights differ by {mean} on average, {worst} at most.");
    }

    [Fact]
    public void The_optimiser_is_AdamW()
    {
        TorchFixture.Require();
        TrainingOptions options = TorchFixture.Options(4);
        using TorchLlama model = new(TorchFixture.Toy, 7);
        float[] start = model.Weights.ToArray();
        AdamW optimizer = new(model, options);
        using TorchSharp.torch.Tensor reference = TorchSharp.torch.tensor(start).requires_grad_();
        using TorchSharp.Modules.AdamW expected = TorchSharp.torch.optim.AdamW([new TorchSharp.Modules.Parameter(reference)], lr: 1e-2, beta1: options.Beta1, beta2: options.Beta2, eps: options.Epsilon, weight_decay: options.WeightDecay);
        TorchSharp.Modules.Parameter parameter = expected.parameters().Single();
        for (int step = 1; step <= 4; step++)
        {
            using TorchSharp.torch.Tensor gradient = TorchSharp.torch.sin(TorchSharp.torch.arange(start.Length, dtype: TorchSharp.torch.ScalarType.Float32).mul(step * 0.37));
            parameter.grad = gradient.clone();
            model.Gradient.copy_(gradient);
            Assert.Equal(gradient.norm().item<float>(), optimizer.GradientNorm(), 1e-2);
            expected.step();
            optimizer.Step(1e-2, 1);
        }
        float[] values = parameter.detach().data<float>().ToArray();
        int matrices = (int)model.MatrixElements;
        for (int i = 0; i < matrices; i++) Assert.True(Math.Abs(values[i] - model.Weights[i]) < 2e-6, $"Weight {i}: {values[i]} and {model.Weights[i]}.");
        // Norms are not decayed, so they are a little larger than where all is.
        Assert.True(model.Weights[^1] - values[^1] is > 1e-3f and < 1e-2f);
        Assert.Equal(0, model.Gradient.abs().sum().item<float>());
    }

    [Fact]
    public void A_damaged_checkpoint_is_refused_by_name()
    {
        TorchFixture.Require();
        using TorchFixture.Folder folder = new();
        using TorchLlama model = new(TorchFixture.Toy, 7);
        new TrainingRun(folder["state"]).Run(model, new NextTokenObjective(), TorchFixture.Data(), TorchFixture.Options(2), new TorchFixture.Recorder());
        byte[] good = File.ReadAllBytes(folder["state"]);
        Random random = new(3);
        for (int i = 0; i < 24; i++)
        {
            byte[] damaged = i % 4 == 3 ? good[..random.Next(good.Length)] : [.. good];
            if (i % 4 != 3) damaged[i % 4 == 0 ? random.Next(8, 400) : random.Next(good.Length)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(folder["state"], damaged);
            SlipstreamException e = Assert.Throws<SlipstreamException>(() => TrainingState.Load(folder["state"]));
            Assert.Contains(folder["state"], e.Message, StringComparison.Ordinal);
            Assert.Contains("is damaged", e.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', e.Message);
        }
        File.WriteAllBytes(folder["state"], good);
        Assert.Equal(2, TrainingState.Load(folder["state"]).Step);
    }

    [Fact]
    public void A_run_with_other_options_is_refused_and_the_difference_named()
    {
        TorchFixture.Require();
        using TorchFixture.Folder folder = new();
        using TorchLlama model = new(TorchFixture.Toy, 7);
        new TrainingRun(folder["state"]).Run(model, new NextTokenObjective(), TorchFixture.Data(), TorchFixture.Options(2), new TorchFixture.Recorder());
        SlipstreamException e = Assert.Throws<SlipstreamException>(() =>
            new TrainingRun(folder["state"]).Run(model, new NextTokenObjective(), TorchFixture.Data(), TorchFixture.Options(2) with { LearningRate = 2e-3 }, new TorchFixture.Recorder()));
        Assert.Contains("learning-rate (0.005 there, 0.002 now)", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_full_disk_leaves_the_last_good_checkpoint()
    {
        TorchFixture.Require();
        using TorchFixture.Folder folder = new();
        TrainingOptions options = TorchFixture.Options(9) with { CheckpointEverySteps = 3 };
        int files = 0;
        TrainingRun run = new(folder["state"]) { CreateFile = (path, length) => ++files == 2 ? new FullDisk(path, length / 2) : DurableFile.Create(path, length) };
        using TorchLlama model = new(TorchFixture.Toy, 7);
        SlipstreamException e = Assert.Throws<SlipstreamException>(() => run.Run(model, new NextTokenObjective(), TorchFixture.Data(), options, new TorchFixture.Recorder()));
        Assert.Contains("No space left on device", e.Message, StringComparison.Ordinal);
        Assert.Contains(folder["state"], e.Message, StringComparison.Ordinal);
        Assert.Equal([folder["state"]], Directory.GetFiles(folder.Path));
        Assert.Equal(3, TrainingState.Load(folder["state"]).Step);

        TorchFixture.Recorder recorder = new();
        new TrainingRun(folder["state"]).Run(model, new NextTokenObjective(), TorchFixture.Data(), options, recorder);
        Assert.Equal(3, recorder.Begun);
    }

    [Fact]
    public void The_patience_ends_a_run_and_the_best_weights_are_kept()
    {
        TorchFixture.Require();
        // So little text that it is soon learnt by heart.
        TokenDataset small = TorchFixture.Data(700);
        TrainingOptions options = TorchFixture.Options(2000) with { LearningRate = 2e-2, Patience = 2, EvaluateEvery = 5 };
        using TorchLlama model = new(TorchFixture.Toy, 7);
        TrainingReport report = new TrainingRun().Run(model, new NextTokenObjective(), small, options, new TorchFixture.Recorder());
        Assert.True(report.StoppedEarly);
        Assert.Equal(report.BestStep + 10, report.Steps);
        Assert.Equal(report.Evaluations.Min(point => point.Loss), report.BestLoss);
        Assert.Equal(report.BestLoss, TrainingRun.Evaluate(model, new NextTokenObjective(), small, options));
        Assert.Equal(report.BestLoss / Math.Log(2) / 2, report.BitsPerByte(report.BestLoss), 1e-3);
    }

    [Fact]
    public void The_learning_rate_rises_and_falls()
    {
        TrainingOptions options = TorchFixture.Options(100) with { LearningRate = 1, WarmUp = 10, FinalRatio = 0.1 };
        Assert.Equal(0.1, TrainingRun.LearningRate(options, 1), 1e-12);
        Assert.Equal(1, TrainingRun.LearningRate(options, 10), 1e-12);
        Assert.Equal(0.55, TrainingRun.LearningRate(options, 55), 1e-12);
        Assert.Equal(0.1, TrainingRun.LearningRate(options, 100), 1e-12);
    }

    /// <summary>A file on a disk with room for so many bytes.</summary>
    private sealed class FullDisk(string path, long room) : FileStream(path, FileMode.CreateNew)
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (Position + buffer.Length > room) throw new IOException($"No space left on device : '{Name}'");
            base.Write(buffer);
        }
    }
}
