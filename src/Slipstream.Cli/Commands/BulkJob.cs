using System.Text.Json;
using Slipstream.Cli.Input;
using Slipstream.Cli.Options;
using Slipstream.Models;

namespace Slipstream.Cli.Commands;

/// <summary>One request of a file.</summary>
/// <param name="Line">Its line, from 1.</param>
/// <param name="Prompt">What to continue.</param>
/// <param name="Settings">The command line's options with the line's own over them.</param>
internal sealed record BulkRequest(int Line, Prompt Prompt, RequestSettings Settings);

/// <summary>A file of requests, wholly checked before anything is generated.</summary>
internal sealed class BulkJob
{
    private BulkJob(string path, IReadOnlyList<BulkRequest> requests) => (Path, Requests) = (path, requests);

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The requests in order.</summary>
    public IReadOnlyList<BulkRequest> Requests { get; }

    /// <summary>The longest draft length asked for.</summary>
    public int DraftLength => Requests.Count == 0 ? 0 : Requests.Max(request => request.Settings.DraftLength);

    /// <summary>Reads a file's text.</summary>
    /// <exception cref="UsageException">A line is no request; file and line are named.</exception>
    public static BulkJob Read(string path, string text, RequestSettings defaults)
    {
        List<BulkRequest> requests = [];
        foreach (string line in JsonLine.Split(text))
        {
            try
            {
                using JsonDocument document = JsonLine.Parse(line);
                (Prompt prompt, RequestSettings settings) = ReadRequest(document.RootElement);
                requests.Add(new BulkRequest(requests.Count + 1, prompt, defaults.With(settings)));
            }
            catch (UsageException e)
            {
                throw new UsageException(At(path, requests.Count + 1, e.Message));
            }
        }
        return new BulkJob(path, requests);
    }

    /// <summary>A message about a line.</summary>
    public static string At(string path, int line, string message) => $"'{path}' line {line}: {message}";

    private static (Prompt Prompt, RequestSettings Settings) ReadRequest(JsonElement root)
    {
        RequestSettings settings = new();
        Prompt? prompt = null;
        string? source = null, system = null;
        JsonElement chat = default;
        foreach (JsonProperty property in root.EnumerateObject())
        {
            switch (property.Name)
            {
                case "prompt" or "chat" or "prompt_tokens":
                    if (source is not null) throw new UsageException($"'{source}' and '{property.Name}' cannot be used together; give one of them.");
                    source = property.Name;
                    if (source == "prompt") prompt = Prompt.Text(Text(source, property.Value));
                    else if (source == "prompt_tokens") prompt = Prompt.Tokens(Tokens(source, property.Value));
                    else chat = property.Value;
                    break;
                case "system":
                    system = Text("system", property.Value);
                    break;
                default:
                    RequestField field = RequestFields.Find(property.Name)
                        ?? throw new UsageException($"the field '{property.Name}' is not known; known are prompt, chat, system, prompt_tokens, {string.Join(", ", RequestFields.All.Select(known => known.JsonName))}.");
                    settings.Add(field.Read(property.Value));
                    break;
            }
        }
        if (source is null) throw new UsageException("the line has no prompt; give one of prompt, chat and prompt_tokens.");
        if (system is not null && source != "chat") throw new UsageException("'system' needs 'chat'.");
        return (prompt ?? Chat(chat, system), settings);
    }

    private static string Text(string name, JsonElement json) => json.ValueKind == JsonValueKind.String ? JsonText.Get(json) : throw new UsageException($"{name} must be a text.");

    private static IReadOnlyList<int> Tokens(string name, JsonElement json)
        => json.ValueKind == JsonValueKind.Array && json.GetArrayLength() > 0 ? TokensValue.ReadList(name, json) : throw new UsageException($"{name} must be a list of at least one token id.");

    /// <summary>A message, or a conversation of <c>{"role", "content"}</c>.</summary>
    private static Prompt Chat(JsonElement json, string? system)
    {
        if (json.ValueKind == JsonValueKind.String) return Prompt.Chat(JsonText.Get(json), system);
        if (json.ValueKind != JsonValueKind.Array || json.GetArrayLength() == 0) throw new UsageException("chat must be a text or a list of messages.");
        List<ChatMessage> messages = system is null ? [] : [new ChatMessage("system", system)];
        foreach (JsonElement message in json.EnumerateArray())
        {
            if (message.ValueKind != JsonValueKind.Object) throw new UsageException("a message of chat must be an object with role and content.");
            string? role = null, content = null;
            foreach (JsonProperty property in message.EnumerateObject())
            {
                if (property.Name == "role") role = Text("role", property.Value);
                else if (property.Name == "content") content = Text("content", property.Value);
                else throw new UsageException($"a message of chat has the field '{property.Name}'; it must have role and content alone.");
            }
            if (role is not ("system" or "user" or "assistant")) throw new UsageException("the role of a message must be system, user or assistant.");
            messages.Add(new ChatMessage(role, content ?? throw new UsageException("a message of chat has no content.")));
        }
        return Prompt.Chat(messages);
    }
}
