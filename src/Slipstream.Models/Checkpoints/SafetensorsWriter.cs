using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Slipstream.Models;

/// <summary>Gives the writer some rows of a tensor.</summary>
/// <param name="firstRow">The first row wanted; a tensor of one dimension is one row.</param>
/// <param name="rows">How many.</param>
/// <param name="destination"><c>[rows · columns]</c>, to be filled.</param>
public delegate void TensorRowsReader(long firstRow, int rows, Span<float> destination);

/// <summary>A tensor to be written; its values are asked for when their turn comes.</summary>
/// <param name="Name">Its name, unique in the file.</param>
/// <param name="Shape">Row-major, outermost dimension first; the last dimension is the length of a row.</param>
/// <param name="Read">Called with rising row numbers, each row once.</param>
public sealed record TensorToWrite(string Name, ImmutableArray<long> Shape, TensorRowsReader Read)
{
    /// <summary>A tensor whose values are in memory.</summary>
    /// <exception cref="ArgumentException">The number of values is not that of the shape.</exception>
    public static TensorToWrite FromValues(string name, ImmutableArray<long> shape, ReadOnlyMemory<float> values)
    {
        if (shape.Aggregate(1L, (product, dimension) => product * dimension) != values.Length)
            throw new ArgumentException($"{values.Length} values do not fill the shape [{string.Join(", ", shape)}].", nameof(values));
        return new TensorToWrite(name, shape, (firstRow, rows, destination) =>
            values.Span.Slice((int)(firstRow * (destination.Length / rows)), destination.Length).CopyTo(destination));
    }
}

/// <summary>Writes safetensors files of float32 tensors, a few rows at a time.</summary>
public static class SafetensorsWriter
{
    private const int ChunkFloats = 1 << 18;

    /// <summary>
    /// Writes a file: first under a temporary name in the same folder, then renamed, so that <paramref name="path"/> never holds half a file
    /// and may even be a file that is being read.
    /// </summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="tensors">The tensors, in the order of their data.</param>
    /// <param name="metadata">Texts for <c>__metadata__</c>.</param>
    /// <exception cref="SlipstreamException">The file cannot be written, for instance because the disk is full; nothing is left behind.</exception>
    /// <exception cref="ArgumentException">Two tensors have one name, a name is reserved, or a dimension is negative.</exception>
    public static void Write(string path, IReadOnlyList<TensorToWrite> tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        Write(path, tensors, metadata, create: null);

    internal static void Write(string path, IReadOnlyList<TensorToWrite> tensors, IReadOnlyDictionary<string, string>? metadata, Func<string, long, Stream>? create)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        byte[] header = Header(tensors, metadata, out long dataLength);
        WholeFile.Write(path, header.Length + dataLength, stream =>
        {
            stream.Write(header);
            float[] chunk = new float[ChunkFloats];
            foreach (TensorToWrite tensor in tensors) WriteData(stream, tensor, ref chunk);
        }, create);
    }

    private static byte[] Header(IReadOnlyList<TensorToWrite> tensors, IReadOnlyDictionary<string, string>? metadata, out long dataLength)
    {
        HashSet<string> names = new(StringComparer.Ordinal) { "__metadata__" };
        using MemoryStream buffer = new();
        buffer.Write(stackalloc byte[8]);
        dataLength = 0;
        using (Utf8JsonWriter json = new(buffer))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject("__metadata__");
                foreach ((string key, string value) in metadata.OrderBy(m => m.Key, StringComparer.Ordinal)) json.WriteString(key, value);
                json.WriteEndObject();
            }
            foreach (TensorToWrite tensor in tensors)
            {
                if (!names.Add(tensor.Name))
                    throw new ArgumentException($"The tensor name '{tensor.Name}' is reserved or given twice.", nameof(tensors));
                long bytes = 4;
                foreach (long dimension in tensor.Shape)
                {
                    ArgumentOutOfRangeException.ThrowIfNegative(dimension, nameof(tensors));
                    bytes = checked(bytes * dimension);
                }
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", "F32");
                json.WriteStartArray("shape");
                foreach (long dimension in tensor.Shape) json.WriteNumberValue(dimension);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(dataLength);
                json.WriteNumberValue(dataLength = checked(dataLength + bytes));
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        // Spaces up to a multiple of 8 keep the data aligned.
        while (buffer.Length % 8 != 0) buffer.WriteByte((byte)' ');
        byte[] header = buffer.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(header, header.Length - 8);
        return header;
    }

    private static void WriteData(Stream stream, TensorToWrite tensor, ref float[] chunk)
    {
        long elements = tensor.Shape.Aggregate(1L, (product, dimension) => product * dimension);
        if (elements == 0) return;
        int columns = checked((int)(tensor.Shape.IsEmpty ? 1 : tensor.Shape[^1]));
        if (columns > chunk.Length) chunk = new float[columns];
        long allRows = elements / columns;
        int most = chunk.Length / columns;
        for (long row = 0; row < allRows; row += most)
        {
            int rows = (int)Math.Min(most, allRows - row);
            Span<float> part = chunk.AsSpan(0, rows * columns);
            tensor.Read(row, rows, part);
            if (!BitConverter.IsLittleEndian)
            {
                Span<int> bits = MemoryMarshal.Cast<float, int>(part);
                BinaryPrimitives.ReverseEndianness(bits, bits);
            }
            stream.Write(MemoryMarshal.AsBytes(part));
        }
    }
}
