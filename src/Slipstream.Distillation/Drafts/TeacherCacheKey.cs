using System.Globalization;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Slipstream.Models;

namespace Slipstream.Distillation.Drafts;

/// <summary>What decides every byte of a teacher's cache.</summary>
/// <param name="Target">The fingerprint of the target's weights and of how its products are computed.</param>
/// <param name="Tokenizer">The fingerprint of the vocabulary.</param>
/// <param name="Tokens">The fingerprint of the token ids of the text.</param>
/// <param name="Windows">How many windows.</param>
/// <param name="WindowPlan">The fingerprint of where they begin.</param>
/// <param name="Length">Tokens of a window.</param>
/// <param name="Best">Tokens kept at a position.</param>
/// <param name="Vocabulary">Tokens of the vocabulary.</param>
/// <param name="Temperature">Divided the logits before the softmax.</param>
internal sealed record TeacherCacheKey(string Target, string Tokenizer, string Tokens, int Windows, string WindowPlan, int Length, int Best, int Vocabulary, double Temperature)
{
    /// <summary>Bytes of a token id.</summary>
    public int IdBytes => Vocabulary <= 65_536 ? 2 : 4;

    /// <summary>Bytes of a window: the ids, the log-probabilities and the log of the rest, and a checksum.</summary>
    public int WindowBytes => checked(Length * (Best * (IdBytes + 2) + 2) + 8);

    /// <summary>Bytes of the whole file.</summary>
    public long FileBytes => Header().Length + (long)Windows * WindowBytes;

    /// <summary>The name of the file in its folder: one cache for each key.</summary>
    public string FileName => $"teacher-{XxHash128.HashToUInt128(Text()).ToString("x32", CultureInfo.InvariantCulture)[..16]}.bin";

    /// <summary>The key of windows of a text.</summary>
    public static TeacherCacheKey Create(string target, string tokenizer, ReadOnlySpan<int> tokens, ReadOnlySpan<long> offsets, int length, int best, int vocabulary, double temperature) => new(
        target, tokenizer, Hash(MemoryMarshal.AsBytes(tokens)), offsets.Length, Hash(MemoryMarshal.AsBytes(offsets)), length, best, vocabulary, temperature);

    /// <summary>The fingerprint of a target: names, formats, shapes and bytes of its tensors, and what enters its products.</summary>
    public static string FingerprintOf(Checkpoint checkpoint, string activations)
    {
        XxHash128 hash = new();
        hash.Append(Encoding.UTF8.GetBytes(activations));
        foreach (TensorInfo tensor in checkpoint.Weights.Tensors.Values.OrderBy(t => t.Name, StringComparer.Ordinal))
        {
            hash.Append(Encoding.UTF8.GetBytes($"{tensor.Name} {tensor.Format} {string.Join('x', tensor.Shape)}\n"));
            var data = checkpoint.Weights.Data(tensor.Name);
            for (long at = 0; at < data.Length; at += 1 << 24) hash.Append(data.Span(at, (int)Math.Min(1 << 24, data.Length - at)));
        }
        return Text(hash);
    }

    /// <summary>The fingerprint of a vocabulary.</summary>
    public static string FingerprintOf(Tokenizer tokenizer)
    {
        XxHash128 hash = new();
        for (int id = 0; id < tokenizer.VocabularySize; id++) hash.Append(Encoding.UTF8.GetBytes($"{tokenizer.Spelling(id)}\n"));
        return Text(hash);
    }

    /// <summary>The first bytes of the file.</summary>
    public byte[] Header()
    {
        byte[] text = Text();
        using MemoryStream stream = new();
        using (BinaryWriter writer = new(stream, Encoding.UTF8, leaveOpen: true))
        {
            writer.Write(Magic);
            writer.Write(text.Length);
            writer.Write(text);
            writer.Write(XxHash64.HashToUInt64(text));
        }
        return stream.ToArray();
    }

    /// <summary>Reads the header of a file and refuses it unless it is this one, naming what differs.</summary>
    /// <exception cref="SlipstreamException">It is no cache, is damaged, or was made of something else.</exception>
    public void Require(string path, Stream stream)
    {
        byte[] wanted = Header(), found = new byte[wanted.Length];
        int read = stream.ReadAtLeast(found, found.Length, throwOnEndOfStream: false);
        if (found.AsSpan(0, read).SequenceEqual(wanted)) return;
        if (read < Magic.Length || !found.AsSpan(0, Magic.Length).SequenceEqual(Magic)) throw new SlipstreamException($"'{path}' is no teacher cache; remove it or name another folder with --cache.");
        stream.Position = Magic.Length;
        SortedDictionary<string, string> own = Fields(), other;
        try
        {
            using BinaryReader reader = new(stream, Encoding.UTF8, leaveOpen: true);
            int length = reader.ReadInt32();
            if (length is < 2 or > 65_536) throw new InvalidDataException();
            byte[] text = reader.ReadBytes(length);
            if (text.Length != length || reader.ReadUInt64() != XxHash64.HashToUInt64(text)) throw new InvalidDataException();
            other = JsonSerializer.Deserialize<SortedDictionary<string, string>>(text) ?? throw new InvalidDataException();
        }
        catch (Exception e) when (e is InvalidDataException or JsonException or EndOfStreamException)
        {
            throw new SlipstreamException($"The header of the teacher cache '{path}' is damaged; remove the file and it is made anew.", e);
        }
        foreach ((string name, string value) in own)
            if (!other.TryGetValue(name, out string? there) || there != value)
                throw new SlipstreamException($"The teacher cache '{path}' was made with another {name} ({there ?? "none"}, not {value}); remove it or name another folder with --cache.");
        throw new SlipstreamException($"The teacher cache '{path}' is of another version; remove it or name another folder with --cache.");
    }

    private static ReadOnlySpan<byte> Magic => "SLTEACH1"u8;

    private SortedDictionary<string, string> Fields() => new(StringComparer.Ordinal)
    {
        ["target"] = Target, ["tokenizer"] = Tokenizer, ["text"] = Tokens, ["number of windows"] = FormattableString.Invariant($"{Windows}"), ["place of windows"] = WindowPlan,
        ["window length"] = FormattableString.Invariant($"{Length}"), ["top-k"] = FormattableString.Invariant($"{Best}"), ["vocabulary"] = FormattableString.Invariant($"{Vocabulary}"),
        ["temperature"] = FormattableString.Invariant($"{Temperature}"),
    };

    private byte[] Text() => JsonSerializer.SerializeToUtf8Bytes(Fields());

    private static string Hash(ReadOnlySpan<byte> bytes) => XxHash128.HashToUInt128(bytes).ToString("x32", CultureInfo.InvariantCulture);

    private static string Text(XxHash128 hash) => hash.GetCurrentHashAsUInt128().ToString("x32", CultureInfo.InvariantCulture);
}
