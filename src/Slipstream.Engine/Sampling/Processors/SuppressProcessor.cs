namespace Slipstream.Sampling;

/// <summary>Excludes tokens for the first part of the sequence, or for ever.</summary>
/// <param name="tokens">The tokens.</param>
/// <param name="fromGenerated">The first generated token that is concerned, counted from 0.</param>
/// <param name="untilGenerated">Generated tokens from which on it ends.</param>
/// <param name="untilLength">Tokens of the whole sequence, prompt included, from which on it ends.</param>
internal sealed class SuppressProcessor(int[] tokens, int fromGenerated = 0, int untilGenerated = int.MaxValue, int untilLength = int.MaxValue) : ILogitsProcessor
{
    public void Process(Span<float> logits, in TokenContext context)
    {
        int generated = context.Length - context.PromptLength;
        if (generated < fromGenerated || generated >= untilGenerated || context.Length >= untilLength) return;
        foreach (int token in tokens) logits[token] = float.NegativeInfinity;
    }
}
