using System.Collections.Immutable;
using System.Numerics;
using System.Text;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>Gives the writer some encoded rows of a tensor.</summary>
/// <param name="firstRow">The first row wanted; a tensor of one dimension is one row.</param>
/// <param name="rows">How many.</param>
/// <param name="destination"><c>[rows · bytes of a row]</c>, to be filled.</param>
public delegate void EncodedRowsReader(long firstRow, int rows, Span<byte> destination);

/// <summary>Writes GGUF files of version 3: metadata and tensors are named first, then the file is written in one go, a few rows at a time.</summary>
/// <remarks>The same calls give the same bytes. Source: the GGUF specification in the ggml repository. Not for two threads at a time.</remarks>
public sealed class GgufWriter
{
    private const int ChunkBytes = 4 << 20;
    private readonly List<byte[]> _keys = [];
    private readonly HashSet<string> _keyNames = new(StringComparer.Ordinal), _tensorNames = new(StringComparer.Ordinal);
    private readonly List<Tensor> _tensors = [];
    private readonly int _alignment;
    private long _dataBytes;

    /// <summary>Begins a file.</summary>
    /// <param name="alignment">The boundary, in bytes, on which each tensor begins: a power of two of at least 8.</param>
    /// <exception cref="ArgumentException">The alignment is none.</exception>
    public GgufWriter(int alignment = 32)
    {
        if (alignment < 8 || !BitOperations.IsPow2(alignment)) throw new ArgumentException($"The alignment is {alignment}; it must be a power of two of at least 8.", nameof(alignment));
        _alignment = alignment;
        if (alignment != 32) Add("general.alignment", (uint)alignment);
    }

    /// <summary>The length of the file, in bytes.</summary>
    public long Length => Header().LongLength + _dataBytes;

    /// <summary>Adds a metadata value.</summary>
    /// <typeparam name="T">A whole number of 8 to 64 bits, <see cref="float"/>, <see cref="double"/>, <see cref="bool"/> or <see cref="string"/>.</typeparam>
    /// <exception cref="ArgumentException">The key is empty or given twice, or GGUF has no such type.</exception>
    public GgufWriter Add<T>(string key, T value) where T : notnull
    {
        return Add(key, TypeOf(typeof(T)), writer => Payload(writer, value));
    }

    /// <summary>Adds a list of metadata values.</summary>
    /// <typeparam name="T">As for <see cref="Add{T}"/>.</typeparam>
    /// <exception cref="ArgumentException">The key is empty or given twice, or GGUF has no such type.</exception>
    public GgufWriter AddList<T>(string key, IReadOnlyList<T> values) where T : notnull
    {
        ArgumentNullException.ThrowIfNull(values);
        GgufType type = TypeOf(typeof(T));
        return Add(key, GgufType.Array, writer =>
        {
            writer.Write((uint)type);
            writer.Write((ulong)values.Count);
            for (int i = 0; i < values.Count; i++) Payload(writer, values[i]);
        });
    }

    /// <summary>Adds a value as another file has it.</summary>
    internal void AddCopy(string key, GgufValue value, ReadOnlySpan<byte> payload)
    {
        byte[] bytes = payload.ToArray();
        Add(key, value.Type, writer =>
        {
            if (value.Type == GgufType.Array)
            {
                writer.Write((uint)value.Element);
                writer.Write((ulong)value.Count);
            }
            else if (value.Type == GgufType.String)
            {
                writer.Write((ulong)bytes.Length);
            }
            writer.Write(bytes);
        });
    }

