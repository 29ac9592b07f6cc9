namespace Slipstream.Sampling;

/// <summary>
/// The chain of <see cref="SamplingOptions"/>: processors, then temperature, then truncations, in the order of Hugging Face's <c>generate</c> —
/// biases, penalties, n-gram block, bad words, minimum lengths, forced tokens, decay, suppression; temperature, top-k, top-p, min-p, typical,
/// epsilon, eta.
/// </summary>
/// <remarks>At temperature 0 the truncations are skipped: none of them drops the best token but typical, which has no greedy meaning. Thread-safe: scratch belongs to the calling thread.</remarks>
internal sealed class LogitsPipeline : ILogitsPipeline
{
    private readonly int _vocabulary;
    private readonly int _maxTotalLength;
    private readonly int? _forcedFirst;
    private readonly int? _forcedLast;
    private readonly float _temperature;
    private readonly int _topK;
    private readonly TopPFilter? _topP;
    private readonly MinPFilter? _minP;
    private readonly ILogitsProcessor[] _processors;
    private readonly ICandidateFilter[] _filters;

    /// <summary>Builds the chain.</summary>
    /// <param name="options">The request's options; checked here.</param>
    /// <param name="vocabulary">Tokens in a row of logits.</param>
    /// <param name="endTokens">Tokens that end a sequence; those outside the vocabulary are ignored.</param>
    /// <param name="maxTotalLength">Tokens, prompt included, at which generation stops: the last of them is the forced last token.</param>
    /// <exception cref="SlipstreamException">An option is outside its range.</exception>
    public LogitsPipeline(SamplingOptions options, int vocabulary, ReadOnlySpan<int> endTokens, int maxTotalLength)
    {
        options.Validate(vocabulary);
        _vocabulary = vocabulary;
        _maxTotalLength = maxTotalLength;
        (_forcedFirst, _forcedLast) = (options.ForcedFirstToken, options.ForcedLastToken);
        _temperature = (float)options.Temperature;
        IsGreedy = _temperature == 0;
        _topK = options.TopK;
        _processors = Processors(options, vocabulary, endTokens);
        List<ICandidateFilter> filters = [];
        if (options.TopP < 1) filters.Add(_topP = new TopPFilter(options.TopP));
        if (options.MinP > 0) filters.Add(_minP = new MinPFilter(options.MinP));
        if (options.TypicalP < 1) filters.Add(new TypicalFilter(options.TypicalP));
        if (options.EpsilonCutoff > 0) filters.Add(new EpsilonFilter(options.EpsilonCutoff));
        if (options.EtaCutoff > 0) filters.Add(new EtaFilter(options.EtaCutoff));
        _filters = [.. filters];
    }

    /// <inheritdoc/>
    public bool IsGreedy { get; }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The row is not as long as the vocabulary.</exception>
    /// <exception cref="SlipstreamException">The options exclude every token.</exception>
    public void ToDistribution(Span<float> logits, in TokenContext context)
    {
        if (logits.Length != _vocabulary) throw new ArgumentException($"The row has {logits.Length} logits, the vocabulary {_vocabulary} tokens.", nameof(logits));
        // A forced token stands against every ban; whatever else the chain would do cannot matter.
        if (Forced(context) is { } forced)
        {
            MakePoint(logits, forced);
            return;
        }
        foreach (ILogitsProcessor processor in _processors) processor.Process(logits, context);
        if (IsGreedy)
        {
            int best = RowMath.ArgMax(logits);
            if (float.IsNegativeInfinity(logits[best])) throw NothingLeft(context.Length);
            MakePoint(logits, best);
            return;
        }
        float max = Heat(logits);
        if (float.IsNegativeInfinity(max)) throw NothingLeft(context.Length);
        if (_topK == 0 && _filters.Length == 0)
            RowMath.Scale(logits, (float)(1 / RowMath.Exp(logits, max)));
        else
            Truncate(logits, max);
    }

    private int? Forced(in TokenContext context)
    {
        // The reference library forces the last token after the first, so it wins where they are the same.
        if (_forcedLast is { } last && context.Length == _maxTotalLength - 1) return last;
        return _forcedFirst is { } first && context.Length == context.PromptLength ? first : null;
    }

