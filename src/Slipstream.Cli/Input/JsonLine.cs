using System.Text.Json;

namespace Slipstream.Cli.Input;

/// <summary>Lines of JSON objects.</summary>
internal static class JsonLine
{
    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 32, AllowDuplicateProperties = false };

    /// <summary>The lines of a text; the line break at its end begins no further line.</summary>
    public static List<string> Split(string text)
    {
        List<string> lines = [.. text.Split('\n')];
        if (lines[^1].Length == 0) lines.RemoveAt(lines.Count - 1);
        return lines;
    }

    /// <summary>Reads one line.</summary>
    /// <exception cref="UsageException">It is no object, or a field is given twice.</exception>
    public static JsonDocument Parse(string line)
    {
        if (string.IsNullOrWhiteSpace(line)) throw new UsageException("the line is empty; it must be a JSON object.");
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(line, Options);
        }
        catch (JsonException e)
        {
            throw new UsageException($"the line is no JSON object ({Reason(e)}).");
        }
        if (document.RootElement.ValueKind == JsonValueKind.Object) return document;
        document.Dispose();
        throw new UsageException("the line is no JSON object.");
    }

    /// <summary>What the parser says, without its own account of lines.</summary>
    private static string Reason(JsonException e)
    {
        int end = e.Message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        string reason = (end < 0 ? e.Message : e.Message[..end]).TrimEnd('.');
        return e.BytePositionInLine is { } at ? $"{reason}, at byte {at}" : reason;
    }
}
