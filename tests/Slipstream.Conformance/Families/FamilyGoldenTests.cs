using System.Text.Json;
using Slipstream.Analysis;
using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Families;

/// <summary>Every family against logits, hidden states and greedy tokens of the reference implementation.</summary>
public sealed class FamilyGoldenTests
{
    private const double Tolerance = 1e-4, NearTie = 2e-4;

    public static TheoryData<string> Models { get; } = ["llama", "llama-mha-tied", "llama-mqa", "llama-bias-headdim", "llama-rope-llama3", "llama-rope-parameters", "llama-rope-linear", "mistral", "qwen2", "qwen2-mixed-window", "qwen3", "gpt2"];

    [Theory]
    [MemberData(nameof(Models))]
    public void Logits_match_the_reference(string name)
    {
        string folder = Assets.Path("goldens", "models", name);
        GoldenTensors golden = new(Path.Combine(folder, "golden.safetensors"));
        using ModelEvaluator evaluator = ModelEvaluator.Load(folder, new ModelOptions { Threads = 1, Activations = ActivationPrecision.F32 });
        int index = 0;
        foreach (JsonElement item in Cases(folder))
        {
            int[] ids = Ints(item.GetProperty("ids"));
            double worst = 0;
            evaluator.Logits(ids, (row, logits) => worst = Math.Max(worst, Difference(golden.Floats($"logits.{index}").Slice(row * logits.Length, logits.Length), logits)));
            Assert.True(worst <= Tolerance, $"{name}, case {index}: the logits differ by {worst}.");
            index++;
        }
        Assert.True(index >= 3);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Hidden_states_match_the_reference(string name)
    {
        string folder = Assets.Path("goldens", "models", name);
        GoldenTensors golden = new(Path.Combine(folder, "golden.safetensors"));
        using ModelEvaluator evaluator = ModelEvaluator.Load(folder, new ModelOptions { Threads = 1, Activations = ActivationPrecision.F32 });
        HiddenStates states = new(golden);
        evaluator.Logits(Ints(Cases(folder).ElementAt(1).GetProperty("ids")), (_, _) => { }, observer: states);
        Assert.Equal(evaluator.Config.Layers + 1, states.Worst.Count);
        foreach ((int layer, double worst) in states.Worst) Assert.True(worst <= Tolerance, $"{name}: the states after layer {layer} differ by {worst}.");
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Greedy_tokens_match_the_reference(string name)
    {
        string folder = Assets.Path("goldens", "models", name);
        using ModelRun run = new(folder, new RunSettings { MaxBatch = 4 });
        List<(RunSink Sink, JsonElement Case)> sequences = [];
        foreach (JsonElement item in Cases(folder)) sequences.Add((run.Add(Ints(item.GetProperty("ids")), item.GetProperty("greedy").GetArrayLength()), item));
        run.Finish();
        foreach ((RunSink sink, JsonElement item) in sequences)
        {
            int[] expected = Ints(item.GetProperty("greedy"));
            double[] margins = [.. item.GetProperty("margins").EnumerateArray().Select(e => e.GetDouble())];
            for (int i = 0; i < expected.Length; i++)
            {
                if (i < sink.Tokens.Count && sink.Tokens[i] == expected[i]) continue;
                Assert.True(margins[i] < NearTie, $"{name}: token {i} is {(i < sink.Tokens.Count ? sink.Tokens[i] : -1)}, the reference has {expected[i]} with a margin of {margins[i]}.");
                break;
            }
        }
    }

    [Fact]
    public void Families_that_are_not_known_are_refused_by_name()
    {
        string folder = Assets.Path("goldens", "models", "bloom");
        SlipstreamException failure = Assert.Throws<SlipstreamException>(() => ModelEvaluator.Load(folder));
        Assert.Equal($"'{folder}': the model family 'bloom' is not supported; supported are llama, mistral, qwen2, qwen3, gpt2.", failure.Message);
    }

    [Theory]
    [InlineData("llama-rope-dynamic", "dynamic")]
    [InlineData("llama-rope-yarn", "yarn")]
    [InlineData("llama-rope-longrope", "longrope")]
    public void Rotary_scalings_that_are_not_known_are_refused_by_name(string name, string type)
        => Assert.Contains($"is '{type}', which is not supported yet", Assert.Throws<SlipstreamException>(() => ModelEvaluator.Load(Assets.Path("goldens", "models", name))).Message, StringComparison.Ordinal);

    internal static IEnumerable<JsonElement> Cases(string folder)
        => JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json"))).RootElement.GetProperty("cases").EnumerateArray();

    internal static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetInt32())];

    internal static double Difference(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double worst = 0;
        for (int i = 0; i < expected.Length; i++) worst = Math.Max(worst, Math.Abs((double)expected[i] - actual[i]));
        return double.IsNaN(worst) ? double.PositiveInfinity : worst;
    }

    private sealed class HiddenStates(GoldenTensors golden) : IHiddenStateObserver
    {
        public Dictionary<int, double> Worst { get; } = [];

        public void OnHiddenStates(int index, Matrix states)
        {
            ReadOnlySpan<float> expected = golden.Floats($"hidden.1.{index}");
            double worst = 0;
            for (int row = 0; row < states.Rows; row++) worst = Math.Max(worst, Difference(expected.Slice(row * states.Columns, states.Columns), states[row]));
            Worst[index] = worst;
        }
    }
}
