using System.Globalization;
using System.Numerics;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>One GGUF file of version 2 or 3, mapped into memory. Reading is safe from several threads; regions are valid until disposal.</summary>
/// <remarks>Source: the GGUF specification in the ggml repository. A part of a split model is a file of its own here; see <see cref="GgufSource"/>.</remarks>
public sealed class GgufFile : ITensorSource
{
    private const int LongestKey = 65535;
    private const int LongestTensorName = 1024;
    private const int MostDimensions = 4;
    private const int DefaultAlignment = 32;

    private readonly MappedFile _file;
    private readonly Dictionary<string, TensorInfo> _tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> _offsets = new(StringComparer.Ordinal);

    /// <summary>Maps a file and checks its metadata and the places of its tensors; no tensor is read.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="SlipstreamException">The file cannot be read, is a Git LFS pointer, or is no valid GGUF file.</exception>
    public GgufFile(string path)
    {
        Path = path;
        _file = new MappedFile(path);
        try
        {
            if (_file.Length == 0) throw Invalid(path, "it is empty");
            ByteRegion region = _file.Region;
            ReadOnlySpan<byte> start = region.Span(0, (int)Math.Min(64, region.Length));
            LfsPointer.Refuse(path, start);
            CheckMagic(path, start);
            GgufCursor cursor = new(path, region);
            cursor.UInt32("the magic number");
            Version = ReadVersion(ref cursor);
            // The least a tensor takes: name length 8, dimensions 4, type 4, offset 8. The least a key takes: length 8, type 4, value 1.
            long tensors = cursor.Count("tensors", 24);
            long keys = cursor.Count("metadata entries", 13);
            Metadata = new GgufMetadata(_file, ReadMetadata(ref cursor, keys));
            Alignment = ReadAlignment();
            ReadTensors(ref cursor, tensors);
            CheckLayout(cursor.Position);
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <summary>The version of the format: 2 or 3, which differ in nothing for little-endian files.</summary>
    public int Version { get; }

    /// <summary>The boundary, in bytes, on which each tensor begins: <c>general.alignment</c>, 32 by default.</summary>
    public int Alignment { get; }

    /// <summary>The metadata.</summary>
    public GgufMetadata Metadata { get; }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors => _tensors;

    /// <inheritdoc/>
    /// <exception cref="SlipstreamException">Slipstream has no codec for the format of the tensor.</exception>
    public ByteRegion Data(string name)
    {
        TensorInfo info = _tensors[name];
        if (!WeightFormats.TryGet(info.Format, out WeightFormat? format) || !format.IsSupported)
            throw new SlipstreamException($"'{Path}': tensor '{MessageText.Clip(name)}' is stored as {info.Format}, which Slipstream cannot compute with; take the model in another format, such as Q4_K_M or Q8_0.");
        return _file.Region.Slice(_offsets[name], info.Bytes);
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    internal static SlipstreamException Invalid(string path, string problem) =>
        new($"'{path}' is not a valid GGUF file: {problem}; download or export it again.");

    private static void CheckMagic(string path, ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("GGUF"u8)) return;
        if (start.StartsWith("lmgg"u8) || start.StartsWith("fmgg"u8) || start.StartsWith("tjgg"u8))
            throw new SlipstreamException($"'{path}' is in the old GGML format, which GGUF replaced; download the model as GGUF.");
        string bytes = Convert.ToHexString(start[..Math.Min(4, start.Length)]);
        throw new SlipstreamException($"'{path}' is not a GGUF file: it begins with the bytes {bytes}, not with 'GGUF'; check that it is the right file.");
    }

    private int ReadVersion(ref GgufCursor cursor)
    {
        uint version = cursor.UInt32("the version");
        if (version is 2 or 3) return (int)version;
        if ((version & 0xFFFF) == 0 && version != 0)
            throw new SlipstreamException($"'{Path}' is a big-endian GGUF file; download or convert the model as little-endian GGUF.");
        throw new SlipstreamException($"'{Path}' has GGUF version {version}, but only 2 and 3 can be read; {(version < 2 ? "convert the model again" : "use a newer Slipstream or convert the model to version 3")}.");
    }

    private Dictionary<string, GgufValue> ReadMetadata(ref GgufCursor cursor, long count)
    {
        // Not sized by the count: a lying count must not cost memory.
        Dictionary<string, GgufValue> values = new(StringComparer.Ordinal);
        for (long i = 0; i < count; i++)
        {
            string key = cursor.Name("a metadata key", LongestKey);
            if (!values.TryAdd(key, cursor.Value(key)))
                throw Invalid(Path, $"it has the metadata key '{MessageText.Clip(key)}' twice");
        }
        return values;
    }

    private int ReadAlignment()
    {
        const string key = "general.alignment";
        int alignment = Metadata.Int32(key, DefaultAlignment);
        return BitOperations.IsPow2(alignment) ? alignment : throw Metadata.Invalid(key, $"is {alignment}, not a power of two; export the file again");
    }

    private void ReadTensors(ref GgufCursor cursor, long count)
    {
        Span<long> dimensions = stackalloc long[MostDimensions];
        for (long i = 0; i < count; i++)
        {
            string name = cursor.Name("a tensor name", LongestTensorName);
            uint rank = cursor.UInt32(name);
            if (rank > MostDimensions)
                throw InvalidTensor(name, $"has {rank} dimensions, more than {MostDimensions}");
            Int128 elements = 1;
            // The file has the innermost dimension first.
            for (int d = (int)rank - 1; d >= 0; d--)
            {
                ulong dimension = cursor.UInt64(name);
                elements *= dimension;
                if (dimension == 0 || elements > long.MaxValue)
                    throw InvalidTensor(name, $"has a dimension of {dimension}, which cannot be right");
                dimensions[d] = (long)dimension;
            }
            uint type = cursor.UInt32(name);
            ulong offset = cursor.UInt64(name);
            if (!GgufTensorType.TryGet(type, out WeightFormat? format, out string? problem))
                throw InvalidTensor(name, problem);
            long columns = rank == 0 ? 1 : dimensions[(int)rank - 1];
            if (columns % format.BlockLength != 0)
                throw InvalidTensor(name, $"has rows of {columns} weights, not whole {format.Name} blocks of {format.BlockLength}");
            Int128 bytes = elements / format.BlockLength * format.BlockBytes;
            if (offset > (ulong)_file.Length || bytes > _file.Length)
                throw InvalidTensor(name, string.Create(CultureInfo.InvariantCulture, $"needs {bytes} bytes from byte {offset} of the data, but the file has only {_file.Length}"));
            if (offset % (ulong)Alignment != 0)
                throw InvalidTensor(name, $"begins at byte {offset} of the data, not on a boundary of {Alignment}");
            if (!_tensors.TryAdd(name, new TensorInfo(name, format.Name, [.. dimensions[..(int)rank]], (long)bytes)))
                throw Invalid(Path, $"it has two tensors named '{MessageText.Clip(name)}'");
            _offsets.Add(name, (long)offset);
        }
    }

    private void CheckLayout(long headerEnd)
    {
        long dataStart = (headerEnd + Alignment - 1) / Alignment * Alignment;
        string[] names = [.. _tensors.Keys];
        long[] begins = new long[names.Length];
        for (int i = 0; i < names.Length; i++)
        {
            begins[i] = dataStart + _offsets[names[i]];
            _offsets[names[i]] = begins[i];
        }
        Array.Sort(begins, names);
        long end = dataStart;
        for (int i = 0; i < names.Length; i++)
        {
            if (begins[i] < end)
                throw InvalidTensor(names[i], $"overlaps another: it begins at byte {begins[i]}, before {end}");
            end = begins[i] + _tensors[names[i]].Bytes;
            if (end > _file.Length)
                throw InvalidTensor(names[i], $"ends at byte {end}, but the file is cut short at {_file.Length}");
        }
    }

    private SlipstreamException InvalidTensor(string name, string problem) => Invalid(Path, $"tensor '{MessageText.Clip(name)}' {problem}");
}
