using Slipstream.Sampling;

namespace Slipstream;

/// <summary>Which verifier judges drafts. Both are lossless.</summary>
public enum VerifierKind
{
    /// <summary><see cref="Coupled"/> where a seed is given, else <see cref="Rejection"/>.</summary>
    Auto,

    /// <summary>Rejection sampling (arXiv:2211.17192, 2302.01318): the highest acceptance; the output has the right distribution.</summary>
    Rejection,

    /// <summary>Shared noise (arXiv:2408.07978): the output is that of plain sampling with the same seed, whatever the drafter.</summary>
    Coupled,
}

/// <summary>How the number of drafted tokens changes.</summary>
public enum AssistantTokensSchedule
{
    /// <summary>Always the same.</summary>
    Constant,

    /// <summary>Two more after a draft that was accepted whole, else one fewer, at least one.</summary>
    Heuristic,

    /// <summary>
    /// At most the number given: whatever promises the most tokens a second, from how the request's last drafts fared and from what steps of so many rows take on this machine; none while drafting does not pay.
    /// The output is the same as with any other, but where <see cref="VerifierKind.Rejection"/> samples with a seed: there another number of drafted tokens is another sample, and this one differs from run to run.
    /// </summary>
    Measured,
}

/// <summary>How one request is generated. Names follow Hugging Face's <c>generate</c>. The defaults stand here and nowhere else.</summary>
public sealed record GenerationOptions
{
    /// <summary>The most tokens to generate; the context length may end it sooner.</summary>
    public int MaxNewTokens { get; init; } = 256;

    /// <summary>How tokens are chosen; null takes the checkpoint's <c>generation_config.json</c>, else greedy.</summary>
    public SamplingOptions? Sampling { get; init; }

    /// <summary>The seed; null takes a random one.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Which of several samples of one seed this is: each index has its own random numbers.</summary>
    public int SampleIndex { get; init; }

    /// <summary>Texts that end the generation; they are not part of the result.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Tokens that end the generation, beside the model's own end tokens.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];

    /// <summary>Whether to go on past the model's end tokens.</summary>
    public bool IgnoreEndTokens { get; init; }

    /// <summary>How many of the best tokens to report with their log-probabilities; null for none, 0 for the chosen token alone.</summary>
    public int? TopLogprobs { get; init; }

    /// <summary>
    /// Tokens drafted at once, at first (Hugging Face's <c>num_assistant_tokens</c>); 0 turns drafting off for this request. Null takes the draft model's own number
    /// where it has one, and keeps to it, else <see cref="DefaultAssistantTokens"/>.
    /// </summary>
    public int? AssistantTokens { get; init; }

    /// <summary>Tokens drafted at once, at first, where nothing names another number.</summary>
    public const int DefaultAssistantTokens = 5;

    /// <summary>How that number changes (Hugging Face's <c>num_assistant_tokens_schedule</c>).</summary>
    public AssistantTokensSchedule AssistantTokensSchedule { get; init; } = AssistantTokensSchedule.Heuristic;

    /// <summary>
    /// A name for requests that continue each other, such as the turns of a conversation: cached rows of the last one stay while memory allows, and the next computes only
    /// what follows the tokens they share. Never changes the output. Null for a request on its own.
    /// </summary>
    public string? Session { get; init; }

    /// <summary>Which verifier judges drafts.</summary>
    public VerifierKind Verifier { get; init; } = VerifierKind.Auto;
}
