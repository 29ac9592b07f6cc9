using System.Globalization;
using System.Text.Json;

namespace Slipstream.Cli.Options;

/// <summary>Token ids: <c>1,2,3</c>, in JSON one id or a list.</summary>
internal sealed class TokensValue(bool repeatable = false) : OptionValue<IReadOnlyList<int>>
{
    internal const string Expected = "token ids from 0 on with commas between them, such as 1,2,3";

    public override string Placeholder => "IDS";

    public override bool IsRepeatable => repeatable;

    public override IReadOnlyList<int> Parse(string name, IReadOnlyList<string> arguments) => [.. arguments.SelectMany(argument => ParseList(name, argument))];

    /// <summary>Reads <c>1,2,3</c>; spaces and line breaks around the ids are allowed.</summary>
    /// <exception cref="UsageException">It is empty, or a part is no id.</exception>
    public static List<int> ParseList(string name, string text)
    {
        if (string.IsNullOrWhiteSpace(text)) throw new UsageException($"{name} is empty; it must be {Expected}.");
        List<int> ids = [];
        foreach (Range range in text.AsSpan().Split(','))
        {
            ReadOnlySpan<char> part = text.AsSpan(range).Trim();
            if (!int.TryParse(part, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int id) || id < 0)
                throw new UsageException($"{name} holds {Quote(part.ToString())}; it must be {Expected}.");
            ids.Add(id);
        }
        return ids;
    }

    public override IReadOnlyList<int> Read(string name, JsonElement json) => ReadList(name, json);

    internal static List<int> ReadList(string name, JsonElement json)
    {
        JsonElement[] elements = json.ValueKind == JsonValueKind.Array ? [.. json.EnumerateArray()] : [json];
        return [.. elements.Select(element => element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out int id) && id >= 0 ? id : throw Invalid(name, Show(json), "a list of token ids from 0 on"))];
    }

    public override void Write(Utf8JsonWriter writer, IReadOnlyList<int> value) => WriteList(writer, value);

    internal static void WriteList(Utf8JsonWriter writer, IReadOnlyList<int> value)
    {
        writer.WriteStartArray();
        for (int i = 0; i < value.Count; i++) writer.WriteNumberValue(value[i]);
        writer.WriteEndArray();
    }
}

/// <summary>Sequences of token ids: one an argument, in JSON a list of lists.</summary>
internal sealed class TokenSequencesValue : OptionValue<IReadOnlyList<IReadOnlyList<int>>>
{
    public override string Placeholder => "IDS";

    public override bool IsRepeatable => true;

    public override IReadOnlyList<IReadOnlyList<int>> Parse(string name, IReadOnlyList<string> arguments) => [.. arguments.Select(argument => TokensValue.ParseList(name, argument))];

    public override IReadOnlyList<IReadOnlyList<int>> Read(string name, JsonElement json)
        => json.ValueKind == JsonValueKind.Array && json.EnumerateArray().All(element => element.ValueKind == JsonValueKind.Array && element.GetArrayLength() > 0)
            ? [.. json.EnumerateArray().Select(element => TokensValue.ReadList(name, element))]
            : throw Invalid(name, Show(json), "a list of lists of token ids");

    public override void Write(Utf8JsonWriter writer, IReadOnlyList<IReadOnlyList<int>> value)
    {
        writer.WriteStartArray();
        foreach (IReadOnlyList<int> ids in value) TokensValue.WriteList(writer, ids);
        writer.WriteEndArray();
    }
}

/// <summary>Biases of single tokens: <c>ID=BIAS</c>, in JSON an object whose names are ids.</summary>
internal sealed class LogitBiasValue : OptionValue<IReadOnlyDictionary<int, double>>
{
    private const string Expected = "ID=BIAS, such as 42=-1.5", ExpectedJson = "an object of token ids and biases, such as {\"42\": -1.5}";

    public override string Placeholder => "ID=BIAS";

    public override bool IsRepeatable => true;

    public override IReadOnlyDictionary<int, double> Parse(string name, IReadOnlyList<string> arguments)
    {
        Dictionary<int, double> biases = [];
        foreach (string argument in arguments)
        {
            (string left, double bias) = BiasText.Split(name, argument, Expected);
            if (!TryId(left, out int id)) throw Invalid(name, Quote(argument), Expected);
            biases[id] = bias;
        }
        return biases;
    }

    public override IReadOnlyDictionary<int, double> Read(string name, JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object) throw Invalid(name, Show(json), ExpectedJson);
        Dictionary<int, double> biases = [];
        foreach (JsonProperty property in json.EnumerateObject())
            biases[TryId(property.Name, out int id) ? id : throw Invalid(name, Show(json), ExpectedJson)] = BiasText.Read(name, property.Value, json, ExpectedJson);
        return biases;
    }

    public override void Write(Utf8JsonWriter writer, IReadOnlyDictionary<int, double> value)
    {
        writer.WriteStartObject();
        foreach ((int id, double bias) in value) writer.WriteNumber(id.ToString(CultureInfo.InvariantCulture), bias);
        writer.WriteEndObject();
    }

    private static bool TryId(string text, out int id) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out id);
}

