using System.Runtime.InteropServices;
using Slipstream.Models;

namespace Slipstream.Distillation.Tokenizers;

/// <summary>What a tokenizer is to be like.</summary>
internal sealed record BpeTrainerOptions
{
    /// <summary>The most tokens, special ones and the 256 bytes included.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>How often a pair must occur to be merged.</summary>
    public int MinimumFrequency { get; init; } = 2;

    /// <summary>The special tokens; their ids begin at 0.</summary>
    public IReadOnlyList<string> SpecialTokens { get; init; } = [TrainedTokenizer.EndOfText, TrainedTokenizer.MessageStart, TrainedTokenizer.MessageEnd];

    /// <summary>The smallest size there is: nothing merged.</summary>
    public int LeastVocabularySize => SpecialTokens.Count + 256;
}

/// <summary>Learns the merges of byte-level byte-pair encoding: the most frequent pair of neighbours becomes a token, again and again.</summary>
/// <remarks>
/// Source: Sennrich et al. 2016, arXiv:1508.07909. Merges and ids are those of the trainer of Hugging Face's <c>tokenizers</c>: of equally frequent pairs the one
/// of smaller ids goes first, and a token whose spelling exists already shares its id. Counts are kept up from merge to merge, so one costs only the words it changes.
/// </remarks>
internal static class BpeTrainer
{
    /// <summary>Learns a tokenizer.</summary>
    /// <param name="words">How often each word occurs; see <see cref="WordCounter"/>.</param>
    /// <param name="options">What it is to be like.</param>
    /// <param name="progress">Told the number of tokens there are, at times.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <returns>The tokenizer, of fewer tokens than asked for where no pair is frequent enough any more.</returns>
    /// <exception cref="SlipstreamException">The vocabulary is too small, a special token is given twice or empty, or there are no words.</exception>
    public static TrainedTokenizer Train(IReadOnlyDictionary<string, long> words, BpeTrainerOptions options, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(words);
        ArgumentNullException.ThrowIfNull(options);
        if (options.VocabularySize < options.LeastVocabularySize)
            throw new SlipstreamException(
                $"A vocabulary of {options.VocabularySize} tokens is too small: 256 bytes and {options.SpecialTokens.Count} special tokens take {options.LeastVocabularySize}; ask for at least that many.");
        if (words.Count == 0)
            throw new SlipstreamException("The text for the tokenizer is empty; give files with text in them.");
        Vocabulary vocabulary = new(options.SpecialTokens);
        List<(int Left, int Right, int Result)> merges = [];
        Corpus corpus = new(words, vocabulary);
        while (vocabulary.Tokens.Count < options.VocabularySize && corpus.Next(options.MinimumFrequency) is { } pair)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int result = vocabulary.Add(vocabulary.Tokens[pair.Left] + vocabulary.Tokens[pair.Right]);
            merges.Add((pair.Left, pair.Right, result));
            corpus.Merge(pair, result);
            if (vocabulary.Tokens.Count % 64 == 0)
                progress?.Report(vocabulary.Tokens.Count);
        }
        progress?.Report(vocabulary.Tokens.Count);
        return new TrainedTokenizer(vocabulary.Tokens, Distinct(merges), options.SpecialTokens);
    }

    // Where a token's spelling was reached twice, a pair may come again. A reader takes the last place of it.
    private static List<(int, int, int)> Distinct(List<(int Left, int Right, int Result)> merges)
    {
        HashSet<(int, int)> seen = [];
        List<(int, int, int)> kept = new(merges.Count);
        for (int i = merges.Count - 1; i >= 0; i--)
            if (seen.Add((merges[i].Left, merges[i].Right)))
                kept.Add(merges[i]);
        kept.Reverse();
        return kept;
    }

    private sealed class Vocabulary
    {
        private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);

        public Vocabulary(IReadOnlyList<string> special)
        {
            foreach (string token in special)
                if (token.Length == 0 || !_ids.TryAdd(token, Tokens.Count))
                    throw new SlipstreamException(token.Length == 0 ? "A special token is empty; give it a text." : $"The special token '{token}' is given twice; give it once.");
                else
                    Tokens.Add(token);
            char[] alphabet = [.. Enumerable.Range(0, 256).Select(value => ByteAlphabet.Character((byte)value)).Order()];
            foreach (char character in alphabet)
                Add(character.ToString());
        }

        public List<string> Tokens { get; } = [];

        public int Add(string token)
        {
            if (_ids.TryGetValue(token, out int known))
                return known;
            _ids.Add(token, Tokens.Count);
            Tokens.Add(token);
            return Tokens.Count - 1;
        }

        public int Byte(byte value) => _ids[ByteAlphabet.Character(value).ToString()];
    }

    /// <summary>The words as symbols, and how often each pair of neighbours occurs in them.</summary>
    private sealed class Corpus
    {
        private readonly int[][] _words;
        private readonly int[] _lengths;
        private readonly long[] _counts;
        private readonly Dictionary<ulong, long> _pairs = [];
        private readonly PriorityQueue<Candidate, (long Count, ulong Pair)> _queue = new(Comparer<(long Count, ulong Pair)>.Create(
            static (a, b) => a.Count != b.Count ? b.Count.CompareTo(a.Count) : a.Pair.CompareTo(b.Pair)));

        public Corpus(IReadOnlyDictionary<string, long> words, Vocabulary vocabulary)
        {
            _words = new int[words.Count][];
            _lengths = new int[words.Count];
            _counts = new long[words.Count];
            int[] bytes = [.. Enumerable.Range(0, 256).Select(value => vocabulary.Byte((byte)value))];
            Dictionary<ulong, List<int>> places = [];
            int word = 0;
            foreach ((string text, long count) in words)
            {
                int[] symbols = [.. System.Text.Encoding.UTF8.GetBytes(text).Select(value => bytes[value])];
                (_words[word], _lengths[word], _counts[word]) = (symbols, symbols.Length, count);
                for (int i = 1; i < symbols.Length; i++)
                    Change(Pair(symbols[i - 1], symbols[i]), 1, word, places);
                word++;
            }
            Enqueue(places);
        }

        private (Candidate Candidate, ulong Pair)? _next;

        /// <summary>The pair to merge now: the most frequent one, of equals the one of smallest ids; null where none is frequent enough.</summary>
        public (int Left, int Right)? Next(int minimum)
        {
            while (_queue.TryDequeue(out Candidate? candidate, out (long Count, ulong Pair) top))
            {
                // Merges since then may have taken from its count.
                long now = _pairs[top.Pair];
                if (now != top.Count)
                {
                    if (now > 0)
                        _queue.Enqueue(candidate, (now, top.Pair));
                    continue;
                }
                if (now < Math.Max(1, minimum))
                    return null;
                _next = (candidate, top.Pair);
                return ((int)(top.Pair >> 32), (int)(uint)top.Pair);
            }
            return null;
        }

        /// <summary>Merges the pair that <see cref="Next"/> gave, in all words that have it.</summary>
        public void Merge((int Left, int Right) pair, int result)
        {
            Dictionary<ulong, List<int>> places = [];
            foreach (int word in _next!.Value.Candidate.Words)
                MergeIn(word, pair.Left, pair.Right, result, places);
            Enqueue(places);
        }

        // The count of the merged pair itself stays as it is: it is out of the queue. The reference leaves it too, which matters where the pair comes to be again.
        private void MergeIn(int word, int left, int right, int result, Dictionary<ulong, List<int>> places)
        {
            int[] symbols = _words[word];
            int length = _lengths[word], write = 0;
            for (int read = 0; read < length; read++, write++)
            {
                if (symbols[read] != left || read + 1 >= length || symbols[read + 1] != right)
                {
                    symbols[write] = symbols[read];
                    continue;
                }
                if (write > 0)
                {
                    Change(Pair(symbols[write - 1], left), -1, word, places);
                    Change(Pair(symbols[write - 1], result), 1, word, places);
                }
                if (read + 2 < length)
                {
                    Change(Pair(right, symbols[read + 2]), -1, word, places);
                    Change(Pair(result, symbols[read + 2]), 1, word, places);
                }
                symbols[write] = result;
                read++;
            }
            _lengths[word] = write;
        }

        private void Change(ulong pair, int change, int word, Dictionary<ulong, List<int>> places)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_pairs, pair, out _) += change * _counts[word];
            if (change < 0)
                return;
            ref List<int>? words = ref CollectionsMarshal.GetValueRefOrAddDefault(places, pair, out _);
            words ??= [];
            // Words come one after the other, so a word that is there already is the last.
            if (words.Count == 0 || words[^1] != word)
                words.Add(word);
        }

        private void Enqueue(Dictionary<ulong, List<int>> places)
        {
            foreach ((ulong pair, List<int> words) in places)
                if (_pairs[pair] is > 0 and long count)
                    _queue.Enqueue(new Candidate(words), (count, pair));
        }

        private static ulong Pair(int left, int right) => (ulong)(uint)left << 32 | (uint)right;

        /// <summary>A pair that may be merged.</summary>
        /// <param name="Words">The words that may have it.</param>
        private sealed record Candidate(List<int> Words);
    }
}
