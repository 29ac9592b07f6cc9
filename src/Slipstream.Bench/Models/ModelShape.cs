namespace Slipstream.Bench;

/// <summary>The shape of a Llama-like model, by which it is made with random weights: speed depends on the shape and the format, not on the values.</summary>
/// <param name="Name">The model that has it.</param>
/// <param name="Hidden">Floats in a row between layers.</param>
/// <param name="Layers">Layers.</param>
/// <param name="Heads">Query heads, which share <paramref name="Hidden"/> evenly.</param>
/// <param name="KvHeads">Key-value heads.</param>
/// <param name="Intermediate">Floats inside a feed-forward layer.</param>
/// <param name="Vocabulary">Tokens.</param>
/// <param name="TiedHead">Whether the head is the embedding.</param>
internal sealed record ModelShape(string Name, int Hidden, int Layers, int Heads, int KvHeads, int Intermediate, int Vocabulary, bool TiedHead = false)
{
    /// <summary>The shapes by name.</summary>
    public static IReadOnlyList<ModelShape> All { get; } =
    [
        new("tiny", 256, 2, 4, 2, 512, 512),
        new("smollm2-135m", 576, 30, 9, 3, 1536, 49152, true),
        new("smollm2-360m", 960, 32, 15, 5, 2560, 49152, true),
        new("tinyllama-1.1b", 2048, 22, 32, 4, 5632, 32000),
        new("llama-3.2-1b", 2048, 16, 32, 8, 8192, 128256, true),
        new("smollm2-1.7b", 2048, 24, 32, 32, 8192, 49152, true),
        new("llama-3.2-3b", 3072, 28, 24, 8, 8192, 128256, true),
        new("llama-7b", 4096, 32, 32, 32, 11008, 32000),
        new("llama-3-8b", 4096, 32, 32, 8, 14336, 128256),
        new("llama-13b", 5120, 40, 40, 40, 13824, 32000),
    ];

    /// <summary>Floats in a head.</summary>
    public int HeadSize => Hidden / Heads;

    /// <summary>The shape of a name, with another number of key-value heads or layers where given.</summary>
    /// <exception cref="SlipstreamException">There is none, or the heads cannot be shared evenly.</exception>
    public static ModelShape Get(string name, int? kvHeads, int? layers)
    {
        ModelShape shape = All.FirstOrDefault(s => s.Name == name)
            ?? throw new SlipstreamException($"The shape '{name}' is not known; known are {string.Join(", ", All.Select(s => s.Name))}.");
        if (kvHeads is { } heads)
        {
            if (heads < 1 || shape.Heads % heads != 0) throw new SlipstreamException($"The {shape.Heads} heads of '{name}' cannot share {heads} key-value heads evenly; take a divisor of {shape.Heads}.");
            shape = shape with { KvHeads = heads };
        }
        return layers is { } count ? shape with { Layers = count } : shape;
    }

    /// <summary>A name for files: the model's, and what differs from it.</summary>
    public string FileName
    {
        get
        {
            ModelShape original = All.First(s => s.Name == Name);
            return Name + (KvHeads == original.KvHeads ? "" : $"-kv{KvHeads}") + (Layers == original.Layers ? "" : $"-{Layers}layers");
        }
    }

    /// <summary>The tensors, with the names GGUF gives them.</summary>
    public IEnumerable<ShapeTensor> Tensors()
    {
        int kv = KvHeads * HeadSize;
        yield return new("token_embd.weight", TiedHead ? TensorRole.Head : TensorRole.Embedding, 0, [Vocabulary, Hidden]);
        for (int layer = 0; layer < Layers; layer++)
        {
            string prefix = $"blk.{layer}.";
            yield return new(prefix + "attn_norm.weight", TensorRole.Vector, layer, [Hidden]);
            yield return new(prefix + "attn_q.weight", TensorRole.Matrix, layer, [Hidden, Hidden]);
            yield return new(prefix + "attn_k.weight", TensorRole.Matrix, layer, [kv, Hidden]);
            yield return new(prefix + "attn_v.weight", TensorRole.Value, layer, [kv, Hidden]);
            yield return new(prefix + "attn_output.weight", TensorRole.Matrix, layer, [Hidden, Hidden]);
            yield return new(prefix + "ffn_norm.weight", TensorRole.Vector, layer, [Hidden]);
            yield return new(prefix + "ffn_gate.weight", TensorRole.Matrix, layer, [Intermediate, Hidden]);
            yield return new(prefix + "ffn_up.weight", TensorRole.Matrix, layer, [Intermediate, Hidden]);
            yield return new(prefix + "ffn_down.weight", TensorRole.Down, layer, [Hidden, Intermediate]);
        }
        yield return new("output_norm.weight", TensorRole.Vector, 0, [Hidden]);
        if (!TiedHead) yield return new("output.weight", TensorRole.Head, 0, [Vocabulary, Hidden]);
    }
}

/// <summary>What a tensor is for, as far as mixed formats tell them apart.</summary>
internal enum TensorRole
{
    /// <summary>One-dimensional.</summary>
    Vector,

    /// <summary>The embedding alone.</summary>
    Embedding,

    /// <summary>The head, be it the embedding too.</summary>
    Head,

    /// <summary>The value product of attention.</summary>
    Value,

    /// <summary>The product out of the feed-forward part.</summary>
    Down,

    /// <summary>Any other matrix.</summary>
    Matrix,
}

/// <summary>A tensor of a shape.</summary>
/// <param name="Name">Its GGUF name.</param>
/// <param name="Role">What it is for.</param>
/// <param name="Layer">Its layer.</param>
/// <param name="Shape">Row-major, outermost dimension first.</param>
internal sealed record ShapeTensor(string Name, TensorRole Role, int Layer, System.Collections.Immutable.ImmutableArray<long> Shape);
