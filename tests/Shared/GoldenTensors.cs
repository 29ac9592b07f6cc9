using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Slipstream.TestSupport;

/// <summary>Reads F32 tensors of a golden safetensors file, independently of the reader under test.</summary>
internal sealed class GoldenTensors
{
    private readonly byte[] _file;
    private readonly JsonElement _header;
    private readonly int _data;

    public GoldenTensors(string path)
    {
        _file = File.ReadAllBytes(path);
        int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(_file);
        _header = JsonDocument.Parse(_file.AsMemory(8, length)).RootElement;
        _data = 8 + length;
    }

    public IEnumerable<string> Names => _header.EnumerateObject().Select(p => p.Name).Where(n => n != "__metadata__");

    public int[] Shape(string name) => [.. _header.GetProperty(name).GetProperty("shape").EnumerateArray().Select(e => e.GetInt32())];

    public ReadOnlySpan<byte> Bytes(string name)
    {
        JsonElement offsets = _header.GetProperty(name).GetProperty("data_offsets");
        int from = offsets[0].GetInt32(), to = offsets[1].GetInt32();
        return _file.AsSpan(_data + from, to - from);
    }

    public ReadOnlySpan<float> Floats(string name)
    {
        Assert.Equal("F32", _header.GetProperty(name).GetProperty("dtype").GetString());
        return MemoryMarshal.Cast<byte, float>(Bytes(name));
    }
}
