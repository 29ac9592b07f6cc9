using System.Collections.Immutable;

namespace Slipstream.Models;

/// <summary>Qwen2 and Qwen2.5 (arXiv:2407.10671): Llama with biases on query, key and value, and windows on the upper layers where they are switched on.</summary>
public sealed class Qwen2Family : DecoderFamily
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Names { get; } = ["qwen2"];

    private protected override TensorNames TensorNamesOf(Checkpoint checkpoint)
        => checkpoint.Kind == CheckpointKind.Gguf ? TensorNames.Gguf : TensorNames.HuggingFace;

    private protected override ModelConfig ReadHuggingFace(ConfigReader config)
    {
        ModelConfig shape = ReadLlamaLike("qwen2", config);
        return shape with { QueryKeyValueBias = true, Windows = ReadWindows(config, shape.Layers) };
    }

    private protected override ModelConfig ReadGguf(Checkpoint checkpoint) => ReadGgufLike("qwen2", checkpoint, RotaryPairing.Halves);

    /// <summary>Windows by <c>layer_types</c>, or for the layers from <c>max_window_layers</c> on.</summary>
    internal static ImmutableArray<int> ReadWindows(ConfigReader config, int layers)
    {
        if (!config.Flag("use_sliding_window", false) || !config.Has("sliding_window")) return [];
        int window = config.Int32("sliding_window"), first = config.Int32("max_window_layers", 28, 0);
        if (config.Texts("layer_types") is not { } types) return [.. Enumerable.Range(0, layers).Select(layer => layer >= first ? window : 0)];
        if (types.Count != layers) throw config.Invalid("layer_types", $"has {types.Count} entries for {layers} layers");
        return [.. types.Select(type => type switch
        {
            "sliding_attention" => window,
            "full_attention" => 0,
            _ => throw config.Invalid("layer_types", $"names '{type}'; known are full_attention and sliding_attention"),
        })];
    }
}

/// <summary>Qwen3, dense (arXiv:2505.09388): Llama with queries and keys normalised per head.</summary>
public sealed class Qwen3Family : DecoderFamily
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Names { get; } = ["qwen3"];

    private protected override TensorNames TensorNamesOf(Checkpoint checkpoint)
        => checkpoint.Kind == CheckpointKind.Gguf ? TensorNames.Gguf : TensorNames.HuggingFace;

    private protected override ModelConfig ReadHuggingFace(ConfigReader config)
    {
        bool bias = config.Flag("attention_bias", false);
        ModelConfig shape = ReadLlamaLike("qwen3", config);
        return shape with { QueryKeyNorm = true, QueryKeyValueBias = bias, OutputBias = bias, Windows = Qwen2Family.ReadWindows(config, shape.Layers) };
    }

    private protected override ModelConfig ReadGguf(Checkpoint checkpoint) => ReadGgufLike("qwen3", checkpoint, RotaryPairing.Halves) with { QueryKeyNorm = true };
}
