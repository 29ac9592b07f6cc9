using System.Text.Json;
using Slipstream.Models;
using Slipstream.Tests.Tokenizers;

namespace Slipstream.Tests.Templates;

public sealed class ChatTemplatesTests
{
    [Fact]
    public void Adds_the_default_system_message_only_where_the_conversation_has_none()
    {
        ChatTemplate template = ChatTemplates.From(SmolLm2Template.Text, "model");
        Assert.Equal(
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
            template.Render([new ChatMessage("user", "Hi")]));
        Assert.Equal(
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n",
            template.Render([new ChatMessage("system", "S"), new ChatMessage("user", "Hi")], addGenerationPrompt: false));
    }

    [Fact]
    public void ChatML_is_known_in_its_usual_spellings_and_adds_no_system_message()
    {
        string spaced = ChatMlTemplate.Text.Replace("{{'", "{{ '", StringComparison.Ordinal).Replace("'}}", "' }}", StringComparison.Ordinal);
        foreach (string text in (string[])[ChatMlTemplate.Text, spaced, ChatMlTemplate.Text.Replace(@"\n", "\n", StringComparison.Ordinal), spaced + "\n"])
        {
            ChatTemplate template = ChatTemplates.From(text, "model");
            Assert.Equal("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", template.Render([new ChatMessage("user", "Hi")]));
            Assert.Equal("<|im_start|>system\nS<|im_end|>\n", template.Render([new ChatMessage("system", "S")], addGenerationPrompt: false));
            Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => template.Render([new ChatMessage("user", null!)])), "Message 1");
        }
        Assert.Throws<SlipstreamException>(() => ChatTemplates.From(ChatMlTemplate.Text.Replace("{% endfor %}", "\n{% endfor %}", StringComparison.Ordinal), "model"));
    }

    [Fact]
    public void A_message_without_content_is_refused() =>
        Failures.AssertSentence(Assert.Throws<SlipstreamException>(() =>
            ChatTemplates.From(SmolLm2Template.Text, "model").Render([new ChatMessage("user", "Hi"), new ChatMessage("assistant", null!)])), "Message 2");

    [Fact]
    public void No_template_and_other_templates_are_refused_in_one_sentence()
    {
        Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => ChatTemplates.From(null, "model.gguf")), "model.gguf", "--prompt");
        foreach (string text in (string[])["", "{% for m in x %}\nsecond line", SmolLm2Template.Text + " ", new string('x', 1_000_000)])
            Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => ChatTemplates.From(text, "model.gguf")), "model.gguf", "--prompt");
    }

    [Fact]
    public void Is_found_in_a_folder_and_in_a_gguf()
    {
        string folder = Directory.CreateTempSubdirectory("slipstream").FullName;
        try
        {
            Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => ChatTemplates.FromFolder(folder)), folder, "--prompt");
            string config = Path.Combine(folder, "tokenizer_config.json");
            File.WriteAllText(config, JsonSerializer.Serialize(new { chat_template = SmolLm2Template.Text }));
            Assert.NotNull(ChatTemplates.FromFolder(folder));
            File.WriteAllText(config, JsonSerializer.Serialize(new { chat_template = new[] { new { name = "tool", template = "x" }, new { name = "default", template = SmolLm2Template.Text } } }));
            Assert.NotNull(ChatTemplates.FromFolder(folder));
            File.WriteAllText(config, """{"chat_template":[{"name":"tool","template":"x"}]}""");
            Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => ChatTemplates.FromFolder(folder)), "tokenizer_config.json", "default");
            File.WriteAllText(Path.Combine(folder, "chat_template.jinja"), SmolLm2Template.Text + "\n");
            Assert.NotNull(ChatTemplates.FromFolder(folder));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
        Assert.NotNull(ChatTemplates.FromGguf(new FakeMetadata(new() { ["tokenizer.chat_template"] = SmolLm2Template.Text })));
        Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => ChatTemplates.FromGguf(new FakeMetadata([]))), "tiny.gguf");
    }
}
