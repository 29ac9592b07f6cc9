using System.Text.Json;

namespace Slipstream.Distillation.Tests.Commands;

/// <summary><c>slipstream-train distill measure</c> as a process, on the default pair.</summary>
public sealed class DistillMeasureCommandTests
{
    private static readonly string Models = Path.Combine(AppContext.BaseDirectory, "default-model");
    private static readonly string[] Short = ["--draft-lengths", "1-2", "--measure-temperatures", "0,0.8", "--max-tokens", "24", "--repeat", "1", "--threads", "1"];

    [Fact]
    public async Task A_pair_is_measured_and_judged()
    {
        using TorchFixture.Folder folder = new();
        File.WriteAllLines(folder["prompts.jsonl"], ["{\"prompt\": \"Once upon a time\"}", "{\"chat\": \"Tell me a story about a fox.\"}"]);
        string target = Path.Combine(Models, "target.gguf"), draft = Path.Combine(Models, "draft.gguf");
        string[] measure = ["distill", "measure", "--target", target, "--draft", $"shipped={draft}", "--draft", draft, "--prompts", folder["prompts.jsonl"], .. Short];

        (int code, string output, string error) = await TrainerProcess.Run([.. measure, "--json"]);
        Assert.True(code == 0, error);
        Assert.Contains("measured 2 of 2 prompts", error, StringComparison.Ordinal);
        using JsonDocument json = JsonDocument.Parse(output);
        Assert.Equal((target, 2), (json.RootElement.GetProperty("target").GetString(), json.RootElement.GetProperty("prompts").GetInt32()));
        JsonElement[] drafts = [.. json.RootElement.GetProperty("drafts").EnumerateArray()];
        Assert.Equal(["shipped", "draft.gguf"], drafts.Select(d => d.GetProperty("name").GetString()));
        // The same draft twice: what does not depend on the clock is equal.
        Assert.Equal(Acceptances(drafts[0]), Acceptances(drafts[1]));
        Assert.Equal(4, Acceptances(drafts[0]).Length);
        Assert.All(Acceptances(drafts[0]), value => Assert.InRange(value, 0.3, 1));

        (code, output, error) = await TrainerProcess.Run(measure);
        Assert.True(code == 0, error);
        Assert.Contains("| shipped", output, StringComparison.Ordinal);
        Assert.Contains("shipped: ", output, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', output);
    }

    [Theory]
    [InlineData("nowhere.gguf", null, "nowhere.gguf")]
    [InlineData(null, "nowhere.jsonl", "nowhere.jsonl")]
    public async Task A_mistake_is_one_sentence(string? draft, string? prompts, string part)
    {
        using TorchFixture.Folder folder = new();
        File.WriteAllText(folder["prompts.jsonl"], "{\"prompt\": \"Once\"}\n");
        string target = Path.Combine(Models, "target.gguf");
        (int code, string output, string error) = await TrainerProcess.Run(["distill", "measure", "--target", target, "--draft", draft ?? Path.Combine(Models, "draft.gguf"), "--prompts", prompts ?? folder["prompts.jsonl"], .. Short]);
        Assert.NotEqual(0, code);
        Assert.Equal("", output);
        Assert.Contains(part, error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    private static double[] Acceptances(JsonElement draft) => [.. draft.GetProperty("lines").EnumerateArray().Select(line => line.GetProperty("acceptance_rate").GetDouble())];
}
