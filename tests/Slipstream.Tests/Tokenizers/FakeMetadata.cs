using Slipstream.Models;

namespace Slipstream.Tests.Tokenizers;

/// <summary>GGUF metadata made of a dictionary.</summary>
internal sealed class FakeMetadata(Dictionary<string, object> values) : ConfigReader
{
    public override string Source => "tiny.gguf";

    public override bool Has(string field) => values.ContainsKey(field);

    public override int Int32(string field, int? fallback = null, int min = 1, int max = int.MaxValue) =>
        values.TryGetValue(field, out object? value) ? (int)value >= min ? (int)value : throw Invalid(field, $"is {value}") : fallback ?? throw Invalid(field, "is missing");

    public override double Double(string field, double? fallback = null, double min = double.MinValue) => throw Invalid(field, "is not used here");

    public override bool Flag(string field, bool? fallback = null) => values.TryGetValue(field, out object? value) ? (bool)value : fallback ?? throw Invalid(field, "is missing");

    public override string? Text(string field) => (string?)values.GetValueOrDefault(field);

    public override IReadOnlyList<string>? Texts(string field) => (string[]?)values.GetValueOrDefault(field);

    public override IReadOnlyList<int> Int32s(string field) => (int[]?)values.GetValueOrDefault(field) ?? [];

    public override ConfigReader? Section(string field) => null;
}
