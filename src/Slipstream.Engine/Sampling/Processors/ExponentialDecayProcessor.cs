namespace Slipstream.Sampling;

/// <summary>Raises the end tokens' logits by <c>|logit| · (factor^(n − start) − 1)</c> once n, the generated tokens, is over start.</summary>
internal sealed class ExponentialDecayProcessor(int[] endTokens, int start, double factor) : ILogitsProcessor
{
    public void Process(Span<float> logits, in TokenContext context)
    {
        int beyond = context.Length - context.PromptLength - start;
        if (beyond <= 0) return;
        // An excluded token stays excluded, and a power beyond the floats is a very large number, not infinity.
        float growth = (float)Math.Min(1e30, Math.Pow(factor, beyond) - 1);
        foreach (int token in endTokens)
            if (!float.IsNegativeInfinity(logits[token]))
                logits[token] = MathF.Min(float.MaxValue, logits[token] + MathF.Abs(logits[token]) * growth);
    }
}
