using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using Slipstream.Distillation.Tokenizers;
using Slipstream.Models;

namespace Slipstream.Distillation.Training;

/// <summary>Turns text files into the token stream of a run, once: the result is kept in a file beside the run.</summary>
/// <remarks>
/// A literal <c>&lt;|endoftext|&gt;</c> separates documents; the end of a file ends one too. The last documents are held out, as many as <c>heldOut</c> of all; where there
/// are fewer than twenty, the last parts of the text, cut at line breaks.
/// </remarks>
internal sealed class TextTokens
{
    /// <summary>What separates documents in a text file.</summary>
    public const string Separator = TrainedTokenizer.EndOfText;

    private const int PartLength = 4096, BlockLength = 1 << 20, FewDocuments = 20;
    private const ulong Magic = 0x316B6F74_70696C73;

    private readonly Tokenizer _tokenizer;
    private readonly int _end;
    private readonly List<int> _tokens = [];
    private readonly List<Cut> _documents = [], _parts = [];
    private long _bytes;

    private TextTokens(Tokenizer tokenizer, int end) => (_tokenizer, _end) = (tokenizer, end);

    /// <summary>A place where the text may be cut: before it there are so many tokens and bytes.</summary>
    private readonly record struct Cut(int Tokens, long Bytes);

    /// <summary>The token that stands between documents: the tokenizer's <c>&lt;|endoftext|&gt;</c>, else the one that it says ends a text.</summary>
    /// <exception cref="SlipstreamException">There is none.</exception>
    public static int EndToken(Tokenizer tokenizer) =>
        tokenizer.TokenId(Separator) ?? tokenizer.EndToken ?? throw new SlipstreamException($"The tokenizer has neither a token '{Separator}' nor one that ends a text; take a tokenizer that has.");

    /// <summary>Reads the tokens of files, from <paramref name="cache"/> where that was made from the same.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="identity">What tells the tokenizer apart from others, such as a hash of its file.</param>
    /// <param name="files">Text files, UTF-8.</param>
    /// <param name="heldOut">The part of the documents to hold out, 0 to 1.</param>
    /// <param name="heldOutFile">A file to evaluate on instead; null for none.</param>
    /// <param name="cache">Where the tokens are kept; null for nowhere.</param>
    /// <param name="progress">Told the bytes read and their number in all.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <exception cref="SlipstreamException">A file cannot be read, or is empty.</exception>
    public static TokenDataset Read(Tokenizer tokenizer, string identity, IReadOnlyList<string> files, double heldOut, string? heldOutFile, string? cache, Action<long, long>? progress = null, CancellationToken cancellationToken = default)
    {
        string[] all = heldOutFile is null ? [.. files] : [.. files, heldOutFile];
        string fingerprint = Fingerprint(identity, all, heldOut, heldOutFile is not null);
        if (cache is not null && Cached(cache, fingerprint) is { } known) return known;
        long total = all.Sum(file => new FileInfo(file).Length), before = 0;
        TextTokens training = new(tokenizer, EndToken(tokenizer)), evaluation = new(tokenizer, EndToken(tokenizer));
        for (int i = 0; i < all.Length; i++)
        {
            long start = before;
            (i == files.Count ? evaluation : training).Add(all[i], position => progress?.Invoke(start + position, total), cancellationToken);
            before += new FileInfo(all[i]).Length;
        }
        TokenDataset data = heldOutFile is null ? training.Split(heldOut, fingerprint)
            : new TokenDataset([.. training._tokens], [.. evaluation._tokens], training._bytes, evaluation._bytes, fingerprint);
        if (data.Training.Length == 0) throw new SlipstreamException($"'{string.Join("', '", files)}' has no text to train on; give a file with text in it.");
        if (cache is not null) Store(cache, data);
        return data;
    }

