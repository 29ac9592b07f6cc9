using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>Puts a decoder together from its configuration, its tensors and their names: the part all families share.</summary>
internal sealed class DecoderBuilder(ModelConfig config, TensorNames names, WeightScope weights)
{
    public DecoderModel Build(ModelRuntime runtime)
    {
        Rotary? rotary = config.Rotary is { } settings ? new Rotary(settings) : null;
        if (rotary is { IsFinite: false }) throw new SlipstreamException($"'{weights.Path}': the rotary frequencies are not finite numbers; the rope settings of the configuration are damaged.");
        Linear embedding = config.TiedHead
            ? weights.Linear(TensorNames.Weight(names.Embedding), config.VocabularySize, config.HiddenSize)
            : weights.Rows(TensorNames.Weight(names.Embedding), config.VocabularySize, config.HiddenSize);
        Linear head = config.TiedHead ? embedding : weights.Linear(TensorNames.Weight(names.Head), config.HeadRows, config.HiddenSize);
        float[]? positions = rotary is null && names.Positions is { } table
            ? weights.Table(TensorNames.Weight(table), config.ContextLength, config.HiddenSize)
            : null;
        DecoderLayer[] layers = new DecoderLayer[config.Layers];
        for (int layer = 0; layer < layers.Length; layer++)
            layers[layer] = new DecoderLayer(
                Norm(names.AttentionNorm, layer, config.HiddenSize),
                Attention(layer, rotary, runtime.Precision),
                Norm(names.FeedForwardNorm, layer, config.HiddenSize),
                FeedForward(layer));
        Norm norm = Norm(names.Norm, 0, config.HiddenSize);
        weights.RequireAllUsed(config.Family, IsIgnorable);
        return new DecoderModel(config, runtime, weights, embedding, positions, layers, norm, head, rotary);
    }

    private Attention Attention(int layer, Rotary? rotary, ActivationPrecision precision)
    {
        int queries = config.Heads * config.HeadSize, keys = config.KvHeads * config.HeadSize;
        Dense query, key, value;
        if (names.QueryKeyValue is { } fused)
        {
            int all = queries + 2 * keys;
            query = Part(fused, layer, all, 0, queries);
            key = Part(fused, layer, all, queries, keys);
            value = Part(fused, layer, all, queries + keys, keys);
        }
        else
        {
            query = Dense(names.Query, layer, queries, config.HiddenSize, config.QueryKeyValueBias);
            key = Dense(names.Key, layer, keys, config.HiddenSize, config.QueryKeyValueBias);
            value = Dense(names.Value, layer, keys, config.HiddenSize, config.QueryKeyValueBias);
        }
        Norm? queryNorm = config.QueryKeyNorm ? Norm(names.QueryNorm, layer, config.HeadSize) : null;
        Norm? keyNorm = config.QueryKeyNorm ? Norm(names.KeyNorm, layer, config.HeadSize) : null;
        return new Attention(config, layer, query, key, value, Dense(names.Output, layer, config.HiddenSize, queries, config.OutputBias), queryNorm, keyNorm, rotary, precision);
    }

    private FeedForward FeedForward(int layer)
    {
        Dense up = Dense(names.Up, layer, config.IntermediateSize, config.HiddenSize, config.FeedForwardBias);
        Dense down = Dense(names.Down, layer, config.HiddenSize, config.IntermediateSize, config.FeedForwardBias);
        return config.GatedFeedForward
            ? new GatedFeedForward(Dense(names.Gate, layer, config.IntermediateSize, config.HiddenSize, config.FeedForwardBias), up, down, config.Activation)
            : new PlainFeedForward(up, down, config.Activation);
    }

    private Dense Dense(string name, int layer, int outFeatures, int inFeatures, bool bias)
    {
        string weight = TensorNames.Weight(name, layer);
        Linear linear = names.Transposed
            ? weights.Transposed(weight, inFeatures, outFeatures, 0, outFeatures)
            : weights.Linear(weight, outFeatures, inFeatures);
        return new Dense(linear, bias ? weights.Vector(TensorNames.Bias(name, layer), outFeatures) : null);
    }

    private Dense Part(string name, int layer, int all, int first, int count)
    {
        string weight = TensorNames.Weight(name, layer);
        Linear linear = names.Transposed
            ? weights.Transposed(weight, config.HiddenSize, all, first, count)
            : weights.LinearRows(weight, all, config.HiddenSize, first, count);
        float[]? bias = config.QueryKeyValueBias ? weights.Vector(TensorNames.Bias(name, layer), all)[first..(first + count)] : null;
        return new Dense(linear, bias);
    }

    private Norm Norm(string name, int layer, int length)
    {
        float[] weight = weights.Vector(TensorNames.Weight(name, layer), length);
        return config.Norm == NormKind.Rms
            ? new RootMeanSquareNorm(weight, config.NormEpsilon)
            : new MeanVarianceNorm(weight, weights.Vector(TensorNames.Bias(name, layer), length), config.NormEpsilon);
    }

    /// <summary>Masks, constant frequencies and copies of a tied head carry nothing of their own.</summary>
    private bool IsIgnorable(string tensor)
        => tensor.EndsWith(".attn.bias", StringComparison.Ordinal) || tensor.EndsWith(".masked_bias", StringComparison.Ordinal)
        || tensor.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal) || tensor == "rope_freqs.weight"
        || (config.TiedHead && tensor == TensorNames.Weight(names.Head));
}
