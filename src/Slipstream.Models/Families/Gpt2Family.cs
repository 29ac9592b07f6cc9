namespace Slipstream.Models;

/// <summary>GPT-2 (Radford et al. 2019): learned positions, layer norms, a fused query-key-value product, GELU, tied head.</summary>
public sealed class Gpt2Family : DecoderFamily
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Names { get; } = ["gpt2"];

    private protected override TensorNames TensorNamesOf(Checkpoint checkpoint)
    {
        if (checkpoint.Kind == CheckpointKind.Gguf) return TensorNames.Gguf with { QueryKeyValue = "blk.{0}.attn_qkv" };
        string root = checkpoint.Weights.Tensors.ContainsKey("transformer.wte.weight") ? "transformer." : "";
        return new TensorNames
        {
            Embedding = root + "wte", Positions = root + "wpe", Norm = root + "ln_f", Head = "lm_head",
            AttentionNorm = root + "h.{0}.ln_1", QueryKeyValue = root + "h.{0}.attn.c_attn", Output = root + "h.{0}.attn.c_proj",
            FeedForwardNorm = root + "h.{0}.ln_2", Up = root + "h.{0}.mlp.c_fc", Down = root + "h.{0}.mlp.c_proj",
            Transposed = true,
        };
    }

    private protected override ModelConfig ReadHuggingFace(ConfigReader config)
    {
        int hidden = config.Int32("n_embd", max: Widest), heads = config.Int32("n_head");
        if (!config.Flag("scale_attn_weights", true)) throw config.Invalid("scale_attn_weights", "is false, which is not supported");
        if (config.Flag("scale_attn_by_inverse_layer_idx", false)) throw config.Invalid("scale_attn_by_inverse_layer_idx", "is true, which is not supported");
        return new ModelConfig
        {
            Family = "gpt2",
            VocabularySize = config.Int32("vocab_size"),
            HiddenSize = hidden,
            IntermediateSize = config.Int32("n_inner", 4 * hidden, max: 4 * Widest),
            Layers = config.Int32("n_layer", max: 10_000),
            Heads = heads,
            KvHeads = heads,
            HeadSize = HeadSize(config, "n_embd", hidden, heads),
            ContextLength = config.Int32("n_positions", 1024),
            Norm = NormKind.Layer,
            NormEpsilon = (float)config.Double("layer_norm_epsilon", 1e-5, 0),
            Activation = ReadActivation(config, "activation_function", "gelu_new"),
            GatedFeedForward = false,
            QueryKeyValueBias = true,
            OutputBias = true,
            FeedForwardBias = true,
            TiedHead = config.Flag("tie_word_embeddings", true),
            BeginToken = config.Int32s("bos_token_id") is [int bos, ..] ? bos : null,
            EndTokens = [.. config.Int32s("eos_token_id")],
        };
    }

    private protected override ModelConfig ReadGguf(Checkpoint checkpoint)
    {
        ModelConfig shape = ReadGgufLike("gpt2", checkpoint, RotaryPairing.Halves);
        return shape with
        {
            Norm = NormKind.Layer,
            NormEpsilon = (float)checkpoint.Config.Double("gpt2.attention.layer_norm_epsilon", 1e-5, 0),
            Activation = ActivationKind.GeluTanh,
            GatedFeedForward = false,
            Rotary = null,
            QueryKeyValueBias = true,
            OutputBias = true,
            FeedForwardBias = true,
        };
    }
}
