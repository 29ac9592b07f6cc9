namespace Slipstream.Sampling;

/// <summary>Repetition, presence and frequency penalties over the whole context, prompt included, in this order.</summary>
/// <remarks>Repetition: Keskar et al. 2019, arXiv:1909.05858. Presence and frequency: <c>logit −= count · frequency + (count > 0) · presence</c>, as OpenAI defines them.</remarks>
internal sealed class PenaltyProcessor(double repetition, double presence, double frequency) : ILogitsProcessor
{
    private readonly float _repetition = (float)repetition, _presence = (float)presence, _frequency = (float)frequency;

    public void Process(Span<float> logits, in TokenContext context)
    {
        Span<int> counts = SamplingScratch.ForThread.Counts(logits.Length);
        Count(counts, context.Committed);
        Count(counts, context.Path);
        Penalise(logits, counts, context.Committed);
        Penalise(logits, counts, context.Path);
    }

    private static void Count(Span<int> counts, ReadOnlySpan<int> tokens)
    {
        foreach (int token in tokens)
            if ((uint)token < (uint)counts.Length) counts[token]++;
    }

    /// <summary>Penalises each token once and zeroes its count.</summary>
    private void Penalise(Span<float> logits, Span<int> counts, ReadOnlySpan<int> tokens)
    {
        foreach (int token in tokens)
        {
            if ((uint)token >= (uint)counts.Length || counts[token] == 0) continue;
            float logit = logits[token];
            logit = logit < 0 ? logit * _repetition : logit / _repetition;
            logits[token] = logit - (counts[token] * _frequency + _presence);
            counts[token] = 0;
        }
    }
}
