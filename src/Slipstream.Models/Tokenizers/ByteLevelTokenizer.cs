using System.Text;

namespace Slipstream.Models;

/// <summary>What a byte-level tokenizer is made of.</summary>
internal sealed record ByteLevelParts
{
    /// <summary>What it is called in messages: the file.</summary>
    public required string Source { get; init; }
    public required BpeVocabulary Vocabulary { get; init; }
    public IReadOnlyList<AddedToken> Added { get; init; } = [];
    public TextNormalizer[] Normalizers { get; init; } = [];
    public required IReadOnlyList<PreTokenizer> PreTokenizers { get; init; }
    public PostProcessor? PostProcessor { get; init; }
    public int? BeginToken { get; init; }
    public int? EndToken { get; init; }
}

/// <summary>Byte-level byte-pair encoding, as of GPT-2, Llama 3, Qwen 2 and SmolLM.</summary>
/// <remarks>Follows the Rust library <c>tokenizers</c>, ids and offsets both.</remarks>
internal sealed class ByteLevelTokenizer : Tokenizer
{
    private readonly ByteLevelParts _parts;
    private readonly BpeModel _model;
    private readonly AddedVocabulary _added;
    private readonly string?[] _tokens;
    private readonly byte[]?[] _bytes;
    private readonly Dictionary<string, int> _addedIds = [];
    private readonly HashSet<int> _special = [];

    public ByteLevelTokenizer(ByteLevelParts parts)
    {
        (BeginToken, EndToken) = (parts.BeginToken, parts.EndToken);
        _parts = parts;
        _model = new BpeModel(parts.Vocabulary);
        _added = new AddedVocabulary(parts.Added, parts.Normalizers);
        _tokens = [.. parts.Vocabulary.Tokens];
        _bytes = new byte[_tokens.Length][];
        HashSet<string> special = [.. parts.Added.Where(token => token.Special).Select(token => token.Content)];
        foreach (AddedToken token in parts.Added)
        {
            if (token.Id >= _tokens.Length)
            {
                Array.Resize(ref _tokens, token.Id + 1);
                Array.Resize(ref _bytes, token.Id + 1);
            }
            _tokens[token.Id] = token.Content;
            _addedIds[token.Content] = token.Id;
            // The reference knows special tokens by what they decode to: one that normalising changed is no longer special to it.
            string spelling = _added.Spelling(token);
            _bytes[token.Id] = ByteAlphabet.Decode(spelling);
            if (special.Contains(spelling))
                _special.Add(token.Id);
        }
    }

    private ByteLevelTokenizer(ByteLevelTokenizer other, int? begin, int? end)
    {
        (_parts, _model, _added, _tokens, _bytes, _addedIds, _special) =
            (other._parts, other._model, other._added, other._tokens, other._bytes, other._addedIds, other._special);
        (BeginToken, EndToken) = (begin, end);
    }

    /// <summary>The same tokenizer with other begin and end tokens; all else is shared.</summary>
    public ByteLevelTokenizer With(int? begin, int? end) => new(this, begin, end);

    /// <summary>What it is made of; the begin and end tokens are this tokenizer's own.</summary>
    public ByteLevelParts Parts => _parts;

    public override int VocabularySize => _tokens.Length;

    public override int? BeginToken { get; }

    public override int? EndToken { get; }

    public override TokenizedText Encode(string text, string? pair = null, bool addSpecialTokens = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<TokenSegment> segments = [EncodeText(text, 0)];
        if (pair is not null)
            segments.Add(EncodeText(pair, 1));
        if (_parts.PostProcessor is not null)
            segments = _parts.PostProcessor.Process(segments, addSpecialTokens);
        int count = segments.Sum(segment => segment.Ids.Count);
        List<int> ids = new(count), types = new(count);
        List<string> tokens = new(count);
        List<(int, int)> offsets = new(count);
        foreach (TokenSegment segment in segments)
        {
            ids.AddRange(segment.Ids);
            tokens.AddRange(segment.Tokens);
            offsets.AddRange(segment.Offsets);
            types.AddRange(Enumerable.Repeat(segment.TypeId, segment.Ids.Count));
        }
        return new TokenizedText(ids, tokens, offsets, types);
    }

    public override string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false)
    {
        int length = 0;
        foreach (int id in ids)
        {
            TokenText(id);
            length += Written(id, skipSpecialTokens).Length;
        }
        byte[] bytes = new byte[length];
        int at = 0;
        foreach (int id in ids)
        {
            ReadOnlySpan<byte> written = Written(id, skipSpecialTokens);
            written.CopyTo(bytes.AsSpan(at));
            at += written.Length;
        }
        return Encoding.UTF8.GetString(bytes);
    }

    public override string TokenText(int id) => Spelling(id)
        ?? throw new SlipstreamException($"'{_parts.Source}' has no token {id}; its ids run from 0 to {_tokens.Length - 1}.");

    internal override string? Spelling(int id) => (uint)id < (uint)_tokens.Length ? _tokens[id] : null;

    public override int? TokenId(string token) =>
        _addedIds.TryGetValue(token, out int id) || _parts.Vocabulary.Ids.TryGetValue(token, out id) ? id : null;

    public override bool IsSpecial(int id) => _special.Contains(id);

    public override TokenStream CreateStream(bool skipSpecialTokens = true) => new ByteLevelStream(this, skipSpecialTokens);

    /// <summary>The bytes that a token adds to the text; none for an id without a token.</summary>
    private ReadOnlySpan<byte> Written(int id, bool skipSpecialTokens)
    {
        return (uint)id < (uint)_bytes.Length && !(skipSpecialTokens && _special.Contains(id)) ? _bytes[id] ??= Decoded(id) : [];
    }

    // Found when first written: two threads may do it at once, to the same end.
    private byte[]? Decoded(int id) => _tokens[id] is { } token ? ByteAlphabet.Decode(token) : null;

    private TokenSegment EncodeText(string text, int typeId)
    {
        TokenSegment segment = new(typeId);
        List<Piece> words = [], split = [];
        foreach (Piece piece in _added.Split(text))
        {
            if (piece.Added >= 0)
            {
                segment.Add(piece.Added, piece.Span.ToString(), piece.Source.Origin(piece.From, piece.To - 1));
                continue;
            }
            words.Clear();
            words.Add(piece);
            foreach (PreTokenizer preTokenizer in _parts.PreTokenizers)
            {
                split.Clear();
                foreach (Piece word in words)
                    preTokenizer.Split(word, split);
                (words, split) = (split, words);
            }
            foreach (Piece word in words)
            {
                BpeWord encoded = _model.Encode(word.Span);
                for (int i = 0; i < encoded.Ids.Length; i++)
                    segment.Add(encoded.Ids[i], _parts.Vocabulary.Tokens[encoded.Ids[i]]!,
                        word.Source.Origin(word.From + encoded.First[i], word.From + encoded.Last[i]));
            }
        }
        return segment;
    }

    // The decoder holds back what could be the beginning of a character, so each token costs its own bytes and no more.
    private sealed class ByteLevelStream(ByteLevelTokenizer tokenizer, bool skipSpecialTokens) : TokenStream
    {
        private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

        public override string Append(int id) => Next(tokenizer.Written(id, skipSpecialTokens), false);

        public override string Flush() => Next([], true);

        private string Next(ReadOnlySpan<byte> bytes, bool flush)
        {
            int most = Encoding.UTF8.GetMaxCharCount(bytes.Length);
            Span<char> buffer = most <= 256 ? stackalloc char[256] : new char[most];
            return new string(buffer[.._decoder.GetChars(bytes, buffer, flush)]);
        }
    }
}
