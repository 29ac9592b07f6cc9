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

    private static readonly (string HuggingFace, string Gguf)[] Names =
    [
        .. new Func<TensorNames, string>[] { n => n.Embedding, n => n.Norm, n => n.Head, n => n.AttentionNorm, n => n.Query, n => n.Key, n => n.Value, n => n.Output, n => n.FeedForwardNorm, n => n.Gate, n => n.Up, n => n.Down }
            .Select(name => (name(TensorNames.HuggingFace), name(TensorNames.Gguf))),
    ];

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
                int layer = Layer(name);
                if (name == HeadName && sameWidth && !shape.OutputTokens.IsEmpty) value.copy_(tensor(HeadRows(weights, target, from, shape.OutputTokens)).view(value.shape));
                else if (layer >= 0 ? sameLayers : sameWidth) value.copy_(tensor(Read(weights, target, name, layer >= 0 ? layers[layer] : 0, value.shape, shape)).view(value.shape));
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
        float[] all = Read(weights, target, from.TiedHead ? EmbeddingName : HeadName, 0, [from.Vocabulary, from.Hidden], from), rows = new float[tokens.Length * from.Hidden];
        for (int row = 0; row < tokens.Length; row++) all.AsSpan(tokens[row] * from.Hidden, from.Hidden).CopyTo(rows.AsSpan(row * from.Hidden));
        return rows;
    }

    private static float[] Read(WeightScope weights, Checkpoint target, string name, int layer, long[] dimensions, LlamaShape shape)
    {
        string pattern = name[..^".weight".Length];
        if (Layer(name) >= 0) pattern = "model.layers.{0}." + pattern[(pattern.IndexOf('.', "model.layers.".Length) + 1)..];
        (string huggingFace, string gguf) = Names.First(entry => entry.HuggingFace == pattern);
        bool isGguf = target.Kind == CheckpointKind.Gguf;
        string there = TensorNames.Weight(isGguf ? gguf : huggingFace, layer);
        if (dimensions.Length == 1) return weights.Vector(there, (int)dimensions[0]);
        float[] values = weights.Table(there, (int)dimensions[0], (int)dimensions[1]);
        return isGguf && pattern.EndsWith("q_proj", StringComparison.Ordinal) || isGguf && pattern.EndsWith("k_proj", StringComparison.Ordinal) ? Unpair(values, shape.HeadSize, (int)dimensions[1]) : values;
    }

    /// <summary>Query and key rows of GGUF, where neighbours turn together, in the order where halves do.</summary>
    private static float[] Unpair(float[] rows, int headSize, int columns)
    {
        float[] result = new float[rows.Length];
        int half = headSize / 2;
        for (int row = 0; row < rows.Length / columns; row++)
        {
            int head = row / headSize * headSize, within = row % headSize;
            rows.AsSpan((head + 2 * (within % half) + within / half) * columns, columns).CopyTo(result.AsSpan(row * columns));
        }
        return result;
    }

    private static int Layer(string name)
    {
        const string start = "model.layers.";
        return name.StartsWith(start, StringComparison.Ordinal) ? int.Parse(name.AsSpan(start.Length, name.IndexOf('.', start.Length) - start.Length), System.Globalization.CultureInfo.InvariantCulture) : -1;
    }
}
