using System.Text.Json;
using Slipstream.Analysis;
using Slipstream.Conformance.Engine;
using Slipstream.Conformance.Families;
using Slipstream.Numerics;
using Slipstream.Scheduling;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Real;

/// <summary>The real model against the reference implementation's figures.</summary>
public sealed class SmolLm2Tests
{
    private static JsonElement Golden => JsonDocument.Parse(File.ReadAllText(Assets.Path("goldens", "real", "smollm2-135m.json"))).RootElement;

    [Fact]
    public async Task The_capital_of_France_is_Paris()
    {
        using LanguageModel model = LanguageModel.Load(Assets.SmolLm2);
        GenerationResult result = await model.GenerateAsync(Prompt.Chat("What is the capital of France?"), new GenerationOptions { MaxNewTokens = 40 });
        Assert.Contains("Paris", result.Text, StringComparison.Ordinal);
        Assert.Equal(FinishReason.Stop, result.FinishReason);
    }

    [Fact]
    public void Greedy_tokens_in_float32_are_the_references()
    {
        using ModelRun run = new(Assets.SmolLm2, new RunSettings { Threads = 2, MaxBatch = 16, Precision = ActivationPrecision.F32 });
        List<(RunSink Sink, int[] Expected, double[] Margins)> all = [];
        foreach (JsonElement item in Golden.GetProperty("cases").EnumerateArray())
        {
            int[] greedy = FamilyGoldenTests.Ints(item.GetProperty("greedy"));
            all.Add((run.Add(FamilyGoldenTests.Ints(item.GetProperty("ids")), greedy.Length, wantLogits: false), greedy, [.. item.GetProperty("margins").EnumerateArray().Select(e => e.GetDouble())]));
        }
        run.Finish();
        foreach ((RunSink sink, int[] expected, double[] margins) in all)
            for (int i = 0; i < expected.Length; i++)
            {
                if (i < sink.Tokens.Count && sink.Tokens[i] == expected[i]) continue;
                Assert.True(margins[i] < 1e-3, $"Token {i} is {sink.Tokens.ElementAtOrDefault(i)}, the reference has {expected[i]} with a margin of {margins[i]}.");
                break;
            }
    }

    [Fact]
    public void Int8_activations_agree_wherever_the_margin_is_clear()
    {
        using ModelEvaluator evaluator = ModelEvaluator.Load(Assets.SmolLm2, new ModelOptions { Activations = ActivationPrecision.Int8 });
        int clear = 0;
        foreach (JsonElement item in Golden.GetProperty("cases").EnumerateArray())
        {
            int[] ids = FamilyGoldenTests.Ints(item.GetProperty("ids")), greedy = FamilyGoldenTests.Ints(item.GetProperty("greedy"));
            double[] margins = [.. item.GetProperty("margins").EnumerateArray().Select(e => e.GetDouble())];
            int[] fed = [.. ids, .. greedy[..^1]];
            evaluator.Logits(fed, (row, logits) =>
            {
                int step = row - ids.Length + 1;
                if (margins[step] < 0.5) return;
                clear++;
                Assert.Equal(greedy[step], Best(logits));
            }, ids.Length - 1);
        }
        Assert.Equal(298, clear);
    }

    [Fact]
    public void Prompts_have_the_references_ids()
    {
        using LanguageModel model = LanguageModel.Load(Assets.SmolLm2);
        foreach (JsonElement item in Golden.GetProperty("cases").EnumerateArray())
        {
            string text = item.GetProperty("text").GetString()!;
            Prompt prompt = item.GetProperty("kind").GetString() == "chat" ? Prompt.Chat(text, item.GetProperty("system").GetString()) : Prompt.Text(text);
            Assert.Equal(FamilyGoldenTests.Ints(item.GetProperty("ids")), model.Encode(prompt));
        }
    }

    [Theory]
    [InlineData(ActivationPrecision.F32, 0.002)]
    [InlineData(ActivationPrecision.Int8, 0.01)]
    public void Perplexity_is_the_references(ActivationPrecision precision, double tolerance)
    {
        using ModelEvaluator evaluator = ModelEvaluator.Load(Assets.SmolLm2, new ModelOptions { Activations = precision });
        JsonElement golden = JsonDocument.Parse(File.ReadAllText(Assets.Path("goldens", "real", "perplexity.json"))).RootElement;
        foreach (JsonProperty text in golden.GetProperty("results").EnumerateObject())
        {
            string content = File.ReadAllText(Assets.Path(text.Name.Split('/')));
            int[] tokens = [.. evaluator.Tokenizer.Encode(content, addSpecialTokens: false).Ids.Take(text.Value.GetProperty("tokens").GetInt32())];
            PerplexityResult result = evaluator.Perplexity(tokens, text.Value.GetProperty("window").GetInt32(), text.Value.GetProperty("stride").GetInt32());
            Assert.Equal(text.Value.GetProperty("scored").GetInt32(), result.Scored);
            double expected = text.Value.GetProperty("perplexity").GetDouble();
            Assert.True(Math.Abs(result.Perplexity / expected - 1) <= tolerance, $"{text.Name}: perplexity {result.Perplexity}, the reference has {expected}.");
        }
    }

