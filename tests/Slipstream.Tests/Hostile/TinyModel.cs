using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Slipstream.Models;
using Slipstream.Tests.Checkpoints;

namespace Slipstream.Tests.Hostile;

/// <summary>A Llama of a few kilobytes with random weights, to be bent out of shape and written to a folder.</summary>
internal sealed class TinyModel
{
    public const int Hidden = 16, Intermediate = 24, Layers = 2;

    public TinyModel(int vocabulary = 32, int context = 64, int seed = 1)
    {
        Config = new JsonObject
        {
            ["model_type"] = "llama", ["vocab_size"] = vocabulary, ["hidden_size"] = Hidden, ["intermediate_size"] = Intermediate, ["num_hidden_layers"] = Layers,
            ["num_attention_heads"] = 4, ["num_key_value_heads"] = 2, ["max_position_embeddings"] = context, ["rms_norm_eps"] = 1e-6,
        };
        Random random = new(seed);
        Add("model.embed_tokens.weight", vocabulary, Hidden);
        for (int layer = 0; layer < Layers; layer++)
        {
            string prefix = $"model.layers.{layer}.";
            Add(prefix + "input_layernorm.weight", Hidden);
            Add(prefix + "self_attn.q_proj.weight", 16, Hidden);
            Add(prefix + "self_attn.k_proj.weight", 8, Hidden);
            Add(prefix + "self_attn.v_proj.weight", 8, Hidden);
            Add(prefix + "self_attn.o_proj.weight", Hidden, 16);
            Add(prefix + "post_attention_layernorm.weight", Hidden);
            Add(prefix + "mlp.gate_proj.weight", Intermediate, Hidden);
            Add(prefix + "mlp.up_proj.weight", Intermediate, Hidden);
            Add(prefix + "mlp.down_proj.weight", Hidden, Intermediate);
        }
        Add("model.norm.weight", Hidden);
        Add("lm_head.weight", vocabulary, Hidden);

        void Add(string name, params long[] shape)
        {
            float[] values = new float[shape.Aggregate(1L, (a, b) => a * b)];
            for (int i = 0; i < values.Length; i++) values[i] = shape.Length == 1 ? 1 : random.NextSingle() - 0.5f;
            Tensors[name] = ([.. shape], values);
        }
    }

    public JsonObject Config { get; }

    public Dictionary<string, (ImmutableArray<long> Shape, float[] Values)> Tensors { get; } = [];

    /// <summary><c>tokenizer.json</c>, or null for none.</summary>
    public string? Tokenizer { get; set; }

    /// <summary><c>generation_config.json</c>, or null for none.</summary>
    public string? Generation { get; set; }

    /// <summary>Sets one weight of a tensor.</summary>
    public TinyModel Poison(string tensor, int index, float value = float.NaN)
    {
        Tensors[tensor].Values[index] = value;
        return this;
    }

    /// <summary>Writes the folder and gives its path.</summary>
    public string Write(TempFolder parent, string name = "model")
    {
        string folder = parent.File(name);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), Config.ToJsonString());
        if (Tokenizer is not null) File.WriteAllText(Path.Combine(folder, "tokenizer.json"), Tokenizer);
        if (Generation is not null) File.WriteAllText(Path.Combine(folder, "generation_config.json"), Generation);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), [.. Tensors.Select(t => TensorToWrite.FromValues(t.Key, t.Value.Shape, t.Value.Values))]);
        return folder;
    }
}
