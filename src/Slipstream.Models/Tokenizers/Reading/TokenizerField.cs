using System.Text.Json;

namespace Slipstream.Models;

/// <summary>A value of <c>tokenizer.json</c> with its place in the file, so that every failure says where it is.</summary>
/// <param name="Value">The value.</param>
/// <param name="Source">The file.</param>
/// <param name="Place">The path of fields that leads to it, empty for the whole file.</param>
internal readonly record struct TokenizerField(JsonElement Value, string Source, string Place)
{
    /// <summary>A failure about this value: one sentence.</summary>
    public SlipstreamException Invalid(string problem) =>
        new(Place.Length == 0 ? $"'{Source}' {problem}." : $"'{Source}': the field '{Place}' {problem}.");

    /// <summary>A failure that refuses a kind of tokenizer by its name.</summary>
    public SlipstreamException Unsupported(string what) =>
        Invalid($"asks for {what}, which is not supported (only byte-level BPE is); give token ids instead of text");

    /// <summary>A field of this object, or null where it is absent or null.</summary>
    public TokenizerField? Find(string name)
    {
        if (Value.ValueKind != JsonValueKind.Object)
            throw Invalid("must be an object");
        return Value.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null
            ? new TokenizerField(value, Source, Place.Length == 0 ? name : $"{Place}.{name}")
            : null;
    }

    public TokenizerField Get(string name) => Find(name) ?? throw Invalid($"has no '{name}'");

    public string Text()
    {
        if (Value.ValueKind != JsonValueKind.String)
            throw Invalid("must be a text");
        try
        {
            return Value.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw new SlipstreamException($"'{Source}': the field '{Place}' is no valid Unicode text.", e);
        }
    }

    public bool Flag() => Value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Invalid("must be true or false"),
    };

    /// <summary>A flag of this object.</summary>
    public bool Flag(string name, bool fallback) => Find(name)?.Flag() ?? fallback;

    /// <summary>A whole number from 0.</summary>
    public int Id() => Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out int id) && id >= 0
        ? id
        : throw Invalid($"must be a token id from 0 to {int.MaxValue}, not {Shortened(Value.GetRawText())}");

    /// <summary>The elements of this list.</summary>
    public IEnumerable<TokenizerField> Items()
    {
        if (Value.ValueKind != JsonValueKind.Array)
            throw Invalid("must be a list");
        int index = 0;
        foreach (JsonElement item in Value.EnumerateArray())
            yield return new TokenizerField(item, Source, $"{Place}[{index++}]");
    }

    /// <summary>A text for a message, not endless.</summary>
    public static string Shortened(string text) => text.Length <= 60 ? text : $"{text[..57]}…";
}
