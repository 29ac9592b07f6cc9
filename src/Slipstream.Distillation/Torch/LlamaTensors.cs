using System.Globalization;
using Slipstream.Models;

namespace Slipstream.Distillation.Torch;

/// <summary>Reads the weights of Llama checkpoints by the names that the trainer gives them, from any format that the engine reads.</summary>
internal static class LlamaTensors
{
    private static readonly (string HuggingFace, string Gguf)[] Names =
    [
        .. new Func<TensorNames, string>[] { n => n.Embedding, n => n.Norm, n => n.Head, n => n.AttentionNorm, n => n.Query, n => n.Key, n => n.Value, n => n.Output, n => n.FeedForwardNorm, n => n.Gate, n => n.Up, n => n.Down }
            .Select(name => (name(TensorNames.HuggingFace), name(TensorNames.Gguf))),
    ];

    /// <summary>The layer that a tensor belongs to, or −1.</summary>
    public static int Layer(string name)
    {
        const string start = "model.layers.";
        return name.StartsWith(start, StringComparison.Ordinal) ? int.Parse(name.AsSpan(start.Length, name.IndexOf('.', start.Length) - start.Length), CultureInfo.InvariantCulture) : -1;
    }

    /// <summary>The values of a tensor.</summary>
    /// <param name="weights">The checkpoint's weights.</param>
    /// <param name="checkpoint">The checkpoint.</param>
    /// <param name="name">The trainer's name, of whichever layer.</param>
    /// <param name="layer">The layer to read it from.</param>
    /// <param name="dimensions">Its dimensions.</param>
    /// <param name="shape">The sizes of its heads.</param>
    /// <exception cref="SlipstreamException">It is missing or has other dimensions.</exception>
    public static float[] Read(WeightScope weights, Checkpoint checkpoint, string name, int layer, long[] dimensions, LlamaShape shape)
    {
        string pattern = name[..^".weight".Length];
        if (Layer(name) >= 0) pattern = "model.layers.{0}." + pattern[(pattern.IndexOf('.', "model.layers.".Length) + 1)..];
        (string huggingFace, string gguf) = Names.First(entry => entry.HuggingFace == pattern);
        bool isGguf = checkpoint.Kind == CheckpointKind.Gguf;
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
}
