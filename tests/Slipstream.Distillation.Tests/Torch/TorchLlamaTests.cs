using System.Text.Json;
using Slipstream.Analysis;
using Slipstream.Distillation.Torch;
using Slipstream.Numerics;
using Slipstream.TestSupport;
using TorchSharp;

namespace Slipstream.Distillation.Tests.Torch;

/// <summary>The model against the engine and against the golden logits, and the folders it is kept in.</summary>
public sealed class TorchLlamaTests
{
    private const double Tolerance = 1e-4;

    [Theory]
    [InlineData("llama")]
    [InlineData("llama-mha-tied")]
    [InlineData("llama-mqa")]
    public void Logits_match_the_golden_ones(string name)
    {
        TorchFixture.Require();
        string folder = Assets.Path("goldens", "models", name);
        GoldenTensors golden = new(Path.Combine(folder, "golden.safetensors"));
        using TorchLlama model = TorchCheckpoint.Load(folder);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json")));
        int index = 0;
        foreach (JsonElement item in document.RootElement.GetProperty("cases").EnumerateArray())
        {
            float[] logits = Logits(model, [.. item.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())]);
            double worst = Worst(golden.Floats($"logits.{index}")[..logits.Length], logits);
            Assert.True(worst <= Tolerance, $"{name}, case {index}: the logits differ by {worst}.");
            index++;
        }
        Assert.True(index >= 3);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_engine_loads_the_folder_and_gives_the_same_logits(bool tied)
    {
        TorchFixture.Require();
        using TorchFixture.Folder folder = new();
        using TorchLlama model = new(TorchFixture.Toy with { TiedHead = tied }, seed: 11);
        Enlarge(model);
        TorchCheckpoint.Save(model, folder.Path, 1, [2, 5]);
        int[] ids = Ids(50);
        float[] logits = Logits(model, ids);
        using ModelEvaluator evaluator = ModelEvaluator.Load(folder.Path, new ModelOptions { Threads = 1, Activations = ActivationPrecision.F32 });
        double worst = 0;
        evaluator.Logits(ids, (row, values) => worst = Math.Max(worst, Worst(values, logits.AsSpan(row * values.Length, values.Length))));
        Assert.True(worst <= Tolerance, $"The logits differ by {worst}.");
        Assert.True(logits.Max() > 0.5, "The logits are too small for the test to mean anything.");
        Assert.Equal([2, 5], evaluator.Config.EndTokens);
        Assert.Equal(1, evaluator.Config.BeginToken);

        using TorchLlama again = TorchCheckpoint.Load(folder.Path);
        Assert.Equal(model.Weights, again.Weights);
        Assert.Equal(model.Shape with { NormEpsilon = 0 }, again.Shape with { NormEpsilon = 0 });
        Assert.Equal(model.Shape.NormEpsilon, again.Shape.NormEpsilon, 1e-9);
    }

    [Fact]
    public void Bfloat16_stays_near_float32()
    {
        TorchFixture.Require();
        using TorchLlama model = new(TorchFixture.Toy, seed: 11);
        Enlarge(model);
        float[] exact = Logits(model, Ids(40));
        model.Bfloat16 = true;
        float[] near = Logits(model, Ids(40));
        double error = Math.Sqrt(exact.Zip(near, (a, b) => (double)(a - b) * (a - b)).Sum() / exact.Sum(a => (double)a * a));
        Assert.InRange(error, 1e-5, 0.03);
    }

    [Fact]
    public void Later_tokens_change_nothing_before_them()
    {
        TorchFixture.Require();
        using TorchLlama model = new(TorchFixture.Toy, seed: 11);
        int[] ids = Ids(30), other = [.. ids[..20], .. Ids(10).Select(id => (id + 1) % 300)];
        int kept = 20 * TorchFixture.Toy.Vocabulary;
        Assert.Equal(Logits(model, ids)[..kept], Logits(model, other)[..kept]);
    }

    [Fact]
    public void The_same_seed_gives_the_same_weights_and_another_one_others()
    {
        TorchFixture.Require();
        using TorchLlama a = new(TorchFixture.Toy, 4), b = new(TorchFixture.Toy, 4), c = new(TorchFixture.Toy, 5);
        Assert.Equal(a.Weights, b.Weights);
        Assert.NotEqual(a.Weights.ToArray(), c.Weights.ToArray());
        Assert.Equal(TorchFixture.Toy.Parameters, a.Weights.Length);
        Assert.Equal(a.Shape.Parameters, a.NamedWeights().Sum(weight => weight.Value.numel()));
        Assert.InRange(Deviation(a.Weights[..(300 * 32)]), 0.0195, 0.0205);
    }

    [Fact]
    public void A_model_of_another_family_is_refused_by_name()
    {
        TorchFixture.Require();
        string folder = Assets.Path("goldens", "models", "qwen2");
        SlipstreamException e = Assert.Throws<SlipstreamException>(() => TorchCheckpoint.Load(folder));
        Assert.Contains(folder, e.Message, StringComparison.Ordinal);
        Assert.Contains("qwen2", e.Message, StringComparison.Ordinal);
    }

    private static float[] Logits(TorchLlama model, int[] ids)
    {
        using IDisposable none = torch.no_grad();
        using DisposeScope scope = torch.NewDisposeScope();
        return model.forward(torch.tensor(ids.Select(id => (long)id).ToArray(), [1, ids.Length])).data<float>().ToArray();
    }

    // Weights as after training: at the initial ones all logits are near zero.
    private static void Enlarge(TorchLlama model)
    {
        foreach (ref float weight in model.Weights[..(int)model.MatrixElements]) weight *= 6;
    }

    private static int[] Ids(int count) => [.. Enumerable.Range(0, count).Select(i => (i * 37 + i * i * 11 + 3) % 300)];

    private static double Worst(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double worst = 0;
        for (int i = 0; i < expected.Length; i++) worst = Math.Max(worst, Math.Abs((double)expected[i] - actual[i]));
        return worst;
    }

    private static double Deviation(Span<float> values)
    {
        double sum = 0;
        foreach (float value in values) sum += (double)value * value;
        return Math.Sqrt(sum / values.Length);
    }
}
