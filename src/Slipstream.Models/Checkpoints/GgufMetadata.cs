using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Unicode;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>The metadata of a GGUF file, with keys such as <c>llama.embedding_length</c>. Safe from several threads until the file is disposed.</summary>
public sealed class GgufMetadata : ConfigReader
{
    private readonly MappedFile _file;
    private readonly IReadOnlyDictionary<string, GgufValue> _values;
    private readonly string _prefix;

    internal GgufMetadata(MappedFile file, IReadOnlyDictionary<string, GgufValue> values, string prefix = "")
    {
        _file = file;
        _values = values;
        _prefix = prefix;
    }

    /// <inheritdoc/>
    public override string Source => _file.Path;

    /// <summary>The keys, in the order of the file; in a section, without its name.</summary>
    public IEnumerable<string> Keys => _values.Keys.Where(key => key.StartsWith(_prefix, StringComparison.Ordinal)).Select(key => key[_prefix.Length..]);

    /// <inheritdoc/>
    public override bool Has(string field) => TryGet(field, out _);

    /// <inheritdoc/>
    /// <remarks>Any integer type is accepted.</remarks>
    public override int Int32(string field, int? fallback = null, int min = 1, int max = int.MaxValue)
    {
        if (!TryGet(field, out GgufValue value)) return fallback ?? throw Missing(field);
        int number = value.IsInteger ? Whole(field, value.Type, Payload(value)) : throw Wrong(field, value, "a whole number");
        return number >= min && number <= max ? number : throw Invalid(field, ConfigProblem.OutOfRange(number, min, max));
    }

    /// <inheritdoc/>
    /// <remarks>Any float or integer type is accepted.</remarks>
    public override double Double(string field, double? fallback = null, double min = double.MinValue)
    {
        if (!TryGet(field, out GgufValue value)) return fallback ?? throw Missing(field);
        double number = value.Type switch
        {
            GgufType.Float32 or GgufType.Float64 => GgufValue.ReadFloat(value.Type, Payload(value)),
            _ => value.IsInteger ? (double)GgufValue.ReadInteger(value.Type, Payload(value)) : throw Wrong(field, value, "a number"),
        };
        if (!double.IsFinite(number)) throw Invalid(field, "is not a finite number; convert the model again");
        return number >= min ? number : throw Invalid(field, ConfigProblem.TooSmall(number, min));
    }

    /// <inheritdoc/>
    public override bool Flag(string field, bool? fallback = null)
    {
        if (!TryGet(field, out GgufValue value)) return fallback ?? throw Missing(field);
        if (value.Type != GgufType.Bool) throw Wrong(field, value, "true or false");
        byte flag = Payload(value)[0];
        return flag <= 1 ? flag == 1 : throw Invalid(field, $"is {flag} where 0 or 1 was expected");
    }

    /// <inheritdoc/>
    public override string? Text(string field)
    {
        if (!TryGet(field, out GgufValue value)) return null;
        if (value.Type != GgufType.String) throw Wrong(field, value, "a text");
        ReadOnlySpan<byte> bytes = Payload(value);
        return Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw Invalid(field, "is not valid UTF-8; convert the model again");
    }

    /// <inheritdoc/>
    public override IReadOnlyList<string>? Texts(string field) => TryGetStrings(field, out GgufStringArray? texts) ? texts : null;

    /// <inheritdoc/>
    public override IReadOnlyList<int> Int32s(string field)
    {
        if (!TryGet(field, out GgufValue value)) return [];
        if (value.IsInteger) return [Whole(field, value.Type, Payload(value))];
        return TryGetInts(field, out int[]? values) ? values : [];
    }

    /// <summary>The keys that begin with <paramref name="field"/> and a dot, or null where there are none.</summary>
    public override ConfigReader? Section(string field)
    {
        string prefix = $"{_prefix}{field}.";
        return _values.Keys.Any(key => key.StartsWith(prefix, StringComparison.Ordinal)) ? new GgufMetadata(_file, _values, prefix) : null;
    }

    /// <summary>A list of texts, decoded on demand; false where the key is absent.</summary>
    /// <exception cref="SlipstreamException">The value is no list of texts.</exception>
    public bool TryGetStrings(string key, [NotNullWhen(true)] out GgufStringArray? strings)
    {
        strings = TryGetList(key, static type => type == GgufType.String, "a list of texts", out GgufValue value) ? new GgufStringArray(_file, _prefix + key, value) : null;
        return strings is not null;
    }

