namespace Slipstream.Sampling;

/// <summary>
/// How the next token is chosen. Names follow Hugging Face's <c>generate</c>. The defaults here (null or neutral) change nothing:
/// temperature 0 is greedy, and the defaults of a checkpoint's <c>generation_config.json</c> are merged in by the caller.
/// </summary>
public sealed record SamplingOptions
{
    /// <summary>0 is greedy; otherwise logits are divided by it. Finite, at least 0.</summary>
    public double Temperature { get; init; }

    /// <summary>Keeps the k best tokens; 0 keeps all. Ties with the k-th are kept.</summary>
    public int TopK { get; init; }

    /// <summary>Keeps the smallest set of best tokens whose probability reaches it; 1 keeps all. In (0, 1].</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Drops tokens less likely than this times the best. In [0, 1].</summary>
    public double MinP { get; init; }

    /// <summary>Locally typical sampling (arXiv:2202.00666): probability mass kept; 1 keeps all. In (0, 1].</summary>
    public double TypicalP { get; init; } = 1;

    /// <summary>Drops tokens less likely than it (arXiv:2210.15191). In [0, 1); 0 is off.</summary>
    public double EpsilonCutoff { get; init; }

    /// <summary>Entropy-dependent cutoff (arXiv:2210.15191). In [0, 1); 0 is off.</summary>
    public double EtaCutoff { get; init; }

    /// <summary>Divides positive and multiplies negative logits of tokens seen before (arXiv:1909.05858). Over 0; 1 is off.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>Subtracted once from the logit of each token seen before, as OpenAI defines it.</summary>
    public double PresencePenalty { get; init; }

    /// <summary>Subtracted for every time a token was seen before, as OpenAI defines it.</summary>
    public double FrequencyPenalty { get; init; }

    /// <summary>No n-gram of this length appears twice; 0 is off.</summary>
    public int NoRepeatNgramSize { get; init; }

    /// <summary>Added to the logits of single tokens.</summary>
    public IReadOnlyDictionary<int, double>? LogitBias { get; init; }

    /// <summary>Added to the logit of the last token of each sequence where the tokens before it stand.</summary>
    public IReadOnlyList<(IReadOnlyList<int> Tokens, double Bias)>? SequenceBias { get; init; }

    /// <summary>Token sequences that are never completed.</summary>
    public IReadOnlyList<IReadOnlyList<int>>? BadWords { get; init; }

    /// <summary>Tokens that are never chosen.</summary>
    public IReadOnlyList<int>? SuppressTokens { get; init; }

    /// <summary>Tokens that are never chosen first.</summary>
    public IReadOnlyList<int>? BeginSuppressTokens { get; init; }

    /// <summary>Forced as the first generated token (<c>forced_bos_token_id</c>).</summary>
    public int? ForcedFirstToken { get; init; }

    /// <summary>Forced as the last token when the length limit is reached (<c>forced_eos_token_id</c>).</summary>
    public int? ForcedLastToken { get; init; }

    /// <summary>End tokens are suppressed until the whole sequence, prompt included, has this many tokens.</summary>
    public int MinLength { get; init; }

    /// <summary>End tokens are suppressed until this many tokens were generated.</summary>
    public int MinNewTokens { get; init; }

    /// <summary>From <c>Start</c> generated tokens on, raises the end tokens' logits by <c>|logit| · (Factor^(n − Start) − 1)</c>.</summary>
    public (int Start, double Factor)? ExponentialDecayLengthPenalty { get; init; }

    /// <summary>Checks every option.</summary>
    /// <param name="vocabulary">Tokens in the vocabulary; every token that an option names must be below it.</param>
    /// <exception cref="SlipstreamException">An option is outside its range; the message names it, its value and the range.</exception>
    public void Validate(int vocabulary) => SamplingValidation.Check(this, vocabulary);
}