    /// <summary>Divides by the temperature; returns the best score.</summary>
    private float Heat(Span<float> logits)
    {
        float max = RowMath.Max(logits);
        if (float.IsPositiveInfinity(max))
        {
            // The limit of ever larger logits: the infinite ones share everything.
            foreach (ref float logit in logits) logit = float.IsPositiveInfinity(logit) ? 0 : float.NegativeInfinity;
            return 0;
        }
        if (float.IsNegativeInfinity(max) || _temperature == 1) return max;
        // Dividing by a tiny temperature could overflow; relative to the best it cannot.
        return RowMath.Divide(logits, _temperature < 1e-3f ? max : 0, _temperature);
    }

    private void Truncate(Span<float> scores, float max)
    {
        Candidates candidates = SamplingScratch.ForThread.Candidates;
        if (_topK > 0)
            candidates.LoadTop(scores, max, Math.Min(_topK, scores.Length));
        else if (_topP is not null)
        {
            // Most of a large vocabulary cannot be in the nucleus: leave it out before anything is sorted.
            double total = RowMath.SumExp(scores, max);
            float floor = _topP.Floor(max, total, scores.Length);
            candidates.Load(scores, max, _minP is null ? floor : MathF.Max(floor, _minP.Floor(max)));
            candidates.SetTotal(total);
        }
        else
            candidates.Load(scores, max, _minP is null ? float.NegativeInfinity : _minP.Floor(max));
        foreach (ICandidateFilter filter in _filters) filter.Apply(candidates);
        candidates.Write(scores);
    }

    private static ILogitsProcessor[] Processors(SamplingOptions options, int vocabulary, ReadOnlySpan<int> endTokens)
    {
        List<int> inside = [];
        foreach (int token in endTokens)
            if ((uint)token < (uint)vocabulary && !inside.Contains(token)) inside.Add(token);
        int[] ends = [.. inside];

        List<ILogitsProcessor> chain = [];
        List<(IReadOnlyList<int> Tokens, double Bias)> biases = [.. options.SequenceBias ?? []];
        foreach ((int token, double bias) in options.LogitBias ?? new Dictionary<int, double>()) biases.Add(([token], bias));
        if (biases.Count > 0) chain.Add(new SequenceBiasProcessor(biases));
        if (options.RepetitionPenalty != 1 || options.PresencePenalty != 0 || options.FrequencyPenalty != 0)
            chain.Add(new PenaltyProcessor(options.RepetitionPenalty, options.PresencePenalty, options.FrequencyPenalty));
        if (options.NoRepeatNgramSize > 0) chain.Add(new NgramBlockProcessor(options.NoRepeatNgramSize));
        List<(IReadOnlyList<int> Tokens, double Bias)> bad = [];
        foreach (IReadOnlyList<int> word in options.BadWords ?? [])
            // An end token alone is no bad word, as in the reference library: nothing could end.
            if (word.Count > 1 || !inside.Contains(word[0])) bad.Add((word, double.NegativeInfinity));
        if (bad.Count > 0) chain.Add(new SequenceBiasProcessor(bad));
        if (options.MinLength > 0) chain.Add(new SuppressProcessor(ends, untilLength: options.MinLength));
        if (options.MinNewTokens > 0) chain.Add(new SuppressProcessor(ends, untilGenerated: options.MinNewTokens));
        if (options.ExponentialDecayLengthPenalty is var (start, factor)) chain.Add(new ExponentialDecayProcessor(ends, start, factor));
        if (options.SuppressTokens is { Count: > 0 } never) chain.Add(new SuppressProcessor([.. never]));
        if (options.BeginSuppressTokens is { Count: > 0 } first)
        {
            // Behind a forced first token, the beginning is the token after it.
            int begin = options.ForcedFirstToken is null ? 0 : 1;
            chain.Add(new SuppressProcessor([.. first], begin, begin + 1));
        }
        return [.. chain];
    }

    private static void MakePoint(Span<float> row, int token)
    {
        row.Clear();
        row[token] = 1;
    }

    private static SlipstreamException NothingLeft(int position) =>
        new($"The sampling options exclude every token at position {position}; relax `suppress_tokens`, `bad_words_ids`, `logit_bias` or `no_repeat_ngram_size`.");
}
