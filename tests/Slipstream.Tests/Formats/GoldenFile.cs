using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using Slipstream.TestSupport;

namespace Slipstream.Tests.Formats;

/// <summary>The three tensors of a golden file of a weight format: 16 rows of 512 weights.</summary>
internal sealed class GoldenFile
{
    private readonly byte[] file;
    private readonly JsonElement header;
    private readonly int dataStart;

    public GoldenFile(string format)
    {
        file = File.ReadAllBytes(Assets.Path("goldens", "formats", $"{format}.safetensors"));
        int headerLength = (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
        using JsonDocument document = JsonDocument.Parse(file.AsMemory(8, headerLength));
        header = document.RootElement.Clone();
        dataStart = 8 + headerLength;
    }

    public float[] Input => MemoryMarshal.Cast<byte, float>(Tensor("input")).ToArray();

    public byte[] Bytes => Tensor("bytes").ToArray();

    public float[] Decoded => MemoryMarshal.Cast<byte, float>(Tensor("decoded")).ToArray();

    private ReadOnlySpan<byte> Tensor(string name)
    {
        JsonElement range = header.GetProperty(name).GetProperty("data_offsets");
        int from = range[0].GetInt32(), to = range[1].GetInt32();
        return file.AsSpan(dataStart + from, to - from);
    }
}
