using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>Reads rotary settings in all the forms checkpoints have.</summary>
internal static class RotarySettings
{
    /// <summary>The classic form (<c>rope_theta</c>, <c>rope_scaling</c>) and the newer one (<c>rope_parameters</c>).</summary>
    public static RotaryConfig ReadHuggingFace(ConfigReader config, int headSize)
    {
        ConfigReader? parameters = config.Section("rope_parameters"), scaling = parameters ?? config.Section("rope_scaling");
        double theta = parameters is not null && parameters.Has("rope_theta") ? parameters.Double("rope_theta", min: 1) : config.Double("rope_theta", 10000, 1);
        double partial = config.Double("partial_rotary_factor", 1, 0);
        if (partial is <= 0 or > 1) throw config.Invalid("partial_rotary_factor", $"is {partial}; it must be over 0 and at most 1");
        return new RotaryConfig(theta, (int)(headSize * partial), RotaryPairing.Halves, scaling is null ? null : ReadScaling(scaling, config));
    }

    /// <summary>GGUF metadata under <paramref name="prefix"/>, and the divisors in <c>rope_freqs.weight</c>.</summary>
    public static RotaryConfig ReadGguf(Checkpoint checkpoint, string prefix, int headSize, RotaryPairing pairing)
    {
        ConfigReader config = checkpoint.Config;
        int dimensions = config.Int32(prefix + "rope.dimension_count", headSize);
        string type = config.Text(prefix + "rope.scaling.type") ?? "none";
        RotaryScaling? scaling = type switch
        {
            "none" or "" => null,
            "linear" => new LinearRotaryScaling(config.Double(prefix + "rope.scaling.factor", 1, double.Epsilon)),
            _ => throw config.Invalid(prefix + "rope.scaling.type", $"is '{type}', which is not supported yet; supported are none and linear"),
        };
        if (checkpoint.Weights.Tensors.TryGetValue("rope_freqs.weight", out TensorInfo? tensor))
        {
            if (tensor.Format != "F32" || tensor.Elements != dimensions / 2)
                throw new SlipstreamException($"'{checkpoint.Path}': the tensor 'rope_freqs.weight' has {tensor.Elements} values of {tensor.Format}, expected {dimensions / 2} of F32.");
            float[] factors = new float[dimensions / 2];
            using (Linear row = Linear.Create("F32", checkpoint.Weights.Data(tensor.Name), 1, factors.Length)) row.ReadRow(0, factors);
            scaling = new FactorsRotaryScaling([.. factors]);
        }
        return new RotaryConfig(config.Double(prefix + "rope.freq_base", 10000, 1), dimensions, pairing, scaling);
    }

    private static RotaryScaling? ReadScaling(ConfigReader scaling, ConfigReader config)
    {
        string type = scaling.Text("rope_type") ?? scaling.Text("type") ?? "default";
        return type switch
        {
            "default" => null,
            "linear" => new LinearRotaryScaling(scaling.Double("factor", min: 1e-6)),
            "llama3" => new Llama3RotaryScaling(
                scaling.Double("factor", min: 1e-6),
                scaling.Double("low_freq_factor", min: 1e-6),
                scaling.Double("high_freq_factor", min: 1e-6),
                scaling.Int32("original_max_position_embeddings", config.Has("original_max_position_embeddings") ? config.Int32("original_max_position_embeddings") : null)),
            _ => throw scaling.Invalid(scaling.Has("rope_type") ? "rope_type" : "type", $"is '{type}', which is not supported yet; supported are default, linear and llama3"),
        };
    }
}