    /// <summary>A list of floats; false where the key is absent.</summary>
    /// <exception cref="SlipstreamException">The value is no list of floats.</exception>
    public bool TryGetFloats(string key, [NotNullWhen(true)] out float[]? values)
    {
        values = null;
        if (!TryGetList(key, static type => type is GgufType.Float32 or GgufType.Float64, "a list of floats", out GgufValue value)) return false;
        values = new float[value.Count];
        int size = GgufValue.SizeOf(value.Element);
        ByteRegion region = _file.Region;
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)GgufValue.ReadFloat(value.Element, region.Span(value.Offset + (long)i * size, size));
        return true;
    }

    /// <summary>A list of integers of any type; false where the key is absent.</summary>
    /// <exception cref="SlipstreamException">The value is no list of integers, or one does not fit 32 bits.</exception>
    public bool TryGetInts(string key, [NotNullWhen(true)] out int[]? values)
    {
        values = null;
        if (!TryGetList(key, GgufValue.IsIntegerType, "a list of whole numbers", out GgufValue value)) return false;
        values = new int[value.Count];
        int size = GgufValue.SizeOf(value.Element);
        ByteRegion region = _file.Region;
        for (int i = 0; i < values.Length; i++)
            values[i] = Whole(key, value.Element, region.Span(value.Offset + (long)i * size, size));
        return true;
    }

    /// <summary>Adds all values to a file, but those of the keys that <paramref name="leaveOut"/> names.</summary>
    internal void CopyTo(GgufWriter writer, Func<string, bool> leaveOut)
    {
        foreach ((string key, GgufValue value) in _values)
            if (!leaveOut(key)) writer.AddCopy(key, value, Payload(value));
    }

    /// <summary>The value of a key in a few words, for listings: a number, the beginning of a text, the kind and length of a list.</summary>
    /// <exception cref="SlipstreamException">The key is missing.</exception>
    public string Describe(string key)
    {
        if (!TryGet(key, out GgufValue value)) throw Missing(key);
        return value.Type switch
        {
            GgufType.String => MessageText.Clip(Encoding.UTF8.GetString(Payload(value)[..(int)Math.Min(value.Length, 512)])),
            GgufType.Bool => Payload(value)[0] == 0 ? "false" : "true",
            GgufType.Float32 => ((float)GgufValue.ReadFloat(value.Type, Payload(value))).ToString(CultureInfo.InvariantCulture),
            GgufType.Float64 => GgufValue.ReadFloat(value.Type, Payload(value)).ToString(CultureInfo.InvariantCulture),
            GgufType.Array => $"{value.Kind} with {value.Count.ToString(CultureInfo.InvariantCulture)} entries",
            _ => GgufValue.ReadInteger(value.Type, Payload(value)).ToString(CultureInfo.InvariantCulture),
        };
    }

    /// <inheritdoc/>
    public override SlipstreamException Invalid(string field, string problem) => base.Invalid(_prefix + MessageText.Clip(field), problem);

    private bool TryGet(string field, out GgufValue value) => _values.TryGetValue(_prefix + field, out value);

    private bool TryGetList(string key, Func<GgufType, bool> fits, string expected, out GgufValue value)
    {
        if (!TryGet(key, out value)) return false;
        if (value.Type != GgufType.Array || (!fits(value.Element) && value.Count > 0)) throw Wrong(key, value, expected);
        if (value.Count > Array.MaxLength) throw Invalid(key, $"has {value.Count} entries, more than {Array.MaxLength}");
        return true;
    }

    private ReadOnlySpan<byte> Payload(GgufValue value) => _file.Region.Span(value.Offset, (int)value.Length);

    private int Whole(string field, GgufType type, ReadOnlySpan<byte> bytes)
    {
        Int128 number = GgufValue.ReadInteger(type, bytes);
        return number >= int.MinValue && number <= int.MaxValue
            ? (int)number
            : throw Invalid(field, string.Create(CultureInfo.InvariantCulture, $"is {number}, which does not fit 32 bits"));
    }

    private SlipstreamException Missing(string field) => Invalid(field, ConfigProblem.Missing);

    private SlipstreamException Wrong(string field, GgufValue value, string expected) => Invalid(field, $"is {value.Kind} where {expected} was expected");
}
