using System.Collections.Immutable;
using System.Text.Json;

namespace Slipstream.Models;

/// <summary>Parses the JSON header of a safetensors file. It trusts nothing: a header is read before anything is allocated by its figures.</summary>
/// <remarks>Source: the format description of safetensors, which also asks that data be contiguous, without holes.</remarks>
internal sealed class SafetensorsHeader
{
    private const int LongestHeader = 100_000_000;
    private const int MostDimensions = 32;

    private readonly string _path;
    private readonly long _dataLength;
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _metadata = new(StringComparer.Ordinal);

    private SafetensorsHeader(string path, long dataLength)
    {
        _path = path;
        _dataLength = dataLength;
    }

    /// <summary>One tensor and where its data begins, in bytes after the header.</summary>
    internal readonly record struct Entry(TensorInfo Info, long Begin);

    public IReadOnlyDictionary<string, Entry> Entries => _entries;

    public IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>The length of the header, from the first 8 bytes.</summary>
    /// <exception cref="SlipstreamException">It cannot be right for a file of <paramref name="fileLength"/> bytes.</exception>
    public static int Length(string path, ulong stated, long fileLength)
    {
        if (stated < 2)
            throw Invalid(path, $"its header is said to be {stated} bytes long, too short for a JSON object");
        if (stated > LongestHeader)
            throw Invalid(path, $"its header is said to be {stated} bytes long, more than the {LongestHeader} bytes the format allows");
        if ((long)stated > fileLength - 8)
            throw Invalid(path, $"its header is said to be {stated} bytes long, but only {fileLength - 8} bytes follow");
        return (int)stated;
    }

    /// <summary>Parses and checks a header.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="json">The header.</param>
    /// <param name="dataLength">Bytes that follow it.</param>
    /// <exception cref="SlipstreamException">The header is not valid, or does not fit the data.</exception>
    public static SafetensorsHeader Parse(string path, ReadOnlySpan<byte> json, long dataLength)
    {
        SafetensorsHeader header = new(path, dataLength);
        if (json[0] != (byte)'{')
            throw Invalid(path, "its header is not a JSON object");
        try
        {
            header.ReadAll(json);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a string that is not valid UTF-8 or holds half a surrogate pair.
            throw Invalid(path, "its header is not valid JSON in UTF-8", e);
        }
        header.CheckLayout();
        return header;
    }

