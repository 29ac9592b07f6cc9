using System.CommandLine;
using System.CommandLine.Parsing;

namespace Slipstream.Cli.Options;

/// <summary>An option of a command, read as one kind of value.</summary>
internal sealed class CommandOption<T>
{
    private readonly OptionValue<T> _kind;

    public CommandOption(Command command, string flag, OptionValue<T> kind, string help)
    {
        _kind = kind;
        Option = kind.CreateOption(flag, help);
        command.Options.Add(Option);
    }

    /// <summary>The parser's option.</summary>
    public Option Option { get; }

    /// <summary>Its flag.</summary>
    public string Flag => Option.Name;

    /// <summary>Whether it was given, and its value.</summary>
    /// <exception cref="UsageException">The value is none.</exception>
    public bool TryGet(ParseResult result, out T value)
    {
        value = default!;
        if (result.GetResult(Option) is not OptionResult { Implicit: false } given) return false;
        value = _kind.Parse(Flag, [.. given.Tokens.Select(token => token.Value)]);
        return true;
    }

    /// <summary>Whether it was given.</summary>
    public bool IsGiven(ParseResult result) => result.GetResult(Option) is OptionResult { Implicit: false };

    /// <summary>Its value, or <paramref name="fallback"/> where it was not given.</summary>
    public T Get(ParseResult result, T fallback) => TryGet(result, out T value) ? value : fallback;
}

/// <summary>Any text, the empty one and those that begin with a dash or an at sign among them.</summary>
internal sealed class TextValue(string placeholder = "TEXT") : OptionValue<string>
{
    public override string Placeholder => placeholder;

    public override string Parse(string name, IReadOnlyList<string> arguments) => arguments[0];

    public override string Read(string name, System.Text.Json.JsonElement json)
        => json.ValueKind == System.Text.Json.JsonValueKind.String ? JsonText.Get(json) : throw Invalid(name, Show(json), "a text");

    public override void Write(System.Text.Json.Utf8JsonWriter writer, string value) => writer.WriteStringValue(value);
}

/// <summary>The path of a file or folder.</summary>
internal sealed class PathValue(string placeholder = "FILE") : OptionValue<string>
{
    public override string Placeholder => placeholder;

    public override string Parse(string name, IReadOnlyList<string> arguments)
        => arguments[0].Length > 0 && !arguments[0].Contains('\0', StringComparison.Ordinal) ? arguments[0] : throw new UsageException($"{name} is empty; it must be a path.");

    public override string Read(string name, System.Text.Json.JsonElement json) => Parse(name, [JsonText.Get(json)]);

    public override void Write(System.Text.Json.Utf8JsonWriter writer, string value) => writer.WriteStringValue(value);
}
