using System.CommandLine;
using System.Globalization;
using System.Text.Json;

namespace Slipstream.Cli.Options;

/// <summary>A kind of value, and how it reads from arguments and from JSON: one place, so that a flag and a JSON field cannot take different things.</summary>
/// <typeparam name="T">What is read.</typeparam>
internal abstract class OptionValue<T>
{
    /// <summary>How help shows the value, such as <c>N</c>; empty for a flag.</summary>
    public abstract string Placeholder { get; }

    /// <summary>Whether the option may be given more than once.</summary>
    public virtual bool IsRepeatable => false;

    /// <summary>Reads the arguments given to option <paramref name="name"/>.</summary>
    /// <exception cref="UsageException">They are no such value.</exception>
    public abstract T Parse(string name, IReadOnlyList<string> arguments);

    /// <summary>Reads the JSON field <paramref name="name"/>.</summary>
    /// <exception cref="UsageException">It is no such value.</exception>
    public abstract T Read(string name, JsonElement json);

    /// <summary>Writes a value as JSON that <see cref="Read"/> takes.</summary>
    public abstract void Write(Utf8JsonWriter writer, T value);

    /// <summary>An option of this kind, whose arguments are kept as texts.</summary>
    public Option CreateOption(string flag, string help) => Placeholder.Length == 0 ? new Option<bool>(flag) { Description = help }
        : IsRepeatable ? new Option<string[]>(flag) { Description = help, HelpName = Placeholder, Arity = ArgumentArity.OneOrMore }
        : new Option<string>(flag) { Description = help, HelpName = Placeholder, Arity = ArgumentArity.ExactlyOne };

    private protected static UsageException Invalid(string name, string value, string expected) => new($"{name} is {value}; it must be {expected}.");

    private protected static string Show(JsonElement json)
    {
        string raw = json.GetRawText();
        return raw.Length <= 60 ? raw : raw[..57] + "...";
    }

    private protected static string Quote(string text) => text.Length <= 60 ? $"'{text}'" : $"'{text[..57]}...'";
}

/// <summary>A finite number within bounds.</summary>
internal sealed class NumberValue(Func<double, bool> isValid, string expected) : OptionValue<double>
{
    public override string Placeholder => "X";

    public override double Parse(string name, IReadOnlyList<string> arguments)
    {
        if (!double.TryParse(arguments[0], NumberStyles.Float, CultureInfo.InvariantCulture, out double value)) throw Invalid(name, Quote(arguments[0]), expected);
        return double.IsFinite(value) && isValid(value) ? value : throw Invalid(name, arguments[0].Trim(), expected);
    }

    public override double Read(string name, JsonElement json)
        => json.ValueKind == JsonValueKind.Number && json.TryGetDouble(out double value) && double.IsFinite(value) && isValid(value) ? value : throw Invalid(name, Show(json), expected);

    public override void Write(Utf8JsonWriter writer, double value) => writer.WriteNumberValue(value);
}

/// <summary>A whole number within bounds.</summary>
internal sealed class WholeValue(int min, int max, string? expected = null) : OptionValue<int>
{
    private readonly string _expected = expected ?? (max == int.MaxValue ? $"a whole number of at least {min}" : $"a whole number from {min} to {max}");

    public override string Placeholder => "N";

    public override int Parse(string name, IReadOnlyList<string> arguments)
    {
        bool isNumber = int.TryParse(arguments[0], NumberStyles.AllowLeadingSign | NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out int value);
        return isNumber && value >= min && value <= max ? value : throw Invalid(name, isNumber ? arguments[0].Trim() : Quote(arguments[0]), _expected);
    }

    public override int Read(string name, JsonElement json)
        => json.ValueKind == JsonValueKind.Number && json.TryGetInt32(out int value) && value >= min && value <= max ? value : throw Invalid(name, Show(json), _expected);

    public override void Write(Utf8JsonWriter writer, int value) => writer.WriteNumberValue(value);
}

/// <summary>A seed: any unsigned 64-bit number.</summary>
internal sealed class SeedValue : OptionValue<ulong>
{
    private const string Expected = "a whole number from 0 to 18446744073709551615";

    public override string Placeholder => "N";

    public override ulong Parse(string name, IReadOnlyList<string> arguments)
        => ulong.TryParse(arguments[0], NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out ulong value) ? value : throw Invalid(name, Quote(arguments[0]), Expected);

    public override ulong Read(string name, JsonElement json)
        => json.ValueKind == JsonValueKind.Number && json.TryGetUInt64(out ulong value) ? value : throw Invalid(name, Show(json), Expected);

    public override void Write(Utf8JsonWriter writer, ulong value) => writer.WriteNumberValue(value);
}

/// <summary>On or off.</summary>
internal sealed class FlagValue : OptionValue<bool>
{
    public override string Placeholder => "";

    public override bool Parse(string name, IReadOnlyList<string> arguments)
        => arguments is [] || (bool.TryParse(arguments[0], out bool value) ? value : throw Invalid(name, Quote(arguments[0]), "true or false"));

    public override bool Read(string name, JsonElement json)
        => json.ValueKind is JsonValueKind.True or JsonValueKind.False ? json.GetBoolean() : throw Invalid(name, Show(json), "true or false");

    public override void Write(Utf8JsonWriter writer, bool value) => writer.WriteBooleanValue(value);
}

/// <summary>One of a few names.</summary>
internal sealed class ChoiceValue<T>(params (string Name, T Value)[] choices) : OptionValue<T>
    where T : struct
{
    private readonly string _expected = string.Join(", ", choices[..^1].Select(choice => choice.Name)) + " or " + choices[^1].Name;

    public override string Placeholder => string.Join('|', choices.Select(choice => choice.Name));

    public override T Parse(string name, IReadOnlyList<string> arguments) => Find(arguments[0]) ?? throw Invalid(name, Quote(arguments[0]), _expected);

    public override T Read(string name, JsonElement json)
        => (json.ValueKind == JsonValueKind.String ? Find(JsonText.Get(json)) : null) ?? throw Invalid(name, Show(json), _expected);

    public override void Write(Utf8JsonWriter writer, T value) => writer.WriteStringValue(NameOf(value));

    /// <summary>The name of a choice.</summary>
    public string NameOf(T value) => Array.Find(choices, choice => EqualityComparer<T>.Default.Equals(choice.Value, value)).Name;

    private T? Find(string name)
    {
        foreach ((string known, T value) in choices)
            if (known == name) return value;
        return null;
    }
}

/// <summary>Texts that are not empty; in JSON one text or a list.</summary>
internal sealed class TextsValue : OptionValue<IReadOnlyList<string>>
{
    private const string Expected = "a text that is not empty";

    public override string Placeholder => "TEXT";

    public override bool IsRepeatable => true;

    public override IReadOnlyList<string> Parse(string name, IReadOnlyList<string> arguments)
        => arguments.Contains("") ? throw Invalid(name, "''", Expected) : [.. arguments];

    public override IReadOnlyList<string> Read(string name, JsonElement json)
    {
        JsonElement[] elements = json.ValueKind == JsonValueKind.Array ? [.. json.EnumerateArray()] : [json];
        return [.. elements.Select(element => element.ValueKind == JsonValueKind.String && JsonText.Get(element) is { Length: > 0 } text ? text : throw Invalid(name, Show(json), Expected + ", or a list of them"))];
    }

    public override void Write(Utf8JsonWriter writer, IReadOnlyList<string> value)
    {
        writer.WriteStartArray();
        foreach (string text in value) writer.WriteStringValue(text);
        writer.WriteEndArray();
    }
}
