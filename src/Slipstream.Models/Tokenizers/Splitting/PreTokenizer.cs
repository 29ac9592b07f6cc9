namespace Slipstream.Models;

/// <summary>Cuts text into the pieces ("words") that are encoded each by itself. Stateless.</summary>
internal abstract class PreTokenizer
{
    /// <summary>Adds the pieces of one piece of text to <paramref name="output"/>; never an empty one.</summary>
    public abstract void Split(Piece piece, List<Piece> output);
}

/// <summary>Where the text goes that a split pattern matched.</summary>
internal enum SplitBehavior
{
    /// <summary>A piece of its own.</summary>
    Isolated,

    /// <summary>Nowhere: it is dropped.</summary>
    Removed,

    /// <summary>To the piece before it.</summary>
    MergedWithPrevious,

    /// <summary>To the piece after it.</summary>
    MergedWithNext,

    /// <summary>A piece of its own together with the matches beside it.</summary>
    Contiguous,
}

/// <summary>Cuts at the matches of a pattern.</summary>
internal sealed class SplitPreTokenizer(SplitPattern? pattern, SplitBehavior behavior, bool invert) : PreTokenizer
{
    public override void Split(Piece piece, List<Piece> output)
    {
        ReadOnlySpan<char> text = piece.Span;
        Joiner joiner = new(piece, behavior, output);
        long budget = SplitPattern.Budget(text.Length);
        int at = 0;
        while (pattern is not null && at < text.Length)
        {
            (int from, int to) = pattern.Find(text, at, ref budget);
            if (from < 0)
                break;
            if (from > at)
                joiner.Add(at, from, invert);
            joiner.Add(from, to, !invert);
            at = to;
        }
        if (at < text.Length)
            joiner.Add(at, text.Length, invert);
        joiner.Finish();
    }

    private struct Joiner(Piece piece, SplitBehavior behavior, List<Piece> output)
    {
        private int _from = -1, _to;
        private bool _match;

        public void Add(int from, int to, bool match)
        {
            bool joins = _from >= 0 && behavior switch
            {
                SplitBehavior.MergedWithPrevious => match && !_match,
                SplitBehavior.MergedWithNext => !match && _match,
                SplitBehavior.Contiguous => match == _match,
                _ => false,
            };
            if (!joins)
            {
                Finish();
                _from = from;
            }
            _to = to;
            _match = match;
        }

        public void Finish()
        {
            if (_from >= 0 && !(_match && behavior == SplitBehavior.Removed))
                output.Add(new Piece(piece.Source, piece.From + _from, piece.From + _to));
            _from = -1;
        }
    }
}

/// <summary>The first half of the byte-level pre-tokenizer: a space in front, and GPT-2's pattern. The alphabet of bytes is the model's affair.</summary>
internal sealed class ByteLevelPreTokenizer(bool addPrefixSpace, bool useRegex) : PreTokenizer
{
    private static readonly SplitPreTokenizer Gpt2 = new(SplitPattern.Compile(SplitPattern.Gpt2, "GPT-2"), SplitBehavior.Isolated, false);

    public override void Split(Piece piece, List<Piece> output)
    {
        if (addPrefixSpace && piece.Span[0] != ' ')
        {
            AlignedText spaced = piece.Source.WithSpaceBefore(piece.From, piece.To);
            piece = new Piece(spaced, 0, spaced.Text.Length);
        }
        if (useRegex)
            Gpt2.Split(piece, output);
        else
            output.Add(piece);
    }
}
