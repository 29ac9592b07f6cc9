using System.Buffers;
using System.Text;

namespace Slipstream.Models;

/// <summary>A token that is recognised in the text before anything else is done with it.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text.</param>
/// <param name="SingleWord">Whether it is only found where no word character stands beside it.</param>
/// <param name="LeftStrip">Whether it takes the white space before it.</param>
/// <param name="RightStrip">Whether it takes the white space after it.</param>
/// <param name="Normalized">Whether it is looked for in the normalised text, else in the text as given.</param>
/// <param name="Special">Whether it is left out when special tokens are skipped.</param>
internal sealed record AddedToken(int Id, string Content, bool SingleWord, bool LeftStrip, bool RightStrip, bool Normalized, bool Special);

/// <summary>Finds added tokens in text, leftmost first and of those the longest, as the reference library does.</summary>
internal sealed class AddedVocabulary
{
    private readonly TextNormalizer[] _normalizers;
    private readonly TokenTrie _asGiven = new(), _normalized = new();

    public AddedVocabulary(IReadOnlyList<AddedToken> tokens, TextNormalizer[] normalizers)
    {
        Tokens = tokens;
        _normalizers = normalizers;
        foreach (AddedToken token in tokens)
            if (token.Normalized)
                _normalized.Add(Spelling(token), token);
            else
                _asGiven.Add(token.Content, token);
        _asGiven.Freeze();
        _normalized.Freeze();
    }

    public IReadOnlyList<AddedToken> Tokens { get; }

    /// <summary>The text, normalised, with its added tokens found: pieces of text and tokens in order, none empty.</summary>
    public List<Piece> Split(string text)
    {
        List<Piece> raw = [], output = [];
        if (text.Length > 0)
            _asGiven.Split(Whole(AlignedText.Of(text)), raw);
        foreach (Piece piece in raw)
            if (piece.Added >= 0)
                output.Add(piece);
            else
                _normalized.Split(Normalize(piece), output);
        return output;
    }

    /// <summary>What the token is in normalised text, where that is where it is looked for. Decoding gives this.</summary>
    public string Spelling(AddedToken token) =>
        token.Normalized && token.Content.Length > 0 ? Normalize(Whole(AlignedText.Of(token.Content))).Span.ToString() : token.Content;

    private static Piece Whole(AlignedText text) => new(text, 0, text.Text.Length);

    private Piece Normalize(Piece piece)
    {
        foreach (TextNormalizer normalizer in _normalizers)
            piece = normalizer.Normalize(piece);
        return piece;
    }

    private sealed class TokenTrie
    {
        private readonly Node _root = new();
        private SearchValues<char> _firstUnits = SearchValues.Create("");

        public void Add(string content, AddedToken token)
        {
            if (content.Length == 0)
                return;
            Node node = _root;
            foreach (char unit in content)
            {
                node.Next ??= [];
                if (!node.Next.TryGetValue(unit, out Node? next))
                    node.Next[unit] = next = new Node();
                node = next;
            }
            node.Token ??= token;
        }

        public void Freeze() => _firstUnits = SearchValues.Create(_root.Next is null ? [] : [.. _root.Next.Keys]);

        public void Split(Piece piece, List<Piece> output)
        {
            ReadOnlySpan<char> text = piece.Span;
            int taken = 0;
            for (int at = 0; at < text.Length;)
            {
                int skip = text[at..].IndexOfAny(_firstUnits);
                if (skip < 0)
                    break;
                at += skip;
                (AddedToken? token, int end) = Longest(text, at);
                if (token is null)
                {
                    at++;
                    continue;
                }
                int from = at;
                at = end;
                if (token.SingleWord && (EndsWithWord(text[..from]) || StartsWithWord(text[end..])))
                    continue;
                // Spaces that the token before took are gone.
                if (token.LeftStrip)
                    from = Math.Max(taken, text[..from].TrimEnd().Length);
                if (token.RightStrip)
                    end = text.Length - text[end..].TrimStart().Length;
                if (from < taken)
                    continue;
                if (from > taken)
                    output.Add(new Piece(piece.Source, piece.From + taken, piece.From + from));
                output.Add(new Piece(piece.Source, piece.From + from, piece.From + end, token.Id));
                taken = end;
            }
            if (taken < text.Length)
                output.Add(new Piece(piece.Source, piece.From + taken, piece.To));
        }

        private (AddedToken? Token, int End) Longest(ReadOnlySpan<char> text, int at)
        {
            (AddedToken? Token, int End) found = (null, at);
            Node node = _root;
            while (at < text.Length && node.Next is not null && node.Next.TryGetValue(text[at], out Node? next))
            {
                node = next;
                at++;
                if (node.Token is not null)
                    found = (node.Token, at);
            }
            return found;
        }

        private static bool StartsWithWord(ReadOnlySpan<char> text) =>
            Rune.DecodeFromUtf16(text, out Rune rune, out _) == OperationStatus.Done && CodePointSet.RustWord.Contains(rune.Value);

        private static bool EndsWithWord(ReadOnlySpan<char> text) =>
            Rune.DecodeLastFromUtf16(text, out Rune rune, out _) == OperationStatus.Done && CodePointSet.RustWord.Contains(rune.Value);

        private sealed class Node
        {
            public Dictionary<char, Node>? Next { get; set; }
            public AddedToken? Token { get; set; }
        }
    }
}
