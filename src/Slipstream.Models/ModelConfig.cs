using System.Collections.Immutable;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>The non-linearity of a feed-forward layer.</summary>
public enum ActivationKind
{
    /// <summary><c>x · σ(x)</c>.</summary>
    Silu,

    /// <summary>GELU by its tanh approximation (<c>gelu_new</c>, <c>gelu_pytorch_tanh</c>).</summary>
    GeluTanh,

    /// <summary>GELU by the error function.</summary>
    Gelu,
}

/// <summary>How rows are normalised.</summary>
public enum NormKind
{
    /// <summary>Root mean square, no mean, no bias (arXiv:1910.07467).</summary>
    Rms,

    /// <summary>Layer normalisation with bias (arXiv:1607.06450).</summary>
    Layer,
}

/// <summary>The shape of a decoder.</summary>
public sealed record ModelConfig
{
    /// <summary>The family's name (<c>llama</c>, <c>gpt2</c>, …).</summary>
    public required string Family { get; init; }

    /// <summary>Tokens.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Floats in a row between layers.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Floats inside a feed-forward layer.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Layers.</summary>
    public required int Layers { get; init; }

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Key-value heads; fewer than <see cref="Heads"/> in grouped-query attention, 1 in multi-query attention.</summary>
    public required int KvHeads { get; init; }

    /// <summary>Floats in a head.</summary>
    public required int HeadSize { get; init; }

    /// <summary>The longest sequence the model was made for, in tokens.</summary>
    public required int ContextLength { get; init; }

    /// <summary>How rows are normalised.</summary>
    public required NormKind Norm { get; init; }

    /// <summary>Added to the variance.</summary>
    public required float NormEpsilon { get; init; }

    /// <summary>The feed-forward non-linearity.</summary>
    public required ActivationKind Activation { get; init; }

    /// <summary>Whether the feed-forward layer has a gate (<c>down(act(gate(x)) · up(x))</c>).</summary>
    public required bool GatedFeedForward { get; init; }

    /// <summary>Rotary positions, or null where positions are learned.</summary>
    public RotaryConfig? Rotary { get; init; }

    /// <summary>Whether queries and keys are normalised per head before rotation (Qwen3).</summary>
    public bool QueryKeyNorm { get; init; }

    /// <summary>Whether the query, key and value products have a bias.</summary>
    public bool QueryKeyValueBias { get; init; }

    /// <summary>Whether the attention's output product has a bias.</summary>
    public bool OutputBias { get; init; }

    /// <summary>Whether the feed-forward products have a bias.</summary>
    public bool FeedForwardBias { get; init; }

    /// <summary>Whether the head is the embedding.</summary>
    public bool TiedHead { get; init; }

    /// <summary>The tokens that the head has rows for, ascending, as drafts have them (arXiv:2502.14856); all others have no chance. Empty: the head has rows for all.</summary>
    public ImmutableArray<int> OutputTokens { get; init; } = [];

    /// <summary>For each layer the number of tokens it sees, the current one among them; 0 is all. Empty: all layers see all.</summary>
    public ImmutableArray<int> Windows { get; init; } = [];

    /// <summary>The begin-of-sequence token, if any.</summary>
    public int? BeginToken { get; init; }

    /// <summary>Tokens that end a sequence.</summary>
    public ImmutableArray<int> EndTokens { get; init; } = [];

    /// <summary>Rows of the head.</summary>
    public int HeadRows => OutputTokens.IsDefaultOrEmpty ? VocabularySize : OutputTokens.Length;

    /// <summary>The window of a layer, 0 for none.</summary>
    public int Window(int layer) => Windows.IsDefaultOrEmpty ? 0 : Windows[layer];

    /// <summary>The encoding of the first layer's query weights, such as <c>Q4_1</c>; empty where it is not known. Attention is as exact as what queries come from (ADR 19).</summary>
    public string QueryFormat { get; init; } = "";

    /// <summary>The cache of this shape.</summary>
    /// <param name="precision">How activations enter products.</param>
    /// <param name="type">How keys and values are stored; null for bfloat16 where attention rounds to that anyway, else 32-bit floats.</param>
    public KvLayout KvLayout(ActivationPrecision precision, CacheType? type = null) => new(Layers, KvHeads, HeadSize, type ?? (AttendsInBfloat16(precision) ? CacheType.Bf16 : CacheType.F32));

    /// <summary>Whether attention rounds to bfloat16, whatever the type of the cache; over one of bfloat16 it does in any case.</summary>
    internal bool AttendsInBfloat16(ActivationPrecision precision) => Heads / KvHeads >= AttentionPairs.LeastGroup && Linear.IsRough(QueryFormat, precision);
}
