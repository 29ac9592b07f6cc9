using System.Collections.Immutable;

namespace Slipstream.Distillation.Drafts;

/// <summary>The tokens that a draft's head has rows for.</summary>
/// <param name="Tokens">Ids, ascending.</param>
/// <param name="Coverage">The part of the text that consists of them.</param>
internal sealed record DraftVocabulary(ImmutableArray<int> Tokens, double Coverage)
{
    /// <summary>Takes the most frequent tokens of a text; of two as frequent ones the lower id.</summary>
    /// <remarks>Source: FR-Spec, arXiv:2502.14856. A token that is left out can only not be drafted: the target still says it.</remarks>
    /// <param name="text">Token ids.</param>
    /// <param name="vocabulary">Tokens of the vocabulary.</param>
    /// <param name="count">How many to take at most; tokens that the text has not are never taken.</param>
    /// <param name="always">Tokens taken in any case, such as those that end a text.</param>
    /// <exception cref="SlipstreamException">So many are not fewer than all.</exception>
    public static DraftVocabulary MostFrequent(ReadOnlySpan<int> text, int vocabulary, int count, IEnumerable<int> always)
    {
        if (count >= vocabulary) throw new SlipstreamException($"--student: vocabulary is {count}, but the target has {vocabulary} tokens; take fewer, or leave it out for a head of all.");
        long[] counts = new long[vocabulary];
        foreach (int token in text) counts[token]++;
        HashSet<int> chosen = [.. always];
        foreach (int token in Enumerable.Range(0, vocabulary).Where(token => counts[token] > 0).OrderByDescending(token => counts[token]).ThenBy(token => token))
        {
            if (chosen.Count >= count) break;
            chosen.Add(token);
        }
        return new DraftVocabulary([.. chosen.Order()], text.Length == 0 ? 0 : chosen.Sum(token => counts[token]) / (double)text.Length);
    }
}
