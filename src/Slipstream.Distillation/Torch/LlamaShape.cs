using System.Collections.Immutable;
using System.Globalization;

namespace Slipstream.Distillation.Torch;

/// <summary>The sizes of a Llama-family decoder, by the names of <c>config.json</c>.</summary>
internal sealed record LlamaShape
{
    /// <summary>Rows of the embedding.</summary>
    public required int Vocabulary { get; init; }

    /// <summary>Width of the residual stream.</summary>
    public required int Hidden { get; init; }

    /// <summary>Blocks.</summary>
    public required int Layers { get; init; }

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Key-value heads; each serves as many query heads.</summary>
    public required int KvHeads { get; init; }

    /// <summary>Width of a head, even.</summary>
    public required int HeadSize { get; init; }

    /// <summary>Width of the feed-forward part.</summary>
    public required int Intermediate { get; init; }

    /// <summary>Positions the model is said to be good for.</summary>
    public int ContextLength { get; init; } = 2048;

    /// <summary>The base of the rotary angles.</summary>
    public double RotaryBase { get; init; } = 10_000;

    /// <summary>Added to the mean square in the norms.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>Whether the head is the embedding.</summary>
    public bool TiedHead { get; init; } = true;

    /// <summary>The tokens that the head has rows for, ascending; empty for all. Only of a head of its own.</summary>
    public ImmutableArray<int> OutputTokens { get; init; } = [];

    /// <summary>Rows of the head.</summary>
    public int HeadRows => OutputTokens.IsEmpty ? Vocabulary : OutputTokens.Length;

    /// <summary>Rows of the query, key and value weights together.</summary>
    public int QkvRows => (Heads + 2 * KvHeads) * HeadSize;

    /// <summary>Numbers of the whole model.</summary>
    public long Parameters =>
        ((long)Vocabulary + (TiedHead ? 0 : HeadRows)) * Hidden
        + Layers * ((long)QkvRows * Hidden + (long)Hidden * Heads * HeadSize + 3L * Intermediate * Hidden + 2L * Hidden) + Hidden;

    /// <summary>Says what is wrong with the sizes.</summary>
    /// <exception cref="SlipstreamException">They do not fit each other.</exception>
    public LlamaShape Checked()
    {
        if (Vocabulary < 1 || Hidden < 1 || Layers < 1 || Heads < 1 || KvHeads < 1 || HeadSize < 1 || Intermediate < 1)
            throw new SlipstreamException($"The shape {this} has a size below 1; every size must be 1 or more.");
        if (Heads % KvHeads != 0)
            throw new SlipstreamException($"{Heads} attention heads cannot share {KvHeads} key-value heads evenly; choose a divisor.");
        if (HeadSize % 2 != 0)
            throw new SlipstreamException($"A head of {HeadSize} cannot be turned by pairs; choose sizes that give an even width.");
        if (TiedHead && !OutputTokens.IsEmpty)
            throw new SlipstreamException($"A head of {OutputTokens.Length} of {Vocabulary} tokens cannot be the embedding, which has all; give it weights of its own.");
        if (Parameters > 500_000_000)
            throw new SlipstreamException($"The shape has {Parameters} parameters, more than the 500000000 that the trainer takes; choose a smaller one.");
        return this;
    }

    /// <summary>The sizes in one line.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"vocabulary {Vocabulary}, hidden {Hidden}, layers {Layers}, heads {Heads} of {HeadSize}, kv-heads {KvHeads}, intermediate {Intermediate}, {(TiedHead ? "tied" : "own")} head{(OutputTokens.IsEmpty ? "" : $" of {HeadRows} tokens")}");
}
