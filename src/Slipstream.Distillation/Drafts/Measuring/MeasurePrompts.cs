using System.Text.Json;
using Slipstream.Models;

namespace Slipstream.Distillation.Drafts.Measuring;

/// <summary>The prompts that drafts are measured on.</summary>
internal static class MeasurePrompts
{
    /// <summary>Reads a file with a JSON object a line: <c>prompt</c> (a text), or <c>chat</c> (a text, or a list of <c>{"role", "content"}</c>) with <c>system</c> beside it. Other fields are not looked at.</summary>
    /// <exception cref="SlipstreamException">It cannot be read, has no prompt, or a line is wrong.</exception>
    public static List<Prompt> Read(string path)
    {
        List<Prompt> prompts = [];
        try
        {
            int number = 0;
            foreach (string line in File.ReadLines(path))
            {
                number++;
                if (string.IsNullOrWhiteSpace(line)) continue;
                try
                {
                    using JsonDocument document = JsonDocument.Parse(line);
                    prompts.Add(Of(document.RootElement));
                }
                catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
                {
                    throw new SlipstreamException($"'{path}', line {number}: the line is no JSON object with a text 'prompt' or a 'chat'.", e);
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"'{path}' cannot be read: {e.Message.TrimEnd('.')}.", e);
        }
        return prompts.Count > 0 ? prompts : throw new SlipstreamException($"'{path}' has no prompts; give a file with a JSON object a line.");
    }

    /// <summary>The first tokens of evenly spread windows of a held-out text.</summary>
    /// <param name="heldOut">Its tokens.</param>
    /// <param name="count">How many prompts, at most.</param>
    /// <param name="length">Tokens of a prompt.</param>
    /// <exception cref="SlipstreamException">There are too few tokens for one prompt.</exception>
    public static List<Prompt> FromTokens(ReadOnlySpan<int> heldOut, int count, int length)
    {
        int available = heldOut.Length / length;
        if (available == 0) throw new SlipstreamException($"The held-out text has {heldOut.Length} tokens, fewer than a prompt of {length}; give --prompts, or hold out more text.");
        List<Prompt> prompts = [];
        int wanted = Math.Min(count, available);
        for (int i = 0; i < wanted; i++) prompts.Add(Prompt.Tokens(heldOut.Slice((int)((long)i * available / wanted) * length, length).ToArray()));
        return prompts;
    }

    private static Prompt Of(JsonElement line)
    {
        if (line.TryGetProperty("prompt", out JsonElement prompt)) return Prompt.Text(prompt.GetString()!);
        JsonElement chat = line.GetProperty("chat");
        if (chat.ValueKind == JsonValueKind.String) return Prompt.Chat(chat.GetString()!, line.TryGetProperty("system", out JsonElement system) ? system.GetString() : null);
        return Prompt.Chat([.. chat.EnumerateArray().Select(message => new ChatMessage(message.GetProperty("role").GetString()!, message.GetProperty("content").GetString()!))]);
    }
}
