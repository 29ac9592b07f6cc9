using Slipstream.Models;

namespace Slipstream;

/// <summary>What to continue: a text, a conversation or token ids.</summary>
public sealed class Prompt
{
    private Prompt() { }

    internal string? Plain { get; private init; }

    internal IReadOnlyList<ChatMessage>? Messages { get; private init; }

    internal IReadOnlyList<int>? Ids { get; private init; }

    /// <summary>A text to continue.</summary>
    public static Prompt Text(string text) => new() { Plain = text };

    /// <summary>A conversation whose next turn is the model's.</summary>
    public static Prompt Chat(params IReadOnlyList<ChatMessage> messages) => new() { Messages = messages };

    /// <summary>One question, with an optional system message (null leaves it to the model's template).</summary>
    public static Prompt Chat(string user, string? system = null)
        => Chat(system is null ? [new ChatMessage("user", user)] : [new ChatMessage("system", system), new ChatMessage("user", user)]);

    /// <summary>Token ids, which need no tokenizer.</summary>
    public static Prompt Tokens(IReadOnlyList<int> ids) => new() { Ids = ids };

    /// <summary>A text to continue.</summary>
    public static implicit operator Prompt(string text) => Text(text);

    /// <summary>A text to continue.</summary>
    public static Prompt FromString(string text) => Text(text);
}