    /// <summary>Adds a tensor; its rows are asked for when the file is written.</summary>
    /// <param name="name">Its name, at most 64 bytes long in UTF-8, which is what ggml reads.</param>
    /// <param name="format">The GGUF name of its encoding, such as <c>Q8_0</c>.</param>
    /// <param name="shape">Row-major, outermost dimension first; the last dimension is the length of a row. One to four dimensions.</param>
    /// <param name="read">Called with rising row numbers, each row once.</param>
    /// <exception cref="ArgumentException">The name is taken or too long, the format is unknown, or the shape does not fit it.</exception>
    public GgufWriter AddTensor(string name, string format, ImmutableArray<long> shape, EncodedRowsReader read)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(read);
        if (!WeightFormats.TryGet(format, out WeightFormat? known)) throw new ArgumentException($"The format '{format}' of the tensor '{name}' is unknown.", nameof(format));
        if (Encoding.UTF8.GetByteCount(name) >= 64) throw new ArgumentException($"The tensor name '{name}' is longer than 63 bytes.", nameof(name));
        if (shape.IsDefaultOrEmpty || shape.Length > 4 || shape.Any(d => d < 1) || shape[^1] % known.BlockLength != 0)
            throw new ArgumentException($"The tensor '{name}' has the shape [{(shape.IsDefault ? "" : string.Join(", ", shape))}]; {format} needs one to four dimensions of at least 1, the last a multiple of {known.BlockLength}.", nameof(shape));
        long rowBytes = known.BytesOf(shape[^1]), rows = 1;
        foreach (long dimension in shape.AsSpan()[..^1]) rows = checked(rows * dimension);
        if (rowBytes > Array.MaxLength) throw new ArgumentException($"A row of the tensor '{name}' takes {rowBytes} bytes, more than can be held at once.", nameof(shape));
        if (!_tensorNames.Add(name)) throw new ArgumentException($"The tensor name '{name}' is given twice.", nameof(name));
        _tensors.Add(new Tensor(name, known, shape, rows, (int)rowBytes, _dataBytes, read));
        _dataBytes = checked(_dataBytes + Aligned(rows * rowBytes));
        return this;
    }

    /// <summary>
    /// Writes the file: first under a temporary name in the same folder, then renamed, so that <paramref name="path"/> never holds half a file
    /// and may even be a file that is being read.
    /// </summary>
    /// <exception cref="SlipstreamException">The file cannot be written, for instance because the disk is full; nothing is left behind.</exception>
    public void Write(string path) => Write(path, create: null);

    internal void Write(string path, Func<string, long, Stream>? create)
    {
        byte[] header = Header();
        WholeFile.Write(path, header.LongLength + _dataBytes, stream =>
        {
            stream.Write(header);
            byte[] chunk = new byte[ChunkBytes];
            foreach (Tensor tensor in _tensors) WriteData(stream, tensor, ref chunk);
        }, create);
    }

    private void WriteData(Stream stream, Tensor tensor, ref byte[] chunk)
    {
        if (tensor.RowBytes > chunk.Length) chunk = new byte[tensor.RowBytes];
        int most = chunk.Length / tensor.RowBytes;
        for (long row = 0; row < tensor.Rows; row += most)
        {
            int rows = (int)Math.Min(most, tensor.Rows - row);
            Span<byte> part = chunk.AsSpan(0, rows * tensor.RowBytes);
            tensor.Read(row, rows, part);
            stream.Write(part);
        }
        long bytes = tensor.Rows * tensor.RowBytes;
        stream.Write(new byte[Aligned(bytes) - bytes]);
    }

    private byte[] Header()
    {
        using MemoryStream buffer = new();
        using BinaryWriter writer = new(buffer);
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)_tensors.Count);
        writer.Write((ulong)_keyNames.Count);
        foreach (byte[] key in _keys) writer.Write(key);
        foreach (Tensor tensor in _tensors)
        {
            Text(writer, tensor.Name);
            writer.Write((uint)tensor.Shape.Length);
            // The file has the innermost dimension first.
            for (int d = tensor.Shape.Length - 1; d >= 0; d--) writer.Write((ulong)tensor.Shape[d]);
            writer.Write((uint)tensor.Format.GgmlType);
            writer.Write((ulong)tensor.Offset);
        }
        writer.Write(new byte[Aligned(buffer.Length) - buffer.Length]);
        return buffer.ToArray();
    }

    private GgufWriter Add(string key, GgufType type, Action<BinaryWriter> payload)
    {
        ArgumentException.ThrowIfNullOrEmpty(key);
        if (!_keyNames.Add(key)) throw new ArgumentException($"The metadata key '{key}' is given twice.", nameof(key));
        using MemoryStream buffer = new();
        using BinaryWriter writer = new(buffer);
        Text(writer, key);
        writer.Write((uint)type);
        payload(writer);
        _keys.Add(buffer.ToArray());
        return this;
    }

    private long Aligned(long bytes) => checked(bytes + _alignment - 1) / _alignment * _alignment;

    private static void Payload(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case byte v: writer.Write(v); break;
            case sbyte v: writer.Write(v); break;
            case ushort v: writer.Write(v); break;
            case short v: writer.Write(v); break;
            case uint v: writer.Write(v); break;
            case int v: writer.Write(v); break;
            case float v: writer.Write(v); break;
            case bool v: writer.Write(v); break;
            case ulong v: writer.Write(v); break;
            case long v: writer.Write(v); break;
            case double v: writer.Write(v); break;
            default: Text(writer, (string)value); break;
        }
    }

    private static void Text(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static GgufType TypeOf(Type type) => (type.IsEnum ? TypeCode.Object : Type.GetTypeCode(type)) switch
    {
        TypeCode.Byte => GgufType.UInt8,
        TypeCode.SByte => GgufType.Int8,
        TypeCode.UInt16 => GgufType.UInt16,
        TypeCode.Int16 => GgufType.Int16,
        TypeCode.UInt32 => GgufType.UInt32,
        TypeCode.Int32 => GgufType.Int32,
        TypeCode.Single => GgufType.Float32,
        TypeCode.Boolean => GgufType.Bool,
        TypeCode.String => GgufType.String,
        TypeCode.UInt64 => GgufType.UInt64,
        TypeCode.Int64 => GgufType.Int64,
        TypeCode.Double => GgufType.Float64,
        _ => throw new ArgumentException($"GGUF has no metadata of the type {type.Name}."),
    };

    private sealed record Tensor(string Name, WeightFormat Format, ImmutableArray<long> Shape, long Rows, int RowBytes, long Offset, EncodedRowsReader Read);
}
