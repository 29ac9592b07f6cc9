using System.Text;

namespace Slipstream.Models;

/// <summary>The chat format of SmolLM2-Instruct: ChatML, with a system message of its own where the conversation does not begin with one.</summary>
internal sealed class SmolLm2Template : ChatTemplate
{
    private const string DefaultSystem = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";

    /// <summary>The template as the model's files have it.</summary>
    public const string Text =
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
        + DefaultSystem + "<|im_end|>\n"
        + "' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n"
        + "' + message['content'] + '<|im_end|>' + '\n"
        + "'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n"
        + "' }}{% endif %}";

    public override string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true)
    {
        ArgumentNullException.ThrowIfNull(messages);
        StringBuilder text = new();
        if (messages.Count > 0 && messages[0].Role != "system")
            ChatMlTemplate.Append(text, "system", DefaultSystem);
        ChatMlTemplate.Append(text, messages, addGenerationPrompt);
        return text.ToString();
    }
}
