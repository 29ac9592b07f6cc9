using System.Text.Json;

namespace Slipstream.Models;

/// <summary>Finds which tokens begin and end a text, in the files beside <c>tokenizer.json</c>.</summary>
internal static class SpecialTokenFiles
{
    /// <summary>The begin and end tokens: by their texts in <c>tokenizer_config.json</c>, else by their ids in <c>generation_config.json</c> or <c>config.json</c>.</summary>
    public static (int? Begin, int? End) Read(string folder, Tokenizer tokenizer)
    {
        int? begin = null, end = null;
        if (Open(folder, "tokenizer_config.json") is { } config)
            (begin, end) = (FromText(config, "bos_token", tokenizer), FromText(config, "eos_token", tokenizer));
        foreach (string name in (string[])["generation_config.json", "config.json"])
            if ((begin is null || end is null) && Open(folder, name) is { } ids)
            {
                begin ??= FromId(ids, "bos_token_id", tokenizer);
                end ??= FromId(ids, "eos_token_id", tokenizer);
            }
        return (begin, end);
    }

    /// <summary>A JSON file of a folder, or null where it is absent.</summary>
    /// <exception cref="SlipstreamException">It is no JSON, or no object.</exception>
    public static TokenizerField? Open(string folder, string name)
    {
        string path = Path.Combine(folder, name);
        if (!File.Exists(path))
            return null;
        try
        {
            using FileStream stream = File.OpenRead(path);
            using JsonDocument document = JsonDocument.Parse(stream);
            TokenizerField root = new(document.RootElement.Clone(), path, "");
            return root.Value.ValueKind == JsonValueKind.Object ? root : throw root.Invalid("must be an object");
        }
        catch (Exception e) when (e is JsonException or ArgumentException or IOException or UnauthorizedAccessException)
        {
            throw e is JsonException json ? JsonFile.NotJson(path, json) : new SlipstreamException($"'{path}' cannot be read as JSON: {e.Message}", e);
        }
    }

    // A text, or an object with its text.
    private static int? FromText(TokenizerField config, string name, Tokenizer tokenizer)
    {
        if (config.Find(name) is not { } field)
            return null;
        string text = field.Value.ValueKind == JsonValueKind.Object ? field.Get("content").Text() : field.Text();
        return tokenizer.TokenId(text) ?? throw field.Invalid($"names '{TokenizerField.Shortened(text)}', which the tokenizer does not have");
    }

    // An id, or a list of them, of which the first is taken.
    private static int? FromId(TokenizerField config, string name, Tokenizer tokenizer)
    {
        if (config.Find(name) is not { } field)
            return null;
        if (field.Value.ValueKind == JsonValueKind.Array)
        {
            if (field.Value.GetArrayLength() == 0)
                return null;
            field = field.Items().First();
        }
        int id = field.Id();
        return id < tokenizer.VocabularySize ? id : throw field.Invalid($"is {id}, but the tokenizer has only {tokenizer.VocabularySize} tokens");
    }
}
