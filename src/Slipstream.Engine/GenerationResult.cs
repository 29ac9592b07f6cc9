using Slipstream.Sampling;
using Slipstream.Scheduling;
using Slipstream.Speculation;

namespace Slipstream;

/// <summary>A piece of a generation as it comes.</summary>
/// <param name="Text">Text that became certain; never half a character.</param>
/// <param name="Token">The token that brought it, or null for the last piece.</param>
/// <param name="Result">The whole result, on the last piece alone.</param>
public readonly record struct GenerationUpdate(string Text, int? Token, GenerationResult? Result);

/// <summary>The log-probability of a generated token, and the best ones beside it.</summary>
/// <param name="Chosen">The generated token.</param>
/// <param name="Top">The best tokens, best first.</param>
public sealed record StepLogprobs(TokenLogprob Chosen, IReadOnlyList<TokenLogprob> Top);

/// <summary>Where the time of a generation went.</summary>
public sealed record GenerationTiming
{
    /// <summary>From submission to the first token.</summary>
    public required TimeSpan Prefill { get; init; }

    /// <summary>From the first token to the last.</summary>
    public required TimeSpan Decode { get; init; }

    /// <summary>Time the loop spent drafting while this generation ran.</summary>
    public required TimeSpan Draft { get; init; }

    /// <summary>Time the loop spent in the model while this generation ran.</summary>
    public required TimeSpan Verify { get; init; }

    /// <summary>All other time of the loop while this generation ran.</summary>
    public required TimeSpan Rest { get; init; }
}

/// <summary>A finished generation.</summary>
public sealed record GenerationResult
{
    /// <summary>The prompt's token ids.</summary>
    public required IReadOnlyList<int> PromptTokens { get; init; }

    /// <summary>The generated token ids, an end token among them.</summary>
    public required IReadOnlyList<int> Tokens { get; init; }

    /// <summary>The generated text without special tokens, up to a stop string; null where the model has no tokenizer.</summary>
    public required string? Text { get; init; }

    /// <summary>Why it ended.</summary>
    public required FinishReason FinishReason { get; init; }

    /// <summary>The sampling options it ran with.</summary>
    public required SamplingOptions Sampling { get; init; }

    /// <summary>The seed it ran with.</summary>
    public required ulong Seed { get; init; }

    /// <summary>What became of its drafts.</summary>
    public required SpeculationCounts Speculation { get; init; }

    /// <summary>Where the time went.</summary>
    public required GenerationTiming Timing { get; init; }

    /// <summary>One entry a token where they were asked for, else empty.</summary>
    public required IReadOnlyList<StepLogprobs> Logprobs { get; init; }
}
