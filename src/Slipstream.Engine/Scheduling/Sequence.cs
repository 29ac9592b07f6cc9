using Slipstream.Models;
using Slipstream.Sampling;
using Slipstream.Speculation;

namespace Slipstream.Scheduling;

/// <summary>Why a sequence ended.</summary>
public enum FinishReason
{
    /// <summary>It has not ended.</summary>
    None,

    /// <summary>An end token, stop token or stop string.</summary>
    Stop,

    /// <summary>The token limit or the context length.</summary>
    Length,

    /// <summary>The caller cancelled.</summary>
    Cancelled,

    /// <summary>A failure.</summary>
    Failed,
}

/// <summary>What a sequence needs to run.</summary>
internal sealed record SequenceSettings
{
    public required ILogitsPipeline Pipeline { get; init; }

    public required IVerifier Verifier { get; init; }

    public required TokenRandom Random { get; init; }

    /// <summary>The most tokens in all, prompt included.</summary>
    public required int Limit { get; init; }

    /// <summary>Tokens that end the sequence.</summary>
    public required int[] StopTokens { get; init; }

    public required DraftSchedule Schedule { get; init; }

    public ISequenceSink? Sink { get; init; }

    /// <summary>Whether the sink wants the raw logits of every generated token.</summary>
    public bool WantsLogits { get; init; }

    /// <summary>Whose rows to go on from and to keep afterwards, or null.</summary>
    public string? Session { get; init; }
}

/// <summary>Receives what the loop makes of a sequence; called on the loop's thread.</summary>
internal interface ISequenceSink
{
    /// <summary>A token was committed. Returns true to end the sequence with it.</summary>
    /// <param name="token">The token.</param>
    /// <param name="logits">The raw logits it was drawn from where the settings want them, else empty.</param>
    bool OnToken(int token, ReadOnlySpan<float> logits);

    /// <summary>The sequence ended; nothing follows.</summary>
    void OnFinished(FinishReason reason, Exception? failure);
}

/// <summary>A request on its way: its tokens, what of them is computed, and how to choose the next.</summary>
public sealed class Sequence
{
    private readonly int[] _tokens;
    private readonly int[] _stopTokens;
    private volatile bool _cancelled;
    private int _count;

    internal Sequence(ReadOnlySpan<int> prompt, SequenceSettings settings)
    {
        _tokens = new int[settings.Limit];
        prompt.CopyTo(_tokens);
        _count = PromptLength = prompt.Length;
        Limit = settings.Limit;
        _stopTokens = settings.StopTokens;
        Pipeline = settings.Pipeline;
        Verifier = settings.Verifier;
        Random = settings.Random;
        Schedule = settings.Schedule;
        Sink = settings.Sink;
        WantsLogits = settings.WantsLogits;
        Session = settings.Session;
    }

    /// <summary>Prompt and generated tokens.</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, _count);

    /// <summary>How many of the tokens are the prompt.</summary>
    public int PromptLength { get; }

    /// <summary>The most tokens it may have.</summary>
    public int Limit { get; }

    /// <summary>How the next token is chosen.</summary>
    public ILogitsPipeline Pipeline { get; }

    /// <summary>How drafts are judged.</summary>
    public IVerifier Verifier { get; }

    /// <summary>Its random numbers.</summary>
    public TokenRandom Random { get; }

    /// <summary>Tokens whose rows are computed.</summary>
    public int Computed { get; internal set; }

    /// <summary>Tokens still to be computed.</summary>
    public int Pending => _count - Computed;

    /// <summary>Why it ended, or <see cref="FinishReason.None"/>.</summary>
    public FinishReason Finish { get; internal set; }

    /// <summary>What became of its drafts.</summary>
    public SpeculationCounts Counts { get; } = new();

    internal DraftSchedule Schedule;

    internal ISequenceSink? Sink { get; }

    internal bool WantsLogits { get; }

    internal string? Session { get; }

    internal bool IsCancelled => _cancelled;

    internal KvTable? Table { get; set; }

    internal DraftTree? Tree { get; set; }

    /// <summary>Whether the token ends the sequence.</summary>
    public bool IsStopToken(int token) => _stopTokens.AsSpan().Contains(token);

    /// <summary>Asks the loop to end it before its next step. Any thread.</summary>
    internal void Cancel() => _cancelled = true;

    internal void Append(int token) => _tokens[_count++] = token;
}
