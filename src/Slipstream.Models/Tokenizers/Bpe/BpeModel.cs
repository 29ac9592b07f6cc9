using System.Buffers;
using System.Collections.Concurrent;
using System.Text;

namespace Slipstream.Models;

/// <summary>The tokens of one word.</summary>
/// <param name="Ids">Their ids.</param>
/// <param name="First">For each, the UTF-16 unit of the word where the character begins that holds its first byte.</param>
/// <param name="Last">The same of its last byte.</param>
internal sealed record BpeWord(int[] Ids, int[] First, int[] Last);

/// <summary>A vocabulary and merges, read and checked.</summary>
/// <param name="Tokens">Spelling of each id, null where there is none.</param>
/// <param name="Ids">Id of each spelling.</param>
/// <param name="Merges">Left and right ids of each merge, the first the most urgent.</param>
/// <param name="UnknownId">The token for bytes that the vocabulary lacks; null: they are dropped.</param>
/// <param name="FuseUnknown">Whether neighbouring unknown bytes make one token.</param>
/// <param name="IgnoreMerges">Whether a word that is in the vocabulary is taken whole.</param>
internal sealed record BpeVocabulary(
    string?[] Tokens, Dictionary<string, int> Ids, IReadOnlyList<(int Left, int Right, int Result)> Merges,
    int? UnknownId = null, bool FuseUnknown = false, bool IgnoreMerges = false);

/// <summary>Byte-level byte-pair encoding of single words. Thread-safe.</summary>
/// <remarks>Source: Sennrich et al. 2016, arXiv:1508.07909; over bytes as in GPT-2.</remarks>
internal sealed class BpeModel
{
    private const int CachedWords = 32_768, CachedLength = 64;

    private readonly BpeVocabulary _vocabulary;
    private readonly int[] _byteIds = new int[256];
    private readonly Dictionary<ulong, int> _ranks;
    private readonly ConcurrentDictionary<string, BpeWord> _cache = new();
    private readonly ConcurrentDictionary<string, BpeWord>.AlternateLookup<ReadOnlySpan<char>> _cached;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _ids;
    private int _cacheCount;

    public BpeModel(BpeVocabulary vocabulary)
    {
        _vocabulary = vocabulary;
        _cached = _cache.GetAlternateLookup<ReadOnlySpan<char>>();
        _ids = vocabulary.Ids.GetAlternateLookup<ReadOnlySpan<char>>();
        for (int b = 0; b < 256; b++)
            _byteIds[b] = vocabulary.Ids.GetValueOrDefault(ByteAlphabet.Character((byte)b).ToString(), -1);
        _ranks = new Dictionary<ulong, int>(vocabulary.Merges.Count);
        for (int rank = 0; rank < vocabulary.Merges.Count; rank++)
            _ranks[Pair(vocabulary.Merges[rank].Left, vocabulary.Merges[rank].Right)] = rank;
    }

    public BpeVocabulary Vocabulary => _vocabulary;

    /// <summary>Encodes a word: any text without lone surrogates, not yet in the alphabet of bytes.</summary>
    public BpeWord Encode(ReadOnlySpan<char> word)
    {
        if (word.Length > CachedLength)
            return Compute(word);
        if (_cached.TryGetValue(word, out BpeWord? known))
            return known;
        BpeWord made = Compute(word);
        if (_cached.TryAdd(word, made) && Interlocked.Increment(ref _cacheCount) > CachedWords)
        {
            // Starting afresh keeps the cache bounded and lets it follow a change of subject.
            _cache.Clear();
            Interlocked.Exchange(ref _cacheCount, 0);
        }
        return made;
    }

    private BpeWord Compute(ReadOnlySpan<char> word)
    {
        int capacity = Encoding.UTF8.GetByteCount(word);
        // For each byte of the word as it is spelled in the alphabet: the unit where its character begins. The reference counts in these bytes.
        int[] units = ArrayPool<int>.Shared.Rent(2 * capacity);
        int[] ids = ArrayPool<int>.Shared.Rent(capacity + 1), widths = ArrayPool<int>.Shared.Rent(capacity + 1);
        try
        {
            int count = Spell(word, units, ids, widths, out int spelledBytes);
            if (_vocabulary.IgnoreMerges && Whole(word, capacity) is { } id)
                return new BpeWord([id], [units[0]], [units[spelledBytes - 1]]);
            int merged = BpeMerger.Merge(_ranks, _vocabulary.Merges, ids, widths, count);
            BpeWord result = new(new int[merged], new int[merged], new int[merged]);
            int token = 0, at = 0;
            for (int i = 0; i < count; i++)
            {
                if (widths[i] == 0)
                    continue;
                result.Ids[token] = ids[i];
                result.First[token] = units[at];
                at += widths[i];
                result.Last[token++] = units[at - 1];
            }
            return result;
        }
        finally
        {
            ArrayPool<int>.Shared.Return(units);
            ArrayPool<int>.Shared.Return(ids);
            ArrayPool<int>.Shared.Return(widths);
        }
    }

    // The symbols of the bytes. Bytes without a token are dropped, or become unknown tokens.
    private int Spell(ReadOnlySpan<char> word, int[] units, int[] ids, int[] widths, out int spelledBytes)
    {
        int count = 0, unit = 0, unknown = 0;
        spelledBytes = 0;
        Span<byte> utf8 = stackalloc byte[4];
        foreach (Rune rune in word.EnumerateRunes())
        {
            int length = rune.EncodeToUtf8(utf8);
            foreach (byte b in utf8[..length])
            {
                int width = ByteAlphabet.Width(b);
                for (int i = 0; i < width; i++)
                    units[spelledBytes++] = unit;
                if (_byteIds[b] >= 0)
                {
                    (ids[count], widths[count++]) = (_byteIds[b], width);
                    unknown = 0;
                }
                else if (_vocabulary.UnknownId is { } id)
                {
                    if (unknown++ > 0 && _vocabulary.FuseUnknown)
                        widths[count - 1] += width;
                    else
                        (ids[count], widths[count++]) = (id, width);
                }
            }
            unit += rune.Utf16SequenceLength;
        }
        return count;
    }

    private int? Whole(ReadOnlySpan<char> word, int byteCount)
    {
        if (byteCount > 1024)
            return null;
        Span<byte> utf8 = stackalloc byte[byteCount];
        Span<char> spelled = stackalloc char[byteCount];
        Encoding.UTF8.GetBytes(word, utf8);
        for (int i = 0; i < byteCount; i++)
            spelled[i] = ByteAlphabet.Character(utf8[i]);
        return _ids.TryGetValue(spelled, out int id) ? id : null;
    }

    internal static ulong Pair(int left, int right) => (ulong)(uint)left << 32 | (uint)right;
}
