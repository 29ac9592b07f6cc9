using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>Reads the header of a GGUF file from front to back; every count is checked against the bytes that are left before it is believed.</summary>
internal ref struct GgufCursor(string path, ByteRegion region)
{
    private const int DeepestList = 4;
    private const int LongestText = 64 << 20;

    private readonly ByteRegion _region = region;

    /// <summary>The next byte to read.</summary>
    public long Position { get; private set; }

    private readonly long Left => _region.Length - Position;

    public uint UInt32(string what) => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, what));

    public ulong UInt64(string what) => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, what));

    /// <summary>A number of items that take at least <paramref name="leastBytes"/> each.</summary>
    public long Count(string what, int leastBytes)
    {
        ulong count = UInt64($"the number of {what}");
        if (count > (ulong)(Left / leastBytes))
            throw GgufFile.Invalid(path, $"it claims {count} {what}, more than its {_region.Length} bytes can hold");
        return (long)count;
    }

    /// <summary>A name, which must be valid UTF-8.</summary>
    public string Name(string what, int longest)
    {
        ReadOnlySpan<byte> bytes = Text(what, longest);
        return Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw GgufFile.Invalid(path, $"{what} is not valid UTF-8");
    }

    /// <summary>Steps over a value of metadata and says where it is.</summary>
    public GgufValue Value(string key, int depth = 0)
    {
        GgufType type = Type(key);
        if (type == GgufType.Array) return List(key, depth);
        if (type == GgufType.String)
        {
            int length = Text(key, LongestText).Length;
            return new GgufValue(type, Position - length, length);
        }
        int size = GgufValue.SizeOf(type);
        Take(size, key);
        return new GgufValue(type, Position - size, size);
    }

    private GgufValue List(string key, int depth)
    {
        if (depth == DeepestList)
            throw GgufFile.Invalid(path, $"the value of '{MessageText.Clip(key)}' has lists in lists, more than {DeepestList} deep");
        GgufType element = Type(key);
        ulong stated = UInt64(key);
        int size = GgufValue.SizeOf(element);
        if (stated > (ulong)(Left / size))
            throw GgufFile.Invalid(path, $"the value of '{MessageText.Clip(key)}' claims {stated} entries, more than the {Left} bytes that follow can hold");
        long count = (long)stated, start = Position;
        if (element == GgufType.String)
            for (long i = 0; i < count; i++) Text(key, LongestText);
        else if (element == GgufType.Array)
            for (long i = 0; i < count; i++) List(key, depth + 1);
        else
            Position += count * size;
        return new GgufValue(GgufType.Array, start, Position - start, element, count);
    }

    private GgufType Type(string key)
    {
        uint type = UInt32(key);
        return type <= (uint)GgufType.Float64 ? (GgufType)type : throw GgufFile.Invalid(path, $"the value of '{MessageText.Clip(key)}' has the unknown type {type}");
    }

    private ReadOnlySpan<byte> Text(string what, int longest)
    {
        ulong length = UInt64(what);
        if (length > (ulong)Left)
            throw GgufFile.Invalid(path, $"the text of '{MessageText.Clip(what)}' claims {length} bytes, but only {Left} follow");
        if (length > (ulong)longest)
            throw GgufFile.Invalid(path, $"the text of '{MessageText.Clip(what)}' has {length} bytes, more than the {longest} allowed");
        return Take((int)length, what);
    }

    private ReadOnlySpan<byte> Take(int count, string what)
    {
        if (count > Left)
            throw GgufFile.Invalid(path, $"it is cut short in '{MessageText.Clip(what)}', after {_region.Length} bytes");
        ReadOnlySpan<byte> bytes = _region.Span(Position, count);
        Position += count;
        return bytes;
    }
}
