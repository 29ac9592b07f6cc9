using System.Buffers.Binary;
using System.Collections;
using System.Text;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>A list of texts in a GGUF file, such as a vocabulary. Texts are decoded one by one when asked for; after the file is disposed they are refused.</summary>
public sealed class GgufStringArray : IReadOnlyList<string>
{
    private readonly MappedFile _file;
    private readonly string _key;
    private readonly long[] _offsets;

    internal GgufStringArray(MappedFile file, string key, GgufValue value)
    {
        _file = file;
        _key = key;
        // The places were checked when the file was opened; the count is bounded by the bytes of the list.
        _offsets = new long[value.Count];
        ByteRegion region = file.Region;
        long position = value.Offset;
        for (int i = 0; i < _offsets.Length; i++)
        {
            _offsets[i] = position;
            position += 8 + BinaryPrimitives.ReadInt64LittleEndian(region.Span(position, 8));
        }
    }

    /// <inheritdoc/>
    public int Count => _offsets.Length;

    /// <summary>The text at <paramref name="index"/>.</summary>
    /// <exception cref="SlipstreamException">It is not valid UTF-8; its bytes are to be had from <see cref="Utf8"/>.</exception>
    public string this[int index]
    {
        get
        {
            ReadOnlySpan<byte> bytes = Utf8(index);
            return System.Text.Unicode.Utf8.IsValid(bytes)
                ? Encoding.UTF8.GetString(bytes)
                : throw new SlipstreamException($"'{_file.Path}': entry {index} of the field '{_key}' is not valid UTF-8; convert the model again.");
        }
    }

    /// <summary>The bytes of the text at <paramref name="index"/>, valid until the file is disposed.</summary>
    public ReadOnlySpan<byte> Utf8(int index)
    {
        ByteRegion region = _file.Region;
        long offset = _offsets[index];
        return region.Span(offset + 8, (int)BinaryPrimitives.ReadInt64LittleEndian(region.Span(offset, 8)));
    }

    /// <inheritdoc/>
    public IEnumerator<string> GetEnumerator()
    {
        for (int i = 0; i < Count; i++) yield return this[i];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
