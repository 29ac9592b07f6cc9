using System.Collections.Immutable;
using Slipstream.Models;
using Slipstream.Sampling;

namespace Slipstream;

/// <summary>What a checkpoint says about generation.</summary>
/// <param name="Sampling">From <c>generation_config.json</c>, else greedy.</param>
/// <param name="EndTokens">Tokens that end a generation.</param>
/// <param name="Source">Where the sampling options come from: the file, or null where there is none and greedy is taken.</param>
public sealed record GenerationDefaults(SamplingOptions Sampling, ImmutableArray<int> EndTokens, string? Source)
{
    /// <summary>Reads the defaults.</summary>
    /// <exception cref="SlipstreamException">A field is impossible.</exception>
    internal static GenerationDefaults Read(Checkpoint checkpoint, ModelConfig config)
    {
        if (checkpoint.Generation is not { } file) return new GenerationDefaults(new SamplingOptions(), config.EndTokens, null);
        IReadOnlyList<int> ends = file.Int32s("eos_token_id");
        bool sample = file.Flag("do_sample", false);
        SamplingOptions sampling = new()
        {
            // Without do_sample the reference ignores the warpers, so their values in the file mean nothing.
            Temperature = sample ? file.Double("temperature", 1, 0) : 0,
            TopK = sample ? file.Int32("top_k", 50, 0) : 0,
            TopP = sample ? file.Double("top_p", 1, 0) : 1,
            MinP = sample ? file.Double("min_p", 0, 0) : 0,
            TypicalP = sample ? file.Double("typical_p", 1, 0) : 1,
            EpsilonCutoff = sample ? file.Double("epsilon_cutoff", 0, 0) : 0,
            EtaCutoff = sample ? file.Double("eta_cutoff", 0, 0) : 0,
            RepetitionPenalty = file.Double("repetition_penalty", 1, 0),
            NoRepeatNgramSize = file.Int32("no_repeat_ngram_size", 0, 0),
            MinLength = file.Int32("min_length", 0, 0),
            MinNewTokens = file.Int32("min_new_tokens", 0, 0),
            SuppressTokens = file.Int32s("suppress_tokens") is { Count: > 0 } suppressed ? suppressed : null,
            BeginSuppressTokens = file.Int32s("begin_suppress_tokens") is { Count: > 0 } first ? first : null,
        };
        try
        {
            sampling.Validate(config.VocabularySize);
        }
        catch (SlipstreamException e)
        {
            throw new SlipstreamException($"'{file.Source}': {e.Message}", e);
        }
        foreach (int end in ends)
            if ((uint)end >= (uint)config.VocabularySize) throw new SlipstreamException($"'{file.Source}': the end token {end} is outside the vocabulary of {config.VocabularySize}.");
        return new GenerationDefaults(sampling, ends.Count > 0 ? [.. ends] : config.EndTokens, file.Source);
    }
}
