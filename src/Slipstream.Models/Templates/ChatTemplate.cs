namespace Slipstream.Models;

/// <summary>One message of a conversation.</summary>
/// <param name="Role"><c>system</c>, <c>user</c> or <c>assistant</c>.</param>
/// <param name="Content">Its text.</param>
public sealed record ChatMessage(string Role, string Content);

/// <summary>Turns a conversation into the text a model was trained on.</summary>
public abstract class ChatTemplate
{
    /// <summary>Renders the conversation.</summary>
    /// <param name="messages">At least one message, oldest first.</param>
    /// <param name="addGenerationPrompt">Whether to open the assistant's turn.</param>
    /// <exception cref="SlipstreamException">The template does not take such a conversation.</exception>
    public abstract string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true);
}
