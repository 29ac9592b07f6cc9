using System.Collections.Immutable;
using Slipstream.Distillation.Torch;
using Slipstream.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Slipstream.Distillation.Drafts;

/// <summary>A student before its training.</summary>
/// <param name="Model">The model.</param>
/// <param name="Layers">Which layers of the target its own were copied from; empty where they are random.</param>
/// <param name="HasEmbedding">Whether the embedding, the final norm and the head are the target's.</param>
internal sealed record Student(TorchLlama Model, IReadOnlyList<int> Layers, bool HasEmbedding);

/// <summary>Makes students from a target's weights where shapes allow.</summary>
/// <remarks>Evenly spaced layers, the first and the last among them, as DistilBERT takes every other one (arXiv:1910.01108).</remarks>
internal static class StudentFactory
{
    private const string HeadName = "lm_head.weight", EmbeddingName = "model.embed_tokens.weight";

    /// <summary>Makes the student of a target.</summary>
    /// <param name="target">A Llama checkpoint, in any format that the engine reads.</param>
    /// <param name="options">The sizes, and whether the weights are random.</param>
    /// <param name="seed">The seed of what is random.</param>
    /// <param name="outputTokens">The tokens of the student's head, ascending; empty for all.</param>
    /// <exception cref="SlipstreamException">The target has parts that the trainer does not know, or the sizes do not fit.</exception>
    public static Student Create(Checkpoint target, StudentOptions options, ulong seed, ImmutableArray<int> outputTokens = default)
    {
        if (target.Architecture != "llama")
            throw new SlipstreamException($"'{target.Path}' is a model of the family '{target.Architecture}'; a student is made from the sizes of a 'llama' target: give --student with the folder of a model to start from.");
        LlamaShape from = TorchCheckpoint.Shape(target.Path, new LlamaFamily().ReadConfig(target)), shape = options.Shape(from, outputTokens.IsDefault ? [] : outputTokens);
        bool sameWidth = !options.IsRandom && shape.Hidden == from.Hidden;
        bool sameLayers = sameWidth && (shape.Heads, shape.KvHeads, shape.HeadSize, shape.Intermediate) == (from.Heads, from.KvHeads, from.HeadSize, from.Intermediate);
        if (sameLayers && shape.Layers > from.Layers) throw new SlipstreamException($"--student has {shape.Layers} layers, more than the {from.Layers} of the target; take fewer, or init=random.");
        TorchLlama model = new(shape, seed);
        int[] layers = sameLayers ? Spread(from.Layers, shape.Layers) : [];
        try
        {
            using IDisposable none = no_grad();
            using WeightScope weights = new(target.Weights);
            foreach ((string name, Tensor value) in model.NamedWeights())
            {
                using DisposeScope scope = NewDisposeScope();
                int layer = LlamaTensors.Layer(name);
                if (name == HeadName && sameWidth && !shape.OutputTokens.IsEmpty) value.copy_(tensor(HeadRows(weights, target, from, shape.OutputTokens)).view(value.shape));
                else if (layer >= 0 ? sameLayers : sameWidth) value.copy_(tensor(LlamaTensors.Read(weights, target, name, layer >= 0 ? layers[layer] : 0, value.shape, shape)).view(value.shape));
            }
        }
        catch
        {
            model.Dispose();
            throw;
        }
        return new Student(model, layers, sameWidth);
    }

    /// <summary>Evenly spaced indices, the first and the last among them; one alone is the first.</summary>
    internal static int[] Spread(int all, int count) => [.. Enumerable.Range(0, count).Select(i => count == 1 ? 0 : (int)Math.Round((double)i * (all - 1) / (count - 1)))];

    /// <summary>The target's head at some tokens, <c>[tokens, hidden]</c>.</summary>
    private static float[] HeadRows(WeightScope weights, Checkpoint target, LlamaShape from, ImmutableArray<int> tokens)
    {
        float[] all = LlamaTensors.Read(weights, target, from.TiedHead ? EmbeddingName : HeadName, 0, [from.Vocabulary, from.Hidden], from), rows = new float[tokens.Length * from.Hidden];
        for (int row = 0; row < tokens.Length; row++) all.AsSpan(tokens[row] * from.Hidden, from.Hidden).CopyTo(rows.AsSpan(row * from.Hidden));
        return rows;
    }
}
