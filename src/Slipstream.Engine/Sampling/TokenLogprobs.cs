namespace Slipstream.Sampling;

/// <summary>A token and its natural logarithm of probability.</summary>
public readonly record struct TokenLogprob(int Token, float Logprob);

/// <summary>Log-probabilities of a raw row of logits: before temperature, penalties and truncation.</summary>
internal static class TokenLogprobs
{
    /// <summary>The log-probability of one token.</summary>
    public static float Of(ReadOnlySpan<float> logits, int token)
    {
        float max = RowMath.Max(logits);
        return (float)(logits[token] - max - Math.Log(RowMath.SumExp(logits, max)));
    }

    /// <summary>The log-probability of <paramref name="token"/>; fills <paramref name="top"/> with the best tokens, best first, the lower token first on ties.</summary>
    /// <param name="logits"><c>[vocabulary]</c>, at least one of them finite.</param>
    /// <param name="token">The chosen token.</param>
    /// <param name="top">Room for the best tokens, at most the vocabulary; a few, as each candidate is inserted in order.</param>
    /// <exception cref="ArgumentException">There is room for more tokens than the vocabulary has.</exception>
    public static float Of(ReadOnlySpan<float> logits, int token, Span<TokenLogprob> top)
    {
        if (top.Length > logits.Length) throw new ArgumentException($"{top.Length} best tokens were asked for of a vocabulary of {logits.Length}.", nameof(top));
        float max = RowMath.Max(logits);
        double logTotal = Math.Log(RowMath.SumExp(logits, max));
        int count = 0;
        for (int i = 0; i < logits.Length && top.Length > 0; i++)
        {
            if (count == top.Length && !(logits[i] > top[count - 1].Logprob)) continue;
            if (count < top.Length) count++;
            int at = count - 1;
            for (; at > 0 && logits[i] > top[at - 1].Logprob; at--) top[at] = top[at - 1];
            top[at] = new(i, logits[i]);
        }
        foreach (ref TokenLogprob entry in top) entry = entry with { Logprob = (float)(entry.Logprob - max - logTotal) };
        return (float)(logits[token] - max - logTotal);
    }
}
