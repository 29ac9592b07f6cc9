using System.Text.Json.Nodes;
using Slipstream.Analysis;
using Slipstream.Models;
using Slipstream.Tests.Checkpoints;
using Slipstream.Tests.Hostile;

namespace Slipstream.Tests.Speculation;

/// <summary>Models whose head has rows for some tokens only.</summary>
public sealed class OutputTokensTests
{
    private static readonly int[] Some = [0, 3, 4, 9, 17, 30];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_logits_are_those_of_the_whole_head_at_its_tokens_and_nothing_elsewhere(bool gguf)
    {
        using TempFolder folder = new();
        float[][] whole = Logits(Write(new TinyModel(), "whole")), some = Logits(Write(Narrow(), "narrow"));
        Assert.Equal(4, some.Length);
        for (int row = 0; row < some.Length; row++)
            for (int token = 0; token < 32; token++)
                Assert.Equal(Some.Contains(token) ? whole[row][token] : float.NegativeInfinity, some[row][token]);

        string Write(TinyModel model, string name)
        {
            string path = model.Write(folder, name), file = folder.File(name + ".gguf");
            if (!gguf) return path;
            GgufConverter.Convert(path, file, new GgufConversionOptions { Format = "F32" });
            return file;
        }
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.7)]
    public async Task A_draft_of_some_tokens_drafts_and_changes_nothing(double temperature)
    {
        using TempFolder folder = new();
        string target = new TinyModel().Write(folder), draft = Narrow().Write(folder, "draft");
        GenerationOptions options = PairTests.Request(60) with { Seed = 5, Sampling = new() { Temperature = temperature } };
        GenerationResult plain = await PairTests.Run(target, null, options), drafted = await PairTests.Run(target, new DrafterOptions.DraftModel(draft), options);
        Assert.Equal(plain.Tokens, drafted.Tokens);
        Assert.InRange(drafted.Speculation.Accepted, 1, drafted.Speculation.Drafted);
        // The draft is the target but for tokens that it cannot say: those are in the text all the same.
        Assert.Contains(drafted.Tokens, token => !Some.Contains(token));
    }

    [Fact]
    public void A_head_that_is_the_embedding_has_all_tokens()
    {
        using TempFolder folder = new();
        TinyModel tiny = Narrow();
        tiny.Config["tie_word_embeddings"] = true;
        string path = tiny.Write(folder);
        Assert.Equal($"'{Path.Combine(path, "config.json")}': 'draft_vocabulary' lists 6 tokens, but the head is the embedding, which has all; such a draft needs a head of its own.",
            Assert.Throws<SlipstreamException>(() => LanguageModel.Load(path, PairTests.Options(null)).Dispose()).Message);
    }

    private static TinyModel Narrow()
    {
        TinyModel tiny = new();
        float[] head = tiny.Tensors["lm_head.weight"].Values;
        tiny.Tensors["lm_head.weight"] = ([Some.Length, TinyModel.Hidden], [.. Some.SelectMany(token => head.AsSpan(token * TinyModel.Hidden, TinyModel.Hidden).ToArray())]);
        tiny.Config["draft_vocabulary"] = new JsonArray([.. Some.Select(token => (JsonNode)token)]);
        return tiny;
    }

    private static float[][] Logits(string path)
    {
        List<float[]> rows = [];
        using ModelEvaluator evaluator = ModelEvaluator.Load(path, new ModelOptions { Threads = 1, Activations = Numerics.ActivationPrecision.F32 });
        evaluator.Logits([1, 2, 3, 29], (_, logits) => rows.Add(logits.ToArray()));
        return [.. rows];
    }
}
