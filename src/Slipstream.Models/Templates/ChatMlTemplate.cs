using System.Text;

namespace Slipstream.Models;

/// <summary>ChatML: each message between <c>&lt;|im_start|&gt;</c> and <c>&lt;|im_end|&gt;</c> with its role on the first line. No system message is added.</summary>
internal sealed class ChatMlTemplate : ChatTemplate
{
    /// <summary>The template as most models' files have it.</summary>
    public const string Text =
        @"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        + @"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    private static readonly string Known = Canonical(Text);

    /// <summary>Whether a template is this one, be its line breaks written out or escaped, and with or without spaces inside its braces.</summary>
    public static bool Is(string template) => Canonical(template) == Known;

    public override string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true)
    {
        ArgumentNullException.ThrowIfNull(messages);
        StringBuilder text = new();
        Append(text, messages, addGenerationPrompt);
        return text.ToString();
    }

    /// <summary>Appends a conversation.</summary>
    /// <exception cref="SlipstreamException">A message has no role or no content.</exception>
    internal static void Append(StringBuilder text, IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt)
    {
        for (int i = 0; i < messages.Count; i++)
        {
            ChatMessage message = messages[i];
            if (message.Role is null || message.Content is null)
                throw new SlipstreamException($"Message {i + 1} of the conversation has no role or no content; give both.");
            Append(text, message.Role, message.Content);
        }
        if (addGenerationPrompt)
            text.Append("<|im_start|>assistant\n");
    }

    /// <summary>Appends one message.</summary>
    internal static void Append(StringBuilder text, string role, string content) =>
        text.Append("<|im_start|>").Append(role).Append('\n').Append(content).Append("<|im_end|>\n");

    // A line break inside a text of Jinja is the same written out and escaped; one outside a text makes the result another template's, and unequal.
    private static string Canonical(string template) => template
        .Replace("\n", @"\n", StringComparison.Ordinal)
        .Replace("{{ '", "{{'", StringComparison.Ordinal)
        .Replace("' }}", "'}}", StringComparison.Ordinal);
}