    private void ReadAll(ReadOnlySpan<byte> json)
    {
        Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = 8 });
        reader.Read();
        bool hasMetadata = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            if (name == "__metadata__")
            {
                if (hasMetadata) throw Invalid(_path, "it has '__metadata__' twice");
                hasMetadata = true;
                ReadMetadata(ref reader);
            }
            else if (!_entries.TryAdd(name, ReadEntry(ref reader, name)))
                throw Invalid(_path, $"it has two tensors named '{MessageText.Clip(name)}'");
        }
        while (reader.Read()) { }
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Invalid(_path, "its '__metadata__' is not an object of texts");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw Invalid(_path, $"its '__metadata__' entry '{MessageText.Clip(key)}' is not a text");
            if (!_metadata.TryAdd(key, reader.GetString()!))
                throw Invalid(_path, $"its '__metadata__' has '{MessageText.Clip(key)}' twice");
        }
    }

    private Entry ReadEntry(ref Utf8JsonReader reader, string name)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw InvalidTensor(name, "is not an object with 'dtype', 'shape' and 'data_offsets'");
        string? type = null;
        ImmutableArray<long> shape = default, offsets = default;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string field = reader.GetString()!;
            reader.Read();
            switch (field)
            {
                case "dtype" when type is null && reader.TokenType == JsonTokenType.String:
                    type = reader.GetString()!;
                    break;
                case "shape" when shape.IsDefault:
                    shape = ReadNumbers(ref reader, name, field, MostDimensions);
                    break;
                case "data_offsets" when offsets.IsDefault:
                    offsets = ReadNumbers(ref reader, name, field, 2);
                    break;
                case "dtype" or "shape" or "data_offsets":
                    throw InvalidTensor(name, $"has a wrong '{field}', or has it twice");
                default:
                    reader.Skip();
                    break;
            }
        }
        if (type is null || shape.IsDefault || offsets.IsDefault)
            throw InvalidTensor(name, "is not an object with 'dtype', 'shape' and 'data_offsets'");
        return Check(name, type, shape, offsets);
    }

    private ImmutableArray<long> ReadNumbers(ref Utf8JsonReader reader, string name, string field, int most)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw InvalidTensor(name, $"has a '{field}' that is not a list");
        ImmutableArray<long>.Builder numbers = ImmutableArray.CreateBuilder<long>(4);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
                throw InvalidTensor(name, $"has a '{field}' with an entry that is not a whole number from 0 to {long.MaxValue}");
            if (numbers.Count == most)
                throw InvalidTensor(name, $"has a '{field}' of more than {most} entries");
            numbers.Add(number);
        }
        return numbers.DrainToImmutable();
    }

    private Entry Check(string name, string type, ImmutableArray<long> shape, ImmutableArray<long> offsets)
    {
        int bits = SafetensorsTypes.Bits(type);
        if (bits == 0)
            throw InvalidTensor(name, $"has the unknown dtype '{MessageText.Clip(type)}'");
        if (offsets.Length != 2 || offsets[0] > offsets[1])
            throw InvalidTensor(name, $"has 'data_offsets' [{string.Join(", ", offsets)}], not a begin and an end");
        if (offsets[1] > _dataLength)
            throw InvalidTensor(name, $"ends at byte {offsets[1]} of the data, but the file holds only {_dataLength}");
        Int128 elements = 1;
        foreach (long dimension in shape)
        {
            elements *= dimension;
            // Any product past the file's bits is refused below; stopping here keeps it from overflowing.
            if (elements > long.MaxValue) throw InvalidTensor(name, $"has the shape [{string.Join(", ", shape)}], more elements than can be counted");
        }
        Int128 needed = elements * bits;
        long bytes = offsets[1] - offsets[0];
        if (needed != (Int128)bytes * 8)
            throw InvalidTensor(name, $"has {bytes} bytes, but {type} of shape [{string.Join(", ", shape)}] takes {(needed + 7) / 8}");
        return new Entry(new TensorInfo(name, type, shape, bytes), offsets[0]);
    }

    /// <summary>Data must be covered once, without holes: a hole could hide other content, an overlap could alias weights.</summary>
    private void CheckLayout()
    {
        Entry[] sorted = [.. _entries.Values];
        Array.Sort(sorted, static (a, b) =>
            a.Begin != b.Begin ? a.Begin.CompareTo(b.Begin) : a.Info.Bytes.CompareTo(b.Info.Bytes));
        long end = 0;
        foreach (Entry entry in sorted)
        {
            if (entry.Begin < end)
                throw InvalidTensor(entry.Info.Name, $"overlaps another: it begins at byte {entry.Begin} of the data, before {end}");
            if (entry.Begin > end)
                throw InvalidTensor(entry.Info.Name, $"leaves a gap before it: it begins at byte {entry.Begin} of the data, not at {end}");
            end = entry.Begin + entry.Info.Bytes;
        }
        if (end != _dataLength)
            throw Invalid(_path, $"its tensors end at byte {end} of the data, but the file holds {_dataLength}");
    }

    private SlipstreamException InvalidTensor(string tensor, string problem) => Invalid(_path, $"tensor '{MessageText.Clip(tensor)}' {problem}", null);

    internal static SlipstreamException Invalid(string path, string problem, Exception? inner = null) =>
        new($"'{path}' is not a valid safetensors file: {problem}; download or export it again.", inner);
}
