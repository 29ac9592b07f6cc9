using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Slipstream.Distillation.Drafts;

/// <summary>What a target said at every position of some windows, read from the disk window by window. Reading is safe from several threads.</summary>
/// <remarks>
/// The file: 8 bytes <c>SLTEACH1</c>, the length of the header (int32), the header (JSON, the key), its XxHash64; then for each window the ids <c>[length, k]</c> (uint16, or int32 where
/// the vocabulary is over 65,536), the log-probabilities <c>[length, k]</c> and the log of the rest <c>[length]</c> as halves, and the XxHash64 of these. Little-endian.
/// Position i has the target's distribution after the window's tokens 0 to i, nothing before the window.
/// </remarks>
internal sealed class TeacherCache : IDisposable
{
    private readonly string _path;
    private readonly SafeFileHandle _file;
    private readonly long _first;
    private readonly Dictionary<long, int> _windows = [];

    private TeacherCache(string path, SafeFileHandle file, TeacherCacheKey key, ReadOnlySpan<long> offsets)
    {
        (_path, _file, Key) = (path, file, key);
        _first = key.Header().Length;
        for (int window = 0; window < offsets.Length; window++) _windows[offsets[window]] = window;
    }

    /// <summary>What it was made of.</summary>
    public TeacherCacheKey Key { get; }

    /// <summary>Opens a whole cache.</summary>
    /// <param name="path">The file.</param>
    /// <param name="key">What it must have been made of.</param>
    /// <param name="offsets">Where the windows begin, as when it was made.</param>
    /// <exception cref="SlipstreamException">It cannot be read, was made of something else, or is cut off.</exception>
    public static TeacherCache Open(string path, TeacherCacheKey key, ReadOnlySpan<long> offsets)
    {
        try
        {
            using (FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read))
            {
                key.Require(path, stream);
                if (stream.Length != key.FileBytes)
                    throw new SlipstreamException($"The teacher cache '{path}' has {stream.Length} bytes, expected {key.FileBytes}; it is damaged: remove it and it is made anew.");
            }
            return new TeacherCache(path, File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.RandomAccess), key, offsets);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"The teacher cache '{path}' cannot be read: {e.Message.TrimEnd('.')}.", e);
        }
    }

    /// <summary>Whether a window begins at an offset.</summary>
    public bool Has(long offset) => _windows.ContainsKey(offset);

    /// <summary>Reads the window that begins at an offset. The probabilities of a position, the rest among them, add up to one.</summary>
    /// <param name="offset">Where the window begins in the token stream.</param>
    /// <param name="tokens"><c>[length, k]</c>.</param>
    /// <param name="logProbabilities"><c>[length, k]</c>.</param>
    /// <param name="rest">Probabilities, <c>[length]</c>.</param>
    /// <exception cref="SlipstreamException">There is no such window, or its bytes are not those that were written.</exception>
    public void Read(long offset, Span<long> tokens, Span<float> logProbabilities, Span<float> rest)
    {
        if (!_windows.TryGetValue(offset, out int window))
            throw new SlipstreamException($"The teacher cache '{_path}' has no window that begins at token {offset}; training and cache must cut the text alike.");
        byte[] record = new byte[Key.WindowBytes];
        int read = RandomAccess.Read(_file, record, _first + (long)window * record.Length);
        if (!IsWhole(record.AsSpan(0, read), record.Length))
            throw new SlipstreamException($"The teacher cache '{_path}' is damaged in window {window}; remove it and it is made anew.");
        int best = Key.Best, ids = Key.Length * best;
        ReadOnlySpan<byte> idBytes = record.AsSpan(0, ids * Key.IdBytes);
        if (Key.IdBytes == 2)
        {
            ReadOnlySpan<ushort> values = MemoryMarshal.Cast<byte, ushort>(idBytes);
            for (int i = 0; i < ids; i++) tokens[i] = values[i];
        }
        else
        {
            ReadOnlySpan<int> values = MemoryMarshal.Cast<byte, int>(idBytes);
            for (int i = 0; i < ids; i++) tokens[i] = values[i];
        }
        ReadOnlySpan<Half> halves = MemoryMarshal.Cast<byte, Half>(record.AsSpan(idBytes.Length, (ids + Key.Length) * 2));
        for (int position = 0; position < Key.Length; position++)
        {
            Span<float> row = logProbabilities.Slice(position * best, best);
            double total = Math.Exp((double)halves[ids + position]);
            rest[position] = (float)total;
            for (int i = 0; i < best; i++) total += MathF.Exp(row[i] = (float)halves[position * best + i]);
            // Halves are rounded; what is left of that is divided out.
            float log = (float)Math.Log(total);
            foreach (ref float value in row) value -= log;
            rest[position] /= (float)total;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>Writes a window.</summary>
    internal static void Write(Span<byte> record, TeacherCacheKey key, ReadOnlySpan<int> tokens, ReadOnlySpan<float> logProbabilities, ReadOnlySpan<double> rest)
    {
        int ids = key.Length * key.Best;
        if (key.IdBytes == 2)
        {
            Span<ushort> values = MemoryMarshal.Cast<byte, ushort>(record[..(2 * ids)]);
            for (int i = 0; i < ids; i++) values[i] = (ushort)tokens[i];
        }
        else
        {
            tokens[..ids].CopyTo(MemoryMarshal.Cast<byte, int>(record[..(4 * ids)]));
        }
        Span<Half> halves = MemoryMarshal.Cast<byte, Half>(record.Slice(ids * key.IdBytes, (ids + key.Length) * 2));
        for (int i = 0; i < ids; i++) halves[i] = (Half)logProbabilities[i];
        for (int i = 0; i < key.Length; i++) halves[ids + i] = (Half)Math.Log(rest[i]);
        BinaryPrimitives.WriteUInt64LittleEndian(record[^8..], XxHash64.HashToUInt64(record[..^8]));
    }

    /// <summary>Whether the bytes of a window are all there and those that were written.</summary>
    internal static bool IsWhole(ReadOnlySpan<byte> record, int length) =>
        record.Length == length && BinaryPrimitives.ReadUInt64LittleEndian(record[^8..]) == XxHash64.HashToUInt64(record[..^8]);
}
