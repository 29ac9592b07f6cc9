using System.Runtime.InteropServices;
using System.Text.Json;
using Slipstream.TestSupport;

namespace Slipstream.Tests.Sampling;

/// <summary>Reads the golden rows of the reference library's logits processors.</summary>
internal sealed class WarperGoldens
{
    private readonly byte[] _data;
    private readonly JsonElement _header;
    private readonly int _start;

    public WarperGoldens()
    {
        _data = File.ReadAllBytes(Assets.Path("goldens", "decoding", "warpers.safetensors"));
        int length = (int)BitConverter.ToInt64(_data);
        _header = JsonDocument.Parse(_data.AsMemory(8, length)).RootElement;
        _start = 8 + length;
        Cases = JsonDocument.Parse(File.ReadAllBytes(Assets.Path("goldens", "decoding", "warpers.json"))).RootElement.GetProperty("cases");
    }

    public JsonElement Cases { get; }

    public float[] Floats(string name, int row, int columns) => MemoryMarshal.Cast<byte, float>(Bytes(name)).Slice(row * columns, columns).ToArray();

    public int[] Tokens(string name, int row, int columns) => Array.ConvertAll(MemoryMarshal.Cast<byte, long>(Bytes(name)).Slice(row * columns, columns).ToArray(), t => (int)t);

    private Span<byte> Bytes(string name)
    {
        JsonElement range = _header.GetProperty(name).GetProperty("data_offsets");
        return _data.AsSpan(_start + range[0].GetInt32(), range[1].GetInt32() - range[0].GetInt32());
    }
}
