using System.Runtime.InteropServices;
using Slipstream.Models;

namespace Slipstream.Distillation.Tokenizers;

/// <summary>Counts the words of texts, cut as SmolLM2's tokenizer cuts them: each digit by itself, the rest by GPT-2's pattern.</summary>
internal sealed class WordCounter
{
    private static readonly PreTokenizer[] PreTokenizers =
        [new SplitPreTokenizer(SplitPattern.One(CodePointSet.Number), SplitBehavior.Isolated, false), new ByteLevelPreTokenizer(addPrefixSpace: false, useRegex: true)];

    private readonly Dictionary<string, long> _counts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly AddedVocabulary _special;
    private List<Piece> _words = [], _split = [];

    /// <summary>A counter.</summary>
    /// <param name="specialTokens">Texts that are no words and that no word reaches across.</param>
    public WordCounter(IReadOnlyList<string> specialTokens)
    {
        _lookup = _counts.GetAlternateLookup<ReadOnlySpan<char>>();
        _special = new AddedVocabulary([.. specialTokens.Select((token, id) => new AddedToken(id, token, false, false, false, false, true))], []);
    }

    /// <summary>How often each word occurred.</summary>
    public IReadOnlyDictionary<string, long> Counts => _counts;

    /// <summary>Adds a text.</summary>
    public void Add(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        foreach (Piece piece in _special.Split(text))
        {
            if (piece.Added >= 0)
                continue;
            _words.Clear();
            _words.Add(piece);
            foreach (PreTokenizer preTokenizer in PreTokenizers)
            {
                _split.Clear();
                foreach (Piece word in _words)
                    preTokenizer.Split(word, _split);
                (_words, _split) = (_split, _words);
            }
            foreach (Piece word in _words)
                CollectionsMarshal.GetValueRefOrAddDefault(_lookup, word.Span, out _)++;
        }
    }
}
