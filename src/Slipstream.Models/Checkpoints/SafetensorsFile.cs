using System.Buffers.Binary;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>One safetensors file, mapped into memory. Reading is safe from several threads; regions are valid until disposal.</summary>
/// <remarks>Source: the safetensors format: 8 bytes of length, a JSON header, then the data of all tensors without gaps.</remarks>
public sealed class SafetensorsFile : ITensorSource
{
    private readonly MappedFile _file;
    private readonly SafetensorsHeader _header;
    private readonly long _dataStart;

    /// <summary>Maps a file and checks its header against its length; no tensor is read.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="SlipstreamException">The file cannot be read, is a Git LFS pointer, or is no valid safetensors file.</exception>
    public SafetensorsFile(string path)
    {
        Path = path;
        _file = new MappedFile(path);
        try
        {
            if (_file.Length == 0)
                throw SafetensorsHeader.Invalid(path, "it is empty");
            ByteRegion region = _file.Region;
            LfsPointer.Refuse(path, region.Span(0, (int)Math.Min(64, region.Length)));
            if (region.Length < 10)
                throw SafetensorsHeader.Invalid(path, $"it has only {region.Length} bytes");
            int length = SafetensorsHeader.Length(path, BinaryPrimitives.ReadUInt64LittleEndian(region.Span(0, 8)), region.Length);
            _dataStart = 8L + length;
            _header = SafetensorsHeader.Parse(path, region.Span(8, length), region.Length - _dataStart);
            Tensors = _header.Entries.ToDictionary(e => e.Key, e => e.Value.Info, StringComparer.Ordinal);
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>The texts of <c>__metadata__</c>, empty where there are none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <inheritdoc/>
    /// <exception cref="SlipstreamException">The tensor has a dtype other than F32, F16 and BF16.</exception>
    public ByteRegion Data(string name)
    {
        SafetensorsHeader.Entry entry = _header.Entries[name];
        if (!SafetensorsTypes.IsSupported(entry.Info.Format))
            throw new SlipstreamException($"'{Path}': tensor '{MessageText.Clip(name)}' is stored as {entry.Info.Format}; only F32, F16 and BF16 weights can be used, so convert the checkpoint to one of them.");
        return _file.Region.Slice(_dataStart + entry.Begin, entry.Info.Bytes);
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
