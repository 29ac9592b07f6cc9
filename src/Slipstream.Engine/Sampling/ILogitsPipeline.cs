namespace Slipstream.Sampling;

/// <summary>What stands before the token that a row of logits predicts.</summary>
public readonly ref struct TokenContext
{
    /// <summary>Creates the context.</summary>
    public TokenContext(ReadOnlySpan<int> committed, ReadOnlySpan<int> path, int promptLength)
    {
        Committed = committed;
        Path = path;
        PromptLength = promptLength;
    }

    /// <summary>Prompt and generated tokens.</summary>
    public ReadOnlySpan<int> Committed { get; }

    /// <summary>Draft tokens after them, from the root of the draft tree to this row; empty for the row that follows the committed tokens.</summary>
    public ReadOnlySpan<int> Path { get; }

    /// <summary>How many of the committed tokens are the prompt.</summary>
    public int PromptLength { get; }

    /// <summary>Tokens before the predicted one: its position in the sequence.</summary>
    public int Length => Committed.Length + Path.Length;

    /// <summary>The token at a position of the sequence.</summary>
    internal int this[int position] => position < Committed.Length ? Committed[position] : Path[position - Committed.Length];

    /// <summary>Whether the sequence ends with these tokens.</summary>
    internal bool EndsWith(ReadOnlySpan<int> tokens)
    {
        if (tokens.Length > Length) return false;
        for (int back = 1; back <= tokens.Length; back++)
            if (this[Length - back] != tokens[^back]) return false;
        return true;
    }
}

/// <summary>Turns logits into the distribution that the next token is drawn from: never just a token, so that verification can use it.</summary>
/// <remarks>One instance serves one request; it keeps scratch memory but no state between calls. Allocates nothing after the first call.</remarks>
public interface ILogitsPipeline
{
    /// <summary>Whether the result is a point mass on the best token (temperature 0).</summary>
    bool IsGreedy { get; }

    /// <summary>Replaces logits by probabilities that sum to 1; excluded tokens are exactly 0.</summary>
    /// <param name="logits"><c>[vocabulary]</c>, NaN excluded by the caller.</param>
    /// <param name="context">What stands before.</param>
    void ToDistribution(Span<float> logits, in TokenContext context);
}
