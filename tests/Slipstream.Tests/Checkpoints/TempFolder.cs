using System.Buffers.Binary;
using System.Text;

namespace Slipstream.Tests.Checkpoints;

/// <summary>A folder of test-made files, gone after the test.</summary>
internal sealed class TempFolder : IDisposable
{
    public TempFolder() => Directory.CreateDirectory(Path);

    public string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"slipstream-tests-{Guid.NewGuid():N}");

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public string Write(string name, ReadOnlySpan<byte> bytes)
    {
        System.IO.File.WriteAllBytes(File(name), bytes);
        return File(name);
    }

    public string Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    /// <summary>A safetensors file with any header, right or wrong.</summary>
    public string WriteSafetensors(string name, string header, int dataBytes) => Write(name, Safetensors(Encoding.UTF8.GetBytes(header), new byte[dataBytes]));

    public static byte[] Safetensors(ReadOnlySpan<byte> header, ReadOnlySpan<byte> data)
    {
        byte[] file = new byte[8 + header.Length + data.Length];
        BinaryPrimitives.WriteInt64LittleEndian(file, header.Length);
        header.CopyTo(file.AsSpan(8));
        data.CopyTo(file.AsSpan(8 + header.Length));
        return file;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
