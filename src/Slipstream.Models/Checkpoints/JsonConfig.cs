using System.Globalization;
using System.Text.Json;

namespace Slipstream.Models;

/// <summary>A JSON file such as <c>config.json</c> or <c>generation_config.json</c>. Immutable; safe from several threads.</summary>
public sealed class JsonConfig : ConfigReader
{
    private const int LongestFile = 16 << 20;

    private readonly JsonElement _root;
    private readonly string _prefix;

    private JsonConfig(string source, JsonElement root, string prefix)
    {
        Source = source;
        _root = root;
        _prefix = prefix;
    }

    /// <summary>Reads a file of at most 16 MiB, with or without a UTF-8 byte order mark. Of a name that occurs twice the last value counts, as in Python.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="SlipstreamException">The file cannot be read, is not UTF-8, not JSON, nested deeper than 64, or no object.</exception>
    public static JsonConfig Open(string path) => new(path, JsonFile.ReadObject(path, LongestFile, duplicates: true), "");

    /// <inheritdoc/>
    public override string Source { get; }

    /// <inheritdoc/>
    public override bool Has(string field) => TryGet(field, out _);

    /// <inheritdoc/>
    public override int Int32(string field, int? fallback = null, int min = 1, int max = int.MaxValue)
    {
        if (!TryGet(field, out JsonElement value)) return fallback ?? throw Missing(field);
        int number = Whole(field, value);
        return number >= min && number <= max ? number : throw Invalid(field, ConfigProblem.OutOfRange(number, min, max));
    }

    /// <inheritdoc/>
    public override double Double(string field, double? fallback = null, double min = double.MinValue)
    {
        if (!TryGet(field, out JsonElement value)) return fallback ?? throw Missing(field);
        if (value.ValueKind != JsonValueKind.Number) throw Wrong(field, value, "a number");
        double number = value.GetDouble();
        if (!double.IsFinite(number)) throw Invalid(field, $"is {Raw(value)}, which is too large for a number");
        return number >= min ? number : throw Invalid(field, ConfigProblem.TooSmall(number, min));
    }

    /// <inheritdoc/>
    public override bool Flag(string field, bool? fallback = null)
    {
        if (!TryGet(field, out JsonElement value)) return fallback ?? throw Missing(field);
        return value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(field, value, "true or false");
    }

    /// <inheritdoc/>
    public override string? Text(string field)
    {
        if (!TryGet(field, out JsonElement value)) return null;
        return value.ValueKind == JsonValueKind.String ? Decode(field, value) : throw Wrong(field, value, "a text");
    }

    /// <inheritdoc/>
    public override IReadOnlyList<string>? Texts(string field)
    {
        if (!TryGet(field, out JsonElement value)) return null;
        if (value.ValueKind != JsonValueKind.Array) throw Wrong(field, value, "a list of texts");
        string[] texts = new string[value.GetArrayLength()];
        int count = 0;
        foreach (JsonElement item in value.EnumerateArray())
            texts[count++] = item.ValueKind == JsonValueKind.String ? Decode(field, item) : throw Invalid(field, $"has {JsonFile.Kind(item)} in it where a text was expected");
        return texts;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<int> Int32s(string field)
    {
        if (!TryGet(field, out JsonElement value)) return [];
        if (value.ValueKind != JsonValueKind.Array) return [Whole(field, value)];
        int[] numbers = new int[value.GetArrayLength()];
        int count = 0;
        foreach (JsonElement item in value.EnumerateArray()) numbers[count++] = Whole(field, item);
        return numbers;
    }

    /// <inheritdoc/>
    public override ConfigReader? Section(string field)
    {
        if (!TryGet(field, out JsonElement value)) return null;
        return value.ValueKind == JsonValueKind.Object ? new JsonConfig(Source, value, $"{_prefix}{field}.") : throw Wrong(field, value, "an object");
    }

    /// <inheritdoc/>
    public override SlipstreamException Invalid(string field, string problem) => base.Invalid(_prefix + field, problem);

    private bool TryGet(string field, out JsonElement value) => _root.TryGetProperty(field, out value) && value.ValueKind != JsonValueKind.Null;

    // A whole number may be written as 4096.0 or 4e3: some exporters do.
    private int Whole(string field, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Number) throw Wrong(field, value, "a whole number");
        if (value.TryGetInt32(out int number)) return number;
        double real = value.GetDouble();
        if (real != Math.Truncate(real)) throw Invalid(field, $"is {Raw(value)} where a whole number was expected");
        return Math.Abs(real) <= int.MaxValue ? (int)real : throw Invalid(field, $"is {Raw(value)}, which does not fit 32 bits");
    }

    private string Decode(string field, JsonElement value)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw Invalid(field, "has half a surrogate pair in its text; correct the file");
        }
    }

    private static string Raw(JsonElement value) => MessageText.Clip(value.GetRawText());

    private SlipstreamException Missing(string field) => Invalid(field, ConfigProblem.Missing);

    private SlipstreamException Wrong(string field, JsonElement value, string expected) => Invalid(field, $"is {JsonFile.Kind(value)} where {expected} was expected");
}

/// <summary>The wording that all readers share.</summary>
internal static class ConfigProblem
{
    public const string Missing = "is missing; add it, or fetch the complete file of the model";

    public static string OutOfRange(long value, int min, int max) => max == int.MaxValue
        ? string.Create(CultureInfo.InvariantCulture, $"is {value} where at least {min} was expected")
        : string.Create(CultureInfo.InvariantCulture, $"is {value} where {min} to {max} was expected");

    public static string TooSmall(double value, double min) => string.Create(CultureInfo.InvariantCulture, $"is {value} where at least {min} was expected");
}
