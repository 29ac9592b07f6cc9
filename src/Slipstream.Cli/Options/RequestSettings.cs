using System.CommandLine;
using System.Text.Json;
using Slipstream.Sampling;

namespace Slipstream.Cli.Options;

/// <summary>The request options that were given, to be laid over a model's own defaults.</summary>
internal sealed class RequestSettings
{
    private readonly Dictionary<RequestField, RequestChange> _changes = [];

    /// <summary>Adds a given option; a later one replaces an earlier one.</summary>
    public void Add(RequestChange change) => _changes[change.Field] = change;

    /// <summary>These settings, with those of <paramref name="line"/> over them.</summary>
    public RequestSettings With(RequestSettings line)
    {
        RequestSettings merged = new();
        foreach (RequestChange change in _changes.Values) merged.Add(change);
        foreach (RequestChange change in line._changes.Values) merged.Add(change);
        return merged;
    }

    /// <summary>The options over a model's defaults.</summary>
    public GenerationOptions Over(SamplingOptions defaults)
    {
        GenerationOptions options = new() { Sampling = defaults };
        foreach (RequestField field in RequestFields.All)
            if (_changes.TryGetValue(field, out RequestChange? change)) options = change.Apply(options);
        return options;
    }

    /// <summary>Tokens drafted at once.</summary>
    public int DraftLength => Over(new SamplingOptions()).AssistantTokens ?? GenerationOptions.DefaultAssistantTokens;

    /// <summary>Writes what was given, in the table's order.</summary>
    public void Write(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        foreach (RequestField field in RequestFields.All)
            if (_changes.TryGetValue(field, out RequestChange? change))
            {
                writer.WritePropertyName(field.JsonName);
                change.Write(writer);
            }
        writer.WriteEndObject();
    }
}

/// <summary>The request options of a command.</summary>
internal sealed class RequestOptionGroup
{
    private readonly List<(RequestField Field, Option Option)> _options = [];

    /// <summary>Adds all of them to <paramref name="command"/>.</summary>
    public RequestOptionGroup(Command command)
    {
        foreach (RequestField field in RequestFields.All)
        {
            Option option = field.CreateOption();
            _options.Add((field, option));
            command.Options.Add(option);
        }
    }

    /// <summary>What was given.</summary>
    /// <exception cref="UsageException">A value is none.</exception>
    public RequestSettings Read(ParseResult result)
    {
        RequestSettings settings = new();
        foreach ((RequestField field, Option option) in _options)
            if (field.Parse(result, option) is { } change) settings.Add(change);
        return settings;
    }
}
