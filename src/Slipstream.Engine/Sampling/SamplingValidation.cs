using System.Globalization;

namespace Slipstream.Sampling;

/// <summary>The legal range of every sampling option.</summary>
internal static class SamplingValidation
{
    public static void Check(SamplingOptions options, int vocabulary)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabulary);
        Require(double.IsFinite(options.Temperature) && options.Temperature is >= 0 and <= float.MaxValue, "temperature", options.Temperature, "a finite number of at least 0, where 0 is greedy");
        Require(options.TopK >= 0, "top_k", options.TopK, "at least 0, where 0 keeps every token");
        Require(options.TopP is > 0 and <= 1, "top_p", options.TopP, "over 0 and at most 1");
        Require(options.MinP is >= 0 and <= 1, "min_p", options.MinP, "from 0 to 1");
        Require(options.TypicalP is > 0 and <= 1, "typical_p", options.TypicalP, "over 0 and at most 1");
        Require(options.EpsilonCutoff is >= 0 and < 1, "epsilon_cutoff", options.EpsilonCutoff, "at least 0 and under 1");
        Require(options.EtaCutoff is >= 0 and < 1, "eta_cutoff", options.EtaCutoff, "at least 0 and under 1");
        Require(IsFactor(options.RepetitionPenalty), "repetition_penalty", options.RepetitionPenalty, "a finite number over 0, where 1 is off");
        Require(IsShift(options.PresencePenalty), "presence_penalty", options.PresencePenalty, "a finite number, where 0 is off");
        Require(IsShift(options.FrequencyPenalty), "frequency_penalty", options.FrequencyPenalty, "a finite number, where 0 is off");
        Require(options.NoRepeatNgramSize >= 0, "no_repeat_ngram_size", options.NoRepeatNgramSize, "at least 0, where 0 is off");
        Require(options.MinLength >= 0, "min_length", options.MinLength, "at least 0");
        Require(options.MinNewTokens >= 0, "min_new_tokens", options.MinNewTokens, "at least 0");
        if (options.ExponentialDecayLengthPenalty is var (start, factor))
        {
            Require(start >= 0, "exponential_decay_length_penalty start", start, "at least 0");
            Require(IsFactor(factor), "exponential_decay_length_penalty factor", factor, "a finite number over 0, where 1 is off");
        }
        CheckBiases(options, vocabulary);
        CheckTokens("suppress_tokens", options.SuppressTokens, vocabulary);
        CheckTokens("begin_suppress_tokens", options.BeginSuppressTokens, vocabulary);
        if (options.BadWords is { } words)
            foreach (IReadOnlyList<int> word in words) CheckSequence("bad_words_ids", word, vocabulary);
        if (options.ForcedFirstToken is { } first) CheckToken("forced_bos_token_id", first, vocabulary);
        if (options.ForcedLastToken is { } last) CheckToken("forced_eos_token_id", last, vocabulary);
    }

    private static void CheckBiases(SamplingOptions options, int vocabulary)
    {
        if (options.LogitBias is { } biases)
            foreach ((int token, double bias) in biases)
            {
                CheckToken("logit_bias", token, vocabulary);
                Require(IsBias(bias), "logit_bias", bias, "a finite number, or minus infinity to exclude a token");
            }
        if (options.SequenceBias is { } sequences)
            foreach ((IReadOnlyList<int> tokens, double bias) in sequences)
            {
                CheckSequence("sequence_bias", tokens, vocabulary);
                Require(IsBias(bias), "sequence_bias", bias, "a finite number, or minus infinity to exclude a sequence");
            }
    }

    /// <summary>Whether the number is a positive float once rounded: the arithmetic is done in floats.</summary>
    private static bool IsFactor(double value) => double.IsFinite(value) && (float)value > 0 && value <= float.MaxValue;

    private static bool IsShift(double value) => double.IsFinite(value) && Math.Abs(value) <= float.MaxValue;

    private static bool IsBias(double value) => IsShift(value) || double.IsNegativeInfinity(value);

    private static void CheckSequence(string option, IReadOnlyList<int>? tokens, int vocabulary)
    {
        if (tokens is null || tokens.Count == 0)
            throw new SlipstreamException($"The option `{option}` has an empty sequence; every sequence needs at least one token.");
        CheckTokens(option, tokens, vocabulary);
    }

    private static void CheckTokens(string option, IReadOnlyList<int>? tokens, int vocabulary)
    {
        if (tokens is null) return;
        foreach (int token in tokens) CheckToken(option, token, vocabulary);
    }

    private static void CheckToken(string option, int token, int vocabulary)
    {
        if ((uint)token >= (uint)vocabulary)
            throw new SlipstreamException($"The option `{option}` names token {token}; tokens of this model are 0 to {vocabulary - 1}.");
    }

    private static void Require(bool legal, string option, double value, string range)
    {
        if (!legal)
            throw new SlipstreamException($"The option `{option}` is {value.ToString(CultureInfo.InvariantCulture)}; it must be {range}.");
    }
}
