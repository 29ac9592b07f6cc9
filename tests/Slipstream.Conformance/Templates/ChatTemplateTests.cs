using System.Text.Json;
using Slipstream.Models;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Templates;

public sealed class ChatTemplateTests
{
    private static readonly Lazy<ChatTemplate> Template = new(() => Open("24-smollm2.jinja"));

    [Theory]
    [InlineData("24-smollm2.jinja", 14)]
    [InlineData("01-chatml.jinja", 12)]
    public void Renders_as_the_reference(string file, int expected)
    {
        ChatTemplate template = Open(file);
        int rows = 0;
        foreach (string line in File.ReadLines(Assets.Path("goldens", "templates", "cases.jsonl")))
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement row = document.RootElement;
            if (row.GetProperty("template").GetString() != file)
                continue;
            rows++;
            JsonElement input = row.GetProperty("input");
            ChatMessage[] messages = [.. input.GetProperty("messages").EnumerateArray().Select(message =>
                new ChatMessage(message.GetProperty("role").GetString()!, message.TryGetProperty("content", out JsonElement content) ? content.GetString()! : null!))];
            bool open = input.GetProperty("add_generation_prompt").GetBoolean();
            if (row.TryGetProperty("error", out _))
                Assert.Throws<SlipstreamException>(() => template.Render(messages, open));
            else
                Assert.Equal(row.GetProperty("output").GetString(), template.Render(messages, open));
        }
        Assert.Equal(expected, rows);
    }

    [Fact]
    public void Renders_the_prompts_of_the_real_model()
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Assets.Path("goldens", "real", "smollm2-135m.json")));
        int rows = 0;
        foreach (JsonElement row in document.RootElement.GetProperty("cases").EnumerateArray())
        {
            if (row.GetProperty("kind").GetString() != "chat")
                continue;
            rows++;
            List<ChatMessage> messages = [new("user", row.GetProperty("text").GetString()!)];
            if (row.GetProperty("system").GetString() is { } system)
                messages.Insert(0, new ChatMessage("system", system));
            Assert.Equal(row.GetProperty("rendered").GetString(), Template.Value.Render(messages));
        }
        Assert.True(rows > 0);
    }

    private static ChatTemplate Open(string file) => ChatTemplates.From(File.ReadAllText(Assets.Path("goldens", "templates", file)), file);
}
