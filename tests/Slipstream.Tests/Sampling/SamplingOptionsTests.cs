using Slipstream.Sampling;

namespace Slipstream.Tests.Sampling;

public sealed class SamplingOptionsTests
{
    public static TheoryData<string, SamplingOptions> Illegal => new()
    {
        { "The option `temperature` is NaN; it must be a finite number of at least 0, where 0 is greedy.", new() { Temperature = double.NaN } },
        { "The option `temperature` is -1;", new() { Temperature = -1 } },
        { "The option `temperature` is Infinity;", new() { Temperature = double.PositiveInfinity } },
        { "The option `top_k` is -1; it must be at least 0, where 0 keeps every token.", new() { TopK = -1 } },
        { "The option `top_p` is 0; it must be over 0 and at most 1.", new() { TopP = 0 } },
        { "The option `top_p` is 1.5;", new() { TopP = 1.5 } },
        { "The option `top_p` is NaN;", new() { TopP = double.NaN } },
        { "The option `min_p` is 1.1; it must be from 0 to 1.", new() { MinP = 1.1 } },
        { "The option `typical_p` is 0;", new() { TypicalP = 0 } },
        { "The option `epsilon_cutoff` is 1; it must be at least 0 and under 1.", new() { EpsilonCutoff = 1 } },
        { "The option `eta_cutoff` is -0.1;", new() { EtaCutoff = -0.1 } },
        { "The option `repetition_penalty` is 0;", new() { RepetitionPenalty = 0 } },
        { "The option `repetition_penalty` is 1E-60;", new() { RepetitionPenalty = 1e-60 } },
        { "The option `presence_penalty` is NaN;", new() { PresencePenalty = double.NaN } },
        { "The option `frequency_penalty` is 1E+60;", new() { FrequencyPenalty = 1e60 } },
        { "The option `no_repeat_ngram_size` is -2;", new() { NoRepeatNgramSize = -2 } },
        { "The option `min_length` is -1;", new() { MinLength = -1 } },
        { "The option `min_new_tokens` is -1;", new() { MinNewTokens = -1 } },
        { "The option `exponential_decay_length_penalty start` is -1;", new() { ExponentialDecayLengthPenalty = (-1, 1.1) } },
        { "The option `exponential_decay_length_penalty factor` is 0;", new() { ExponentialDecayLengthPenalty = (1, 0) } },
        { "The option `logit_bias` names token 10; tokens of this model are 0 to 9.", new() { LogitBias = new Dictionary<int, double> { [10] = 1 } } },
        { "The option `logit_bias` is NaN;", new() { LogitBias = new Dictionary<int, double> { [1] = double.NaN } } },
        { "The option `logit_bias` is Infinity;", new() { LogitBias = new Dictionary<int, double> { [1] = double.PositiveInfinity } } },
        { "The option `sequence_bias` has an empty sequence;", new() { SequenceBias = [([], 1)] } },
        { "The option `sequence_bias` names token -1;", new() { SequenceBias = [([1, -1], 1)] } },
        { "The option `bad_words_ids` names token 99;", new() { BadWords = [[99]] } },
        { "The option `bad_words_ids` has an empty sequence;", new() { BadWords = [[]] } },
        { "The option `suppress_tokens` names token 10;", new() { SuppressTokens = [10] } },
        { "The option `begin_suppress_tokens` names token -5;", new() { BeginSuppressTokens = [-5] } },
        { "The option `forced_bos_token_id` names token 10;", new() { ForcedFirstToken = 10 } },
        { "The option `forced_eos_token_id` names token 10;", new() { ForcedLastToken = 10 } },
    };

    [Theory]
    [MemberData(nameof(Illegal), DisableDiscoveryEnumeration = true)]
    public void An_illegal_option_is_named_with_its_value_and_range(string message, SamplingOptions options)
    {
        SlipstreamException e = Assert.Throws<SlipstreamException>(() => options.Validate(10));
        Assert.StartsWith(message, e.Message, StringComparison.Ordinal);
        Assert.EndsWith(".", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Defaults_and_extremes_are_legal()
    {
        new SamplingOptions().Validate(1);
        new SamplingOptions
        {
            Temperature = 1e30, TopK = int.MaxValue, TopP = 1e-9, MinP = 1, TypicalP = 1, RepetitionPenalty = 0.1, PresencePenalty = -2, FrequencyPenalty = 2,
            LogitBias = new Dictionary<int, double> { [9] = double.NegativeInfinity }, ForcedFirstToken = 0, ExponentialDecayLengthPenalty = (0, 0.5),
        }.Validate(10);
    }
}
