namespace Slipstream.Sampling;

/// <summary>Excludes every token that would complete an n-gram that stands in the context already.</summary>
internal sealed class NgramBlockProcessor(int size) : ILogitsProcessor
{
    public void Process(Span<float> logits, in TokenContext context)
    {
        int length = context.Length;
        if (length + 1 < size) return;
        if (size == 1)
        {
            foreach (int token in context.Committed) Exclude(logits, token);
            foreach (int token in context.Path) Exclude(logits, token);
            return;
        }
        // The tokens that end the context are the n-gram's beginning. Search for the last of them, which is a vector search, and look back from there.
        int last = context[length - 1];
        Search(context.Committed, 0, last, logits, context);
        Search(context.Path, context.Committed.Length, last, logits, context);
    }

    private void Search(ReadOnlySpan<int> tokens, int offset, int last, Span<float> logits, in TokenContext context)
    {
        for (int at = 0; at < tokens.Length; at++)
        {
            int step = tokens[at..].IndexOf(last);
            if (step < 0) return;
            at += step;
            int position = offset + at;
            if (position + 1 < context.Length && Matches(context, position)) Exclude(logits, context[position + 1]);
        }
    }

    /// <summary>Whether the n − 1 tokens up to <paramref name="position"/> are those that end the context.</summary>
    private bool Matches(in TokenContext context, int position)
    {
        if (position < size - 2) return false;
        for (int back = 1; back < size - 1; back++)
            if (context[position - back] != context[context.Length - 1 - back]) return false;
        return true;
    }

    private static void Exclude(Span<float> logits, int token)
    {
        if ((uint)token < (uint)logits.Length) logits[token] = float.NegativeInfinity;
    }
}
