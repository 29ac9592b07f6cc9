using System.Text.Json;
using Slipstream.Analysis;
using Slipstream.Numerics;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Families;

/// <summary>One tiny Llama in every format against llama.cpp, whose activations are 8-bit where weights are quantised: closeness, not equality.</summary>
public sealed class GgufGoldenTests
{
    public static TheoryData<string, double> Formats { get; } = new()
    {
        { "F32", 0.0052 }, { "F16", 0.013 }, { "BF16", 0.045 }, { "Q8_0", 0.31 }, { "Q4_0", 0.31 }, { "Q4_1", 0.31 }, { "Q5_0", 0.31 }, { "Q5_1", 0.31 },
        { "Q2_K", 0.31 }, { "Q3_K_M", 0.31 }, { "Q4_K_M", 0.31 }, { "Q5_K_M", 0.31 }, { "Q6_K", 0.31 },
    };

    [Theory]
    [MemberData(nameof(Formats))]
    public void Float_arithmetic_on_decoded_weights_is_as_close_as_it_should_be(string format, double tolerance)
        => Assert.InRange(Worst(format, ActivationPrecision.F32), 0, tolerance);

    [Theory]
    [MemberData(nameof(Formats))]
    public void Integer_arithmetic_is_no_further_off_than_the_peers(string format, double tolerance)
        => Assert.InRange(Worst(format, ActivationPrecision.Int8), 0, tolerance);

    /// <summary>Rounding activations moves the logits about as far as the peer's own arithmetic does: 0.053 against 0.044 without.</summary>
    [Fact]
    public void Rounded_activations_are_hardly_further_off_than_float_ones()
        => Assert.InRange(Worst("BF16", ActivationPrecision.Bf16), 0, 0.06);

    [Fact]
    public void Greedy_tokens_of_the_float_file_are_the_peers()
    {
        JsonElement golden = Golden;
        int[] expected = FamilyGoldenTests.Ints(golden.GetProperty("files").GetProperty("F32").GetProperty("greedy"));
        using ModelRun run = new(Assets.Path("goldens", "gguf", "tiny-F32.gguf"), new RunSettings());
        RunSink sink = run.Add(FamilyGoldenTests.Ints(golden.GetProperty("ids")), expected.Length);
        run.Finish();
        Assert.Equal(expected, sink.Tokens);
    }

    private static JsonElement Golden => JsonDocument.Parse(File.ReadAllText(Assets.Path("goldens", "gguf", "golden.json"))).RootElement;

    private static double Worst(string format, ActivationPrecision precision)
    {
        GoldenTensors golden = new(Assets.Path("goldens", "gguf", "golden.safetensors"));
        using ModelEvaluator evaluator = ModelEvaluator.Load(Assets.Path("goldens", "gguf", $"tiny-{format}.gguf"), new ModelOptions { Threads = 1, Activations = precision });
        double worst = 0;
        evaluator.Logits(FamilyGoldenTests.Ints(Golden.GetProperty("ids")), (row, logits) =>
            worst = Math.Max(worst, FamilyGoldenTests.Difference(golden.Floats($"logits.{format}").Slice(row * logits.Length, logits.Length), logits)));
        return worst;
    }
}
