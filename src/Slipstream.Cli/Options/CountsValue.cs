using System.Globalization;
using System.Text.Json;

namespace Slipstream.Cli.Options;

/// <summary>Counts and ranges of them: <c>128,512</c>, <c>1-17</c>, <c>1-4,8,16</c>; <c>none</c> for no count. Ascending, each once.</summary>
internal sealed class CountsValue(int min, int max, bool none = true) : OptionValue<IReadOnlyList<int>>
{
    private readonly string _expected = $"whole numbers from {min} to {max} and ranges of them with commas between, such as 1-4,8{(none ? ", or none" : "")}";

    public override string Placeholder => "LIST";

    public override IReadOnlyList<int> Parse(string name, IReadOnlyList<string> arguments)
    {
        string text = arguments[0].Trim();
        if (none && text == "none") return [];
        SortedSet<int> counts = [];
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            string[] ends = part.Split('-');
            if (ends.Length > 2 || !TryRead(ends[0], out int first) || !TryRead(ends[^1], out int last) || first > last) throw Invalid(name, Quote(arguments[0]), _expected);
            for (int count = first; count <= last; count++) counts.Add(count);
        }
        return [.. counts];
    }

    public override IReadOnlyList<int> Read(string name, JsonElement json)
        => json.ValueKind == JsonValueKind.Array && json.EnumerateArray().All(e => e.ValueKind == JsonValueKind.Number && e.TryGetInt32(out int count) && count >= min && count <= max)
            ? [.. json.EnumerateArray().Select(e => e.GetInt32()).Distinct().Order()]
            : throw Invalid(name, Show(json), $"a list of whole numbers from {min} to {max}");

    public override void Write(Utf8JsonWriter writer, IReadOnlyList<int> value) => TokensValue.WriteList(writer, value);

    private bool TryRead(string text, out int count) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out count) && count >= min && count <= max;
}
