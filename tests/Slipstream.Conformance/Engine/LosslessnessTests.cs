using System.Text.Json;
using Slipstream.Analysis;
using Slipstream.Conformance.Families;
using Slipstream.Numerics;
using Slipstream.Sampling;
using Slipstream.Scheduling;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Engine;

/// <summary>Speculative sampling through the public API has the distribution of the model: the next two tokens against exact enumeration.</summary>
public sealed class LosslessnessTests
{
    private const int Draws = 60_000;

    private static readonly Dictionary<string, SamplingOptions> Samplings = new()
    {
        ["temperature 1"] = new() { Temperature = 1 },
        ["temperature 0.6"] = new() { Temperature = 0.6 },
        ["temperature 1.5"] = new() { Temperature = 1.5, TopK = 60 },
        ["top-k 20"] = new() { Temperature = 1, TopK = 20 },
        ["top-p 0.8"] = new() { Temperature = 0.9, TopP = 0.8 },
        ["min-p 0.1"] = new() { Temperature = 1, MinP = 0.1 },
        ["penalties"] = new() { Temperature = 0.8, TopK = 40, RepetitionPenalty = 1.3, PresencePenalty = 0.4, FrequencyPenalty = 0.2 },
    };

    public static TheoryData<string, string> Cases { get; } = Matrix();

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task The_next_two_tokens_have_the_models_distribution(string sampling, string drafter)
    {
        SamplingOptions options = Samplings[sampling];
        int[] prompt = Prompt();
        Dictionary<(int, int), double> expected = Enumerate(prompt, options);
        Dictionary<(int, int), int> observed = await Draw(prompt, options, drafter);
        Assert.All(observed.Keys, pair => Assert.True(expected.ContainsKey(pair), $"The pair {pair} has no probability and was drawn."));
        double p = PValue(expected, observed);
        Assert.True(p > 0.001, $"{sampling} with {drafter}: p = {p}.");
    }

    [Fact]
    public async Task Measured_acceptance_of_the_first_draft_is_the_references()
    {
        JsonElement golden = JsonDocument.Parse(File.ReadAllText(Assets.Path("goldens", "decoding", "assisted.json"))).RootElement;
        foreach (JsonElement item in golden.GetProperty("cases").EnumerateArray())
        {
            double rate = item.GetProperty("accept_rate_sampled_first").GetDouble();
            int[] prompt = FamilyGoldenTests.Ints(item.GetProperty("ids"));
            using LanguageModel model = Load("draft-model");
            const int n = 20_000;
            GenerationResult[] results = await Task.WhenAll(Enumerable.Range(0, n).Select(i => model.GenerateAsync(Slipstream.Prompt.Tokens(prompt), Options(new SamplingOptions { Temperature = 1 }, i) with { AssistantTokens = 1 })));
            double measured = results.Average(r => r.Speculation.PerPosition[0].Accepted), sigma = Math.Sqrt(rate * (1 - rate) / n);
            Assert.True(Math.Abs(measured - rate) < 4 * sigma, $"Acceptance is {measured}, the reference has {rate}, 4 sigma are {4 * sigma}.");
        }
    }

    private static TheoryData<string, string> Matrix()
    {
        TheoryData<string, string> data = [];
        foreach (string sampling in Samplings.Keys)
            foreach (string drafter in (ReadOnlySpan<string>)["draft-model", "prompt-lookup"]) data.Add(sampling, drafter);
        return data;
    }

    private static int[] Prompt()
    {
        JsonElement golden = JsonDocument.Parse(File.ReadAllText(Assets.Path("goldens", "decoding", "assisted.json"))).RootElement;
        int[] ids = FamilyGoldenTests.Ints(golden.GetProperty("cases")[0].GetProperty("ids"));
        // Repeated, so that prompt lookup finds something to copy.
        return [.. ids, .. ids];
    }

    private static LanguageModel Load(string drafter) => LanguageModel.Load(Assets.Path("goldens", "models", "qwen3"), new ModelOptions
    {
        Threads = 1, MaxBatch = 64, KvBlock = 16, PrefillChunk = 2048, MaxAssistantTokens = 3, Activations = ActivationPrecision.F32,
        KvMemory = KvMemory.FromBytes(64 << 20),
        Drafter = drafter == "draft-model" ? new DrafterOptions.DraftModel(Assets.Path("goldens", "decoding", "draft-of-qwen3")) : new DrafterOptions.PromptLookup(),
    });

    private static GenerationOptions Options(SamplingOptions sampling, int index) => new()
    {
        MaxNewTokens = 2, Sampling = sampling, Seed = 99, SampleIndex = index, IgnoreEndTokens = true, Verifier = VerifierKind.Rejection,
        AssistantTokens = 3, AssistantTokensSchedule = AssistantTokensSchedule.Constant,
    };

    private static async Task<Dictionary<(int, int), int>> Draw(int[] prompt, SamplingOptions sampling, string drafter)
    {
        using LanguageModel model = Load(drafter);
        Dictionary<(int, int), int> counts = [];
        long drafted = 0;
        for (int from = 0; from < Draws; from += 2000)
            foreach (GenerationResult result in await Task.WhenAll(Enumerable.Range(from, 2000).Select(i => model.GenerateAsync(Slipstream.Prompt.Tokens(prompt), Options(sampling, i)))))
            {
                Assert.Equal(FinishReason.Length, result.FinishReason);
                (int, int) pair = (result.Tokens[0], result.Tokens[1]);
                counts[pair] = counts.GetValueOrDefault(pair) + 1;
                drafted += result.Speculation.Drafted;
            }
        Assert.True(drafted > Draws / 2, $"Only {drafted} tokens were drafted in {Draws} draws.");
        return counts;
    }

    private static double PValue(Dictionary<(int, int), double> expected, Dictionary<(int, int), int> observed)
    {
        (int, int)[] pairs = [.. expected.Keys];
        return ChiSquare.PValue([.. pairs.Select(pair => (long)observed.GetValueOrDefault(pair))], [.. pairs.Select(pair => expected[pair])]);
    }

    /// <summary>The exact joint distribution of the next two tokens.</summary>
    private static Dictionary<(int, int), double> Enumerate(int[] prompt, SamplingOptions sampling)
    {
        using ModelEvaluator evaluator = ModelEvaluator.Load(Assets.Path("goldens", "models", "qwen3"), new ModelOptions { Threads = 1, Activations = ActivationPrecision.F32 });
        LogitsPipeline pipeline = new(sampling, evaluator.Config.VocabularySize, [.. evaluator.Config.EndTokens], prompt.Length + 2);
        float[] After(int[] tokens)
        {
            float[] row = [];
            evaluator.Logits(tokens, (_, logits) => row = logits.ToArray(), tokens.Length - 1);
            pipeline.ToDistribution(row, new TokenContext(tokens, [], prompt.Length));
            return row;
        }
        Dictionary<(int, int), double> joint = [];
        float[] first = After(prompt);
        for (int a = 0; a < first.Length; a++)
        {
            if (first[a] == 0) continue;
            float[] second = After([.. prompt, a]);
            for (int b = 0; b < second.Length; b++)
                if (second[b] > 0) joint[(a, b)] = (double)first[a] * second[b];
        }
        return joint;
    }
}
