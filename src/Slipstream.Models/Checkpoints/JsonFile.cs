using System.Text.Json;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>Reads a JSON file whose root must be an object.</summary>
internal static class JsonFile
{
    private const int Deepest = 64;

    /// <summary>Parses a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="longest">The most bytes it may have: parsing costs a multiple of them in memory.</param>
    /// <param name="duplicates">Whether a name may occur twice; the last one counts, as in Python.</param>
    /// <exception cref="SlipstreamException">The file cannot be read or is no such JSON.</exception>
    public static JsonElement ReadObject(string path, int longest, bool duplicates)
    {
        using MappedFile file = new(path);
        if (file.Length > longest)
            throw new SlipstreamException($"'{path}' has {file.Length} bytes, more than the {longest} a file of its kind may have; check that it is the right file.");
        ReadOnlySpan<byte> json = file.Length == 0 ? default : file.Region.Span(0, (int)file.Length);
        LfsPointer.Refuse(path, json);
        if (json.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF])) json = json[3..];
        if (json.Trim(" \t\r\n"u8).IsEmpty)
            throw new SlipstreamException($"'{path}' is empty; download it again.");
        if (!System.Text.Unicode.Utf8.IsValid(json))
            throw new SlipstreamException($"'{path}' is not valid UTF-8 text; download it again or save it as UTF-8.");
        JsonElement root;
        try
        {
            root = JsonElement.Parse(json, new JsonDocumentOptions { MaxDepth = Deepest, AllowDuplicateProperties = duplicates });
        }
        catch (JsonException e)
        {
            throw NotJson(path, e);
        }
        return root.ValueKind == JsonValueKind.Object
            ? root
            : throw new SlipstreamException($"'{path}' holds {Kind(root)} where a JSON object was expected; check that it is the right file.");
    }

    /// <summary>The failure to parse a file: one sentence with the place, in none of the parser's own words.</summary>
    public static SlipstreamException NotJson(string path, JsonException failure)
    {
        // A name given twice is the one failure without a place.
        string place = failure.LineNumber is null ? "a name occurs twice in it" : $"line {failure.LineNumber + 1}, byte {failure.BytePositionInLine + 1}";
        return new SlipstreamException($"'{path}' is not valid JSON ({place}); download it again or correct it.", failure);
    }

    /// <summary>What a value is, for messages.</summary>
    public static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "a boolean",
        _ => "null",
    };
}