/// <summary>Biases of token sequences: <c>1,2=BIAS</c>, in JSON <c>[[[1, 2], BIAS], …]</c>.</summary>
internal sealed class SequenceBiasValue : OptionValue<IReadOnlyList<(IReadOnlyList<int> Tokens, double Bias)>>
{
    private const string Expected = "IDS=BIAS, such as 1,2=-1.5", ExpectedJson = "a list of pairs of token ids and a bias, such as [[[1, 2], -1.5]]";

    public override string Placeholder => "IDS=BIAS";

    public override bool IsRepeatable => true;

    public override IReadOnlyList<(IReadOnlyList<int> Tokens, double Bias)> Parse(string name, IReadOnlyList<string> arguments)
        => [.. arguments.Select(argument =>
        {
            (string left, double bias) = BiasText.Split(name, argument, Expected);
            return ((IReadOnlyList<int>)TokensValue.ParseList(name, left), bias);
        })];

    public override IReadOnlyList<(IReadOnlyList<int> Tokens, double Bias)> Read(string name, JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Array) throw Invalid(name, Show(json), ExpectedJson);
        List<(IReadOnlyList<int>, double)> biases = [];
        foreach (JsonElement pair in json.EnumerateArray())
        {
            if (pair.ValueKind != JsonValueKind.Array || pair.GetArrayLength() != 2 || pair[0].ValueKind != JsonValueKind.Array || pair[0].GetArrayLength() == 0)
                throw Invalid(name, Show(json), ExpectedJson);
            biases.Add((TokensValue.ReadList(name, pair[0]), BiasText.Read(name, pair[1], json, ExpectedJson)));
        }
        return biases;
    }

    public override void Write(Utf8JsonWriter writer, IReadOnlyList<(IReadOnlyList<int> Tokens, double Bias)> value)
    {
        writer.WriteStartArray();
        foreach ((IReadOnlyList<int> tokens, double bias) in value)
        {
            writer.WriteStartArray();
            TokensValue.WriteList(writer, tokens);
            writer.WriteNumberValue(bias);
            writer.WriteEndArray();
        }
        writer.WriteEndArray();
    }
}

/// <summary>A start and a factor: <c>START,FACTOR</c>, in JSON a list of the two.</summary>
internal sealed class DecayValue : OptionValue<(int Start, double Factor)>
{
    private const string Expected = "START,FACTOR with a start of at least 0 and a factor over 0, such as 50,1.05", ExpectedJson = "a start of at least 0 and a factor over 0, such as [50, 1.05]";

    public override string Placeholder => "START,FACTOR";

    public override (int Start, double Factor) Parse(string name, IReadOnlyList<string> arguments)
        => arguments[0].Split(',') is [string start, string factor]
            && int.TryParse(start, NumberStyles.None, CultureInfo.InvariantCulture, out int from)
            && double.TryParse(factor, NumberStyles.Float, CultureInfo.InvariantCulture, out double by) && double.IsFinite(by) && by > 0
            ? (from, by)
            : throw Invalid(name, Quote(arguments[0]), Expected);

    public override (int Start, double Factor) Read(string name, JsonElement json)
        => json.ValueKind == JsonValueKind.Array && json.GetArrayLength() == 2
            && json[0].ValueKind == JsonValueKind.Number && json[0].TryGetInt32(out int from) && from >= 0
            && json[1].ValueKind == JsonValueKind.Number && json[1].TryGetDouble(out double by) && double.IsFinite(by) && by > 0
            ? (from, by)
            : throw Invalid(name, Show(json), ExpectedJson);

    public override void Write(Utf8JsonWriter writer, (int Start, double Factor) value)
    {
        writer.WriteStartArray();
        writer.WriteNumberValue(value.Start);
        writer.WriteNumberValue(value.Factor);
        writer.WriteEndArray();
    }
}

/// <summary>What both kinds of bias share.</summary>
file static class BiasText
{
    public static (string Left, double Bias) Split(string name, string argument, string expected)
    {
        int equals = argument.LastIndexOf('=');
        if (equals > 0 && double.TryParse(argument.AsSpan(equals + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out double bias) && !double.IsNaN(bias) && !double.IsInfinity(bias))
            return (argument[..equals], bias);
        throw new UsageException($"{name} is '{argument}'; it must be {expected}.");
    }

    public static double Read(string name, JsonElement json, JsonElement whole, string expected)
        => json.ValueKind == JsonValueKind.Number && json.TryGetDouble(out double bias) && double.IsFinite(bias)
            ? bias
            : throw new UsageException($"{name} is {(whole.GetRawText() is { Length: <= 60 } raw ? raw : "a long value")}; it must be {expected}.");
}
