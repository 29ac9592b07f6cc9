using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;
using Slipstream.Sampling;

namespace Slipstream.Cli.Options;

/// <summary>One option of a request: a flag of the command line and a field of bulk generation's JSON lines at once, so that the two cannot differ.</summary>
internal abstract class RequestField(string name, string help)
{
    /// <summary>The flag, <c>--top-p</c>.</summary>
    public string Flag { get; } = "--" + name;

    /// <summary>The JSON name, <c>top_p</c>.</summary>
    public string JsonName { get; } = name.Replace('-', '_');

    /// <summary>What help says.</summary>
    public string Help { get; } = help;

    /// <summary>A parser option for a command.</summary>
    public abstract Option CreateOption();

    /// <summary>The change that the command line asks for, or null where the flag is not given.</summary>
    /// <exception cref="UsageException">The value is none.</exception>
    public abstract RequestChange? Parse(ParseResult result, Option option);

    /// <summary>The change that a JSON field asks for.</summary>
    /// <exception cref="UsageException">The value is none.</exception>
    public abstract RequestChange Read(JsonElement json);

    /// <summary>Writes the field's value of <paramref name="sampling"/> under its name, where it is a sampling option and has a value.</summary>
    public abstract void WriteSampling(Utf8JsonWriter writer, SamplingOptions sampling);
}

/// <summary>A value given for a field.</summary>
/// <param name="Field">The field.</param>
/// <param name="Apply">Sets it.</param>
/// <param name="Write">Writes it as JSON, to tell one request from another.</param>
internal sealed record RequestChange(RequestField Field, Func<GenerationOptions, GenerationOptions> Apply, Action<Utf8JsonWriter> Write);

/// <summary>A field of one kind of value.</summary>
internal sealed class RequestField<T>(string name, OptionValue<T> kind, string help, Func<GenerationOptions, T, GenerationOptions> set, Action<RequestField<T>, Utf8JsonWriter, SamplingOptions>? write = null)
    : RequestField(name, help)
{
    /// <summary>How values read and write.</summary>
    public OptionValue<T> Kind { get; } = kind;

    public override Option CreateOption() => Kind.CreateOption(Flag, Help);

    public override RequestChange? Parse(ParseResult result, Option option)
    {
        if (result.GetResult(option) is not OptionResult { Implicit: false } given) return null;
        return Change(Kind.Parse(Flag, [.. given.Tokens.Select(token => token.Value)]));
    }

    public override RequestChange Read(JsonElement json) => Change(Kind.Read(JsonName, json));

    public override void WriteSampling(Utf8JsonWriter writer, SamplingOptions sampling) => write?.Invoke(this, writer, sampling);

    private RequestChange Change(T value) => new(this, options => set(options, value), writer => Kind.Write(writer, value));
}
