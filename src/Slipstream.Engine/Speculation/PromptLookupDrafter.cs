using Slipstream.Scheduling;

namespace Slipstream.Speculation;

/// <summary>
/// Prompt lookup: copies what followed an earlier occurrence of the last tokens (Saxena 2023; Hugging Face's <c>prompt_lookup_num_tokens</c>).
/// The longest n-gram first, the first match from the left, nothing from an end token on.
/// </summary>
public sealed class PromptLookupDrafter : IDrafter
{
    private readonly int _maxMatchingNgramSize;

    /// <summary>Looks for n-grams of at most <paramref name="maxMatchingNgramSize"/> tokens.</summary>
    /// <exception cref="SlipstreamException">The size is under 1.</exception>
    public PromptLookupDrafter(int maxMatchingNgramSize = 2)
    {
        if (maxMatchingNgramSize < 1) throw new SlipstreamException($"The n-gram size of prompt lookup is {maxMatchingNgramSize}; it must be at least 1.");
        _maxMatchingNgramSize = maxMatchingNgramSize;
    }

    /// <inheritdoc/>
    public string Name => "prompt-lookup";

    /// <inheritdoc/>
    public long Parameters => 0;

    /// <inheritdoc/>
    public (long Weights, long Cache) MemoryBytes => default;

    /// <inheritdoc/>
    public void Draft(ReadOnlySpan<DraftRequest> requests)
    {
        foreach (ref readonly DraftRequest request in requests)
        {
            ReadOnlySpan<int> tokens = request.Sequence.Tokens;
            int parent = -1;
            foreach (int token in Continuation(tokens, request.Budget))
            {
                if (request.Sequence.IsStopToken(token)) break;
                parent = request.Tree.Add(token, parent);
            }
        }
    }

    /// <inheritdoc/>
    public void Release(Sequence sequence) { }

    /// <inheritdoc/>
    public void Dispose() { }

    private ReadOnlySpan<int> Continuation(ReadOnlySpan<int> tokens, int budget)
    {
        for (int n = Math.Min(_maxMatchingNgramSize, tokens.Length - 1); n > 0; n--)
        {
            // The occurrence at the very end has nothing after it, so the last token is left out of the search.
            int at = tokens[..^1].IndexOf(tokens[^n..]);
            if (at >= 0) return tokens.Slice(at + n, Math.Min(budget, tokens.Length - at - n));
        }
        return default;
    }
}
