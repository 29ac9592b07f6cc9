using System.Text.Json;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Cli;

public sealed class EvaluationTests
{
    [Fact]
    public async Task Logits_and_hidden_states_agree_with_the_reference()
    {
        string llama = Assets.Path("goldens", "models", "llama"), output = Tool.Temporary(".safetensors");
        int[] ids = Tool.Ints(JsonDocument.Parse(File.ReadAllText(Path.Combine(llama, "golden.json"))).RootElement.GetProperty("cases")[1].GetProperty("ids"));
        try
        {
            JsonElement json = (await Tool.RunAsync("eval", "logits", "--model", llama, "--tokens", Tool.List(ids), "--output", output, "--hidden", "--json")).Json;
            Assert.Equal(ids.Length, json.GetProperty("rows").GetInt32());
            GoldenTensors golden = new(Path.Combine(llama, "golden.safetensors")), written = new(output);
            Assert.Equal(["logits", "hidden.0", "hidden.1", "hidden.2"], written.Names);
            AssertClose(golden, "logits.1", written, "logits");
            for (int layer = 0; layer <= 2; layer++) AssertClose(golden, $"hidden.1.{layer}", written, $"hidden.{layer}");
        }
        finally
        {
            File.Delete(output);
        }
    }

    [Fact]
    public async Task Wrong_tokens_leave_no_file()
    {
        string output = Tool.Temporary(".safetensors");
        Tool run = await Tool.RunAsync("eval", "logits", "--model", Assets.Path("goldens", "models", "llama"), "--tokens", "1,160", "--output", output);
        Assert.Equal((1, "", "slipstream: The token 160 is not in the vocabulary of 160; ids run from 0 to 159.\n"), (run.Code, run.Out, run.Error));
        Assert.False(File.Exists(output));
    }

    [Fact]
    public async Task Perplexity_scores_each_token_once_on_exact_bytes()
    {
        string text = Tool.Temporary(".txt"), bom = Tool.Temporary(".txt"), logits = Tool.Temporary(".safetensors");
        const string Content = "The quick brown fox\r\njumps over the lazy dog.\n\nThen it sleeps.";
        try
        {
            File.WriteAllText(text, Content);
            File.WriteAllBytes(bom, [0xEF, 0xBB, 0xBF, .. File.ReadAllBytes(text)]);
            int[] ids = Tool.Ints((await Tool.RunAsync("tokenize", "--model", Assets.SmolLm2, "--text", Content, "--no-special-tokens", "--json")).Json.GetProperty("ids"));
            JsonElement json = (await Tool.RunAsync("eval", "perplexity", "--model", Assets.SmolLm2, "--text", bom, "--json")).Json;
            Assert.Equal((ids.Length, ids.Length - 1), (json.GetProperty("tokens").GetInt32(), json.GetProperty("scored").GetInt32()));
            Assert.Equal(Math.Exp(json.GetProperty("nll").GetDouble()), json.GetProperty("perplexity").GetDouble(), 1e-9);
            Assert.Equal(0, (await Tool.RunAsync("eval", "logits", "--model", Assets.SmolLm2, "--tokens", Tool.List(ids), "--output", logits)).Code);
            Assert.Equal(NegativeLogLikelihood(new GoldenTensors(logits), ids), json.GetProperty("nll").GetDouble(), 1e-4);
            JsonElement first = (await Tool.RunAsync("eval", "perplexity", "--model", Assets.SmolLm2, "--text", text, "--max-tokens", "9", "--window", "4", "--stride", "2", "--json")).Json;
            Assert.Equal((9, 8), (first.GetProperty("tokens").GetInt32(), first.GetProperty("scored").GetInt32()));
        }
        finally
        {
            File.Delete(text);
            File.Delete(bom);
            File.Delete(logits);
        }
    }

    [Fact]
    public async Task Inspect_plans_before_loading()
    {
        JsonElement json = (await Tool.RunAsync("inspect", "--model", Assets.SmolLm2, "--draft", Assets.SmolLm2, "--kv-memory", "64M", "--json")).Json;
        JsonElement memory = json.GetProperty("memory");
        // Whole blocks: 32 rows of keys and values, 30 layers, 3 heads of 64 floats.
        const long Block = 32L * 2 * 30 * 3 * 64 * 4;
        Assert.Equal((64 << 20) / Block * Block, memory.GetProperty("kv_bytes").GetInt64());
        Assert.Equal(json.GetProperty("tensors").EnumerateArray().Sum(tensor => tensor.GetProperty("bytes").GetInt64()), memory.GetProperty("weights_bytes").GetInt64());
        Assert.Equal(memory.GetProperty("weights_bytes").GetInt64(), memory.GetProperty("draft_bytes").GetInt64());
        foreach (string name in (string[])["draft_kv_bytes", "scratch_bytes", "runtime_bytes"]) Assert.True(memory.GetProperty(name).GetInt64() > 0, name);
        JsonElement embedding = json.GetProperty("tensors").EnumerateArray().Single(tensor => tensor.GetProperty("name").GetString() == "token_embd.weight");
        Assert.Equal(("Q8_0", "[49152,576]"), (embedding.GetProperty("format").GetString(), embedding.GetProperty("shape").GetRawText()));
        Assert.Equal(1, json.GetProperty("size_ratio").GetDouble());
        Assert.Contains("under 8", Assert.Single(json.GetProperty("warnings").EnumerateArray()).GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Chat_remembers_and_survives_mistakes()
    {
        Tool run = await Tool.RunWithInputAsync("What is the capital of France?\n/help\n/bogus\nAnd of Italy?\n/exit\nnever read\n", "chat", "--model", Assets.SmolLm2, "--activations", "f32", "--max-tokens", "20");
        string[] answers = run.Out.TrimEnd('\n').Split('\n');
        Assert.Equal("The capital of France is Paris.", answers[0]);
        // "And of Italy?" alone says nothing of capitals.
        Assert.Contains("Rome", answers[1], StringComparison.Ordinal);
        Assert.Equal(2, answers.Length);
        Assert.Contains("/clear", run.Error, StringComparison.Ordinal);
        Assert.Contains("'/bogus' is no command", run.Error, StringComparison.Ordinal);
        Assert.Equal(0, run.Code);
    }

    private static void AssertClose(GoldenTensors golden, string name, GoldenTensors written, string other)
    {
        Assert.Equal(golden.Shape(name), written.Shape(other));
        ReadOnlySpan<float> expected = golden.Floats(name), actual = written.Floats(other);
        for (int i = 0; i < expected.Length; i++) Assert.True(Math.Abs(expected[i] - actual[i]) <= 1e-4, $"{other}[{i}]: {expected[i]} and {actual[i]}");
    }

    private static double NegativeLogLikelihood(GoldenTensors file, int[] ids)
    {
        int vocabulary = file.Shape("logits")[1];
        ReadOnlySpan<float> logits = file.Floats("logits");
        double sum = 0;
        for (int row = 0; row + 1 < ids.Length; row++)
        {
            ReadOnlySpan<float> values = logits.Slice(row * vocabulary, vocabulary);
            double max = double.NegativeInfinity, total = 0;
            foreach (float value in values) max = Math.Max(max, value);
            foreach (float value in values) total += Math.Exp(value - max);
            sum += max + Math.Log(total) - values[ids[row + 1]];
        }
        return sum / (ids.Length - 1);
    }
}