    [Fact]
    public void Batch_threads_chunks_and_drafts_do_not_change_a_bit()
    {
        int[][] prompts = [.. Golden.GetProperty("cases").EnumerateArray().Take(3).Select(c => FamilyGoldenTests.Ints(c.GetProperty("ids")))];
        RunSettings plain = new() { Precision = ActivationPrecision.Int8, Threads = 1 };
        List<(int[] Tokens, ulong[] Bits)> expected = [.. prompts.Select(p => BitMatrixTests.Run(Assets.SmolLm2, plain, [p], 24).Single())];
        foreach (RunSettings variant in (RunSettings[])[
            plain with { Threads = 2, MaxBatch = 3, KvBlock = 1 },
            plain with { Threads = 2, MaxBatch = 2, PrefillChunk = 7, KvBlock = 4096 },
            plain with { Threads = 2, MaxBatch = 3, PromptLookup = true, AssistantTokens = 5, KvBlock = 32 },
            plain with { Threads = 2, MaxBatch = 1, Draft = Assets.SmolLm2, AssistantTokens = 3 }])
        {
            List<(int[] Tokens, ulong[] Bits)> actual = BitMatrixTests.Run(Assets.SmolLm2, variant, prompts, 24);
            for (int i = 0; i < prompts.Length; i++)
            {
                Assert.Equal(expected[i].Tokens, actual[i].Tokens);
                Assert.Equal(expected[i].Bits, actual[i].Bits);
            }
        }
    }

    [Theory]
    [InlineData(CacheType.F32), InlineData(CacheType.F16), InlineData(CacheType.Q8)]
    public void A_long_context_shared_out_over_threads_does_not_change_a_bit(CacheType type)
    {
        // Over 512 positions there are three spans to share out, and one thread has nothing to share with.
        using ModelEvaluator evaluator = ModelEvaluator.Load(Assets.SmolLm2);
        int[] prompt = [.. evaluator.Tokenizer.Encode(File.ReadAllText(Assets.Path("text", "wikitext2", "test.txt")), addSpecialTokens: false).Ids.Take(530)];
        RunSettings plain = new() { Precision = ActivationPrecision.Int8, Threads = 1, CacheType = type };
        (int[] tokens, ulong[] bits) = BitMatrixTests.Run(Assets.SmolLm2, plain, [prompt], 16).Single();
        foreach (RunSettings variant in (RunSettings[])[
            plain with { Threads = 2, PrefillChunk = 100, KvBlock = 32 },
            plain with { Threads = 2, MaxBatch = 2, PromptLookup = true, AssistantTokens = 5 }])
            foreach ((int[] actualTokens, ulong[] actualBits) in BitMatrixTests.Run(Assets.SmolLm2, variant, [.. Enumerable.Repeat(prompt, variant.MaxBatch)], 16))
            {
                Assert.Equal(tokens, actualTokens);
                Assert.Equal(bits, actualBits);
            }
    }

    [Theory]
    [InlineData(CacheType.F16, 2e-4), InlineData(CacheType.Q8, 2e-3)]
    public void A_rounded_cache_costs_little_perplexity(CacheType type, double tolerance)
    {
        // With float activations: where they are rounded too, any small change moves what they round to, up or down.
        ModelOptions options = new() { Activations = ActivationPrecision.F32 };
        using ModelEvaluator exact = ModelEvaluator.Load(Assets.SmolLm2, options), rounded = ModelEvaluator.Load(Assets.SmolLm2, options with { CacheType = type });
        int[] tokens = [.. exact.Tokenizer.Encode(File.ReadAllText(Assets.Path("text", "wikitext2", "test.txt")), addSpecialTokens: false).Ids.Take(512)];
        double expected = exact.Perplexity(tokens, 512, 512).Perplexity, actual = rounded.Perplexity(tokens, 512, 512).Perplexity;
        Assert.NotEqual(expected, actual);
        Assert.True(Math.Abs(actual / expected - 1) <= tolerance, $"Perplexity {actual} with a cache of {type}, {expected} with floats.");
    }

    private static int Best(ReadOnlySpan<float> row)
    {
        int best = 0;
        for (int i = 1; i < row.Length; i++)
            if (row[i] > row[best]) best = i;
        return best;
    }
}