    private static string Fingerprint(string identity, string[] files, double heldOut, bool separate)
    {
        XxHash128 hash = new();
        hash.Append(Encoding.UTF8.GetBytes(FormattableString.Invariant($"{identity}|{(separate ? -1 : heldOut)}")));
        foreach (string file in files)
        {
            try
            {
                using FileStream stream = File.OpenRead(file);
                hash.Append(stream);
                hash.Append(BitConverter.GetBytes(stream.Length));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new SlipstreamException(File.Exists(file) ? $"'{file}' cannot be read: {e.Message.TrimEnd('.')}." : $"'{file}' does not exist; give a text file.", e);
            }
        }
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    private void Add(string file, Action<long> position, CancellationToken cancellationToken)
    {
        bool any = false;
        List<(string Text, bool Ends)> waiting = [];
        foreach ((string part, bool ends, long read) in Parts(file))
        {
            waiting.Add((part, ends));
            any |= part.Length > 0;
            if (waiting.Count < 512) continue;
            cancellationToken.ThrowIfCancellationRequested();
            Encode(waiting);
            position(read);
        }
        Encode(waiting);
        position(new FileInfo(file).Length);
        if (!any) throw new SlipstreamException($"'{file}' has no text in it; give a file with text.");
    }

    private void Encode(List<(string Text, bool Ends)> parts)
    {
        int[][] ids = new int[parts.Count][];
        Parallel.For(0, parts.Count, i => ids[i] = parts[i].Text.Length == 0 ? [] : [.. _tokenizer.Encode(parts[i].Text, addSpecialTokens: false).Ids]);
        for (int i = 0; i < parts.Count; i++)
        {
            if (_tokens.Count > 2_000_000_000 - ids[i].Length) throw new SlipstreamException("The text has more than 2000000000 tokens; give less.");
            _tokens.AddRange(ids[i]);
            _bytes += Encoding.UTF8.GetByteCount(parts[i].Text);
            if (parts[i].Ends && (_documents.Count > 0 ? _documents[^1].Tokens : 0) < _tokens.Count)
            {
                _tokens.Add(_end);
                _documents.Add(new Cut(_tokens.Count, _bytes));
            }
            _parts.Add(new Cut(_tokens.Count, _bytes));
        }
        parts.Clear();
    }

    private TokenDataset Split(double heldOut, string fingerprint)
    {
        List<Cut> cuts = _documents.Count >= FewDocuments ? _documents : _parts;
        int kept = cuts.Count - (heldOut <= 0 || cuts.Count < 2 ? 0 : Math.Clamp((int)Math.Ceiling(cuts.Count * heldOut), 1, cuts.Count - 1));
        Cut cut = kept == cuts.Count ? new Cut(_tokens.Count, _bytes) : cuts[kept - 1];
        Span<int> tokens = CollectionsMarshal.AsSpan(_tokens);
        return new TokenDataset(tokens[..cut.Tokens].ToArray(), tokens[cut.Tokens..].ToArray(), cut.Bytes, _bytes - cut.Bytes, fingerprint);
    }

    // Documents, the long ones in parts that no word reaches across: they are cut behind a line break that stands alone between words.
    private static IEnumerable<(string Text, bool Ends, long Read)> Parts(string file)
    {
        using StreamReader reader = new(file, new UTF8Encoding(false, throwOnInvalidBytes: true));
        char[] block = new char[BlockLength];
        string held = "";
        while (true)
        {
            int count;
            try
            {
                count = reader.ReadBlock(block);
            }
            catch (DecoderFallbackException e)
            {
                throw new SlipstreamException($"'{file}' is not UTF-8: {e.Message.TrimEnd('.')}; convert it to UTF-8.", e);
            }
            string text = held.Length > 0 ? string.Concat(held, block.AsSpan(0, count)) : new string(block, 0, count);
            bool last = count < block.Length;
            int start = 0;
            for (int at; (at = text.IndexOf(Separator, start, StringComparison.Ordinal)) >= 0; start = at + Separator.Length)
                foreach ((string part, bool ends) in Pieces(text[start..at])) yield return (part, ends, reader.BaseStream.Position);
            if (last)
            {
                foreach ((string part, bool ends) in Pieces(text[start..])) yield return (part, ends, reader.BaseStream.Position);
                yield break;
            }
            int end = LastCut(text, start);
            if (end > start)
            {
                foreach ((string part, _) in Pieces(text[start..end])) yield return (part, false, reader.BaseStream.Position);
                start = end;
            }
            held = text[start..];
        }
    }

    private static IEnumerable<(string Text, bool Ends)> Pieces(string document)
    {
        int start = 0;
        for (int i = PartLength; i < document.Length - 1; i++)
            if (i - start >= PartLength && IsCut(document, i))
            {
                yield return (document[start..(i + 1)], false);
                start = i + 1;
            }
        yield return (document[start..], true);
    }

    // A separator that the block cuts in two must stay whole: it has no line break, so the text behind the last cut is kept.
    private static int LastCut(string text, int start)
    {
        for (int i = text.Length - 2; i > start; i--)
            if (IsCut(text, i)) return i + 1;
        return start;
    }

    private static bool IsCut(string text, int i) => text[i] == '\n' && i > 0 && !char.IsWhiteSpace(text[i - 1]) && !char.IsWhiteSpace(text[i + 1]);

    private static TokenDataset? Cached(string path, string fingerprint)
    {
        if (!File.Exists(path)) return null;
        byte[] content = File.ReadAllBytes(path);
        ReadOnlySpan<byte> rest = content;
        // Anything that is not exactly what was written is made again.
        if (rest.Length < 72 || BinaryPrimitives.ReadUInt64LittleEndian(rest) != Magic || Encoding.ASCII.GetString(rest[8..40]) != fingerprint) return null;
        long training = BinaryPrimitives.ReadInt64LittleEndian(rest[40..]), bytes = BinaryPrimitives.ReadInt64LittleEndian(rest[48..]), heldOutBytes = BinaryPrimitives.ReadInt64LittleEndian(rest[56..]);
        ulong checksum = BinaryPrimitives.ReadUInt64LittleEndian(rest[64..]);
        ReadOnlySpan<int> tokens = MemoryMarshal.Cast<byte, int>(rest[72..]);
        if (XxHash3.HashToUInt64(rest[72..]) != checksum || training < 0 || training > tokens.Length) return null;
        return new TokenDataset(tokens[..(int)training].ToArray(), tokens[(int)training..].ToArray(), bytes, heldOutBytes, fingerprint);
    }

    private static void Store(string path, TokenDataset data)
    {
        byte[] content = new byte[72 + 4 * ((long)data.Training.Length + data.HeldOut.Length)];
        Span<byte> rest = content;
        BinaryPrimitives.WriteUInt64LittleEndian(rest, Magic);
        Encoding.ASCII.GetBytes(data.Fingerprint, rest[8..40]);
        BinaryPrimitives.WriteInt64LittleEndian(rest[40..], data.Training.Length);
        BinaryPrimitives.WriteInt64LittleEndian(rest[48..], data.TrainingBytes);
        BinaryPrimitives.WriteInt64LittleEndian(rest[56..], data.HeldOutBytes);
        Span<int> tokens = MemoryMarshal.Cast<byte, int>(rest[72..]);
        data.Training.Span.CopyTo(tokens);
        data.HeldOut.Span.CopyTo(tokens[data.Training.Length..]);
        BinaryPrimitives.WriteUInt64LittleEndian(rest[64..], XxHash3.HashToUInt64(rest[72..]));
        DurableFile.WriteAllBytes(path, content);
    }
}
