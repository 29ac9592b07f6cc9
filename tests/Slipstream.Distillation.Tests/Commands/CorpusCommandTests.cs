using System.Text.Json;
using Slipstream.Distillation.Tests.Corpus;

namespace Slipstream.Distillation.Tests.Commands;

/// <summary><c>slipstream-train corpus</c> as a process: from word lists to prompts, and from answers to a text.</summary>
public sealed class CorpusCommandTests
{
    [Fact]
    public async Task Prompts_and_their_answers_become_a_text()
    {
        using TorchFixture.Folder folder = new();
        (int code, string output, string error) = await TrainerProcess.Run(["corpus", "prompts", "--count", "6", "--output", folder["prompts.jsonl"]]);
        Assert.True(code == 0, error);
        Assert.Equal("", output);
        string[] prompts = File.ReadAllLines(folder["prompts.jsonl"]);
        Assert.Equal(6, prompts.Distinct().Count());

        // Prompts that are held out do not come again.
        (code, _, error) = await TrainerProcess.Run(["corpus", "prompts", "--count", "6", "--exclude", folder["prompts.jsonl"], "--output", folder["others.jsonl"]]);
        Assert.True(code == 0, error);
        Assert.Empty(Chats(prompts).Intersect(Chats(File.ReadAllLines(folder["others.jsonl"]))));

        // The last answer is still being written.
        IEnumerable<string> answers = prompts.Take(5).Select((prompt, i) => JsonSerializer.Serialize(new { text = $"{StoryTextTests.Story} It was day {i}.", finish_reason = "stop", seed = Field(prompt, "seed").GetUInt64() }));
        File.WriteAllText(folder["answers.jsonl"], string.Join('\n', answers) + "\n{\"text\": \"Once the");
        string[] text = ["corpus", "text", "--prompts", folder["prompts.jsonl"], "--answers", folder["answers.jsonl"], "--output", folder["stories.txt"]];
        (code, output, error) = await TrainerProcess.Run([.. text, "--json"]);
        Assert.True(code == 0, error);
        using JsonDocument report = JsonDocument.Parse(output);
        Assert.Equal(5, report.RootElement.GetProperty("documents").GetInt32());
        string stories = File.ReadAllText(folder["stories.txt"]);
        for (int i = 0; i < 5; i++) Assert.Contains($"It was day {i}.", stories, StringComparison.Ordinal);
        Assert.DoesNotContain("Once the", stories.Replace("Once there", "", StringComparison.Ordinal), StringComparison.Ordinal);

        // What was there stays where a mistake is found; no temporary file is left.
        File.WriteAllLines(folder["answers.jsonl"], [JsonSerializer.Serialize(new { text = StoryTextTests.Story, finish_reason = "stop", seed = 1UL << 60 })]);
        (code, output, error) = await TrainerProcess.Run(text);
        Assert.NotEqual(0, code);
        Assert.Equal("", output);
        Assert.Contains("answers another prompt", error, StringComparison.Ordinal);
        Assert.Equal(stories, File.ReadAllText(folder["stories.txt"]));
        Assert.Equal(4, Directory.GetFiles(Path.GetDirectoryName(folder["stories.txt"])!).Length);
    }

    private static IEnumerable<string> Chats(string[] prompts) => prompts.Select(prompt => Field(prompt, "chat").GetString()!);

    private static JsonElement Field(string line, string name)
    {
        using JsonDocument document = JsonDocument.Parse(line);
        return document.RootElement.GetProperty(name).Clone();
    }
}
