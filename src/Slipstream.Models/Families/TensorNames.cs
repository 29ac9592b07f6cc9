using System.Globalization;

namespace Slipstream.Models;

/// <summary>What a naming scheme calls the tensors of a decoder; <c>{0}</c> stands for the layer. Names are without <c>.weight</c> and <c>.bias</c>.</summary>
public sealed record TensorNames
{
    /// <summary>The token embedding, <c>[vocabulary, hidden]</c>.</summary>
    public required string Embedding { get; init; }

    /// <summary>Learned positions, <c>[context, hidden]</c>, if the family has them.</summary>
    public string? Positions { get; init; }

    /// <summary>The final norm.</summary>
    public required string Norm { get; init; }

    /// <summary>The head, <c>[vocabulary, hidden]</c>.</summary>
    public required string Head { get; init; }

    /// <summary>The norm before attention.</summary>
    public required string AttentionNorm { get; init; }

    /// <summary>The query product, where it is separate.</summary>
    public string Query { get; init; } = "";

    /// <summary>The key product, where it is separate.</summary>
    public string Key { get; init; } = "";

    /// <summary>The value product, where it is separate.</summary>
    public string Value { get; init; } = "";

    /// <summary>The fused product of query, key and value, one after the other, where it is one tensor.</summary>
    public string? QueryKeyValue { get; init; }

    /// <summary>The attention's output product.</summary>
    public required string Output { get; init; }

    /// <summary>The norm of queries per head, if the family has it.</summary>
    public string QueryNorm { get; init; } = "";

    /// <summary>The norm of keys per head, if the family has it.</summary>
    public string KeyNorm { get; init; } = "";

    /// <summary>The norm before the feed-forward part.</summary>
    public required string FeedForwardNorm { get; init; }

    /// <summary>The gate product of a gated feed-forward part.</summary>
    public string Gate { get; init; } = "";

    /// <summary>The product into the feed-forward part.</summary>
    public required string Up { get; init; }

    /// <summary>The product out of the feed-forward part.</summary>
    public required string Down { get; init; }

    /// <summary>Whether matrices are stored <c>[in, out]</c> (GPT-2's Conv1D), the embedding and head apart.</summary>
    public bool Transposed { get; init; }

    /// <summary>Llama and its kin on Hugging Face.</summary>
    public static TensorNames HuggingFace { get; } = new()
    {
        Embedding = "model.embed_tokens", Norm = "model.norm", Head = "lm_head",
        AttentionNorm = "model.layers.{0}.input_layernorm",
        Query = "model.layers.{0}.self_attn.q_proj", Key = "model.layers.{0}.self_attn.k_proj", Value = "model.layers.{0}.self_attn.v_proj",
        Output = "model.layers.{0}.self_attn.o_proj",
        QueryNorm = "model.layers.{0}.self_attn.q_norm", KeyNorm = "model.layers.{0}.self_attn.k_norm",
        FeedForwardNorm = "model.layers.{0}.post_attention_layernorm",
        Gate = "model.layers.{0}.mlp.gate_proj", Up = "model.layers.{0}.mlp.up_proj", Down = "model.layers.{0}.mlp.down_proj",
    };

    /// <summary>Every family in GGUF.</summary>
    public static TensorNames Gguf { get; } = new()
    {
        Embedding = "token_embd", Positions = "position_embd", Norm = "output_norm", Head = "output",
        AttentionNorm = "blk.{0}.attn_norm",
        Query = "blk.{0}.attn_q", Key = "blk.{0}.attn_k", Value = "blk.{0}.attn_v",
        Output = "blk.{0}.attn_output",
        QueryNorm = "blk.{0}.attn_q_norm", KeyNorm = "blk.{0}.attn_k_norm",
        FeedForwardNorm = "blk.{0}.ffn_norm",
        Gate = "blk.{0}.ffn_gate", Up = "blk.{0}.ffn_up", Down = "blk.{0}.ffn_down",
    };

    /// <summary>The weight of a name in a layer.</summary>
    public static string Weight(string pattern, int layer = 0) => string.Format(CultureInfo.InvariantCulture, pattern, layer) + ".weight";

    /// <summary>The bias of a name in a layer.</summary>
    public static string Bias(string pattern, int layer = 0) => string.Format(CultureInfo.InvariantCulture, pattern, layer) + ".bias";
}
