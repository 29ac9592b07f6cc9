namespace Slipstream.Models;

/// <summary>What a GGUF file says about a decoder of Llama's kind, and which tensors it has.</summary>
/// <remarks>Source: the keys and names of llama.cpp's converter.</remarks>
internal static class GgufModelKeys
{
    /// <summary>Adds the shape and the name of the model.</summary>
    /// <exception cref="SlipstreamException">GGUF has no key for something the model needs.</exception>
    public static void Add(GgufWriter writer, Checkpoint checkpoint, ModelConfig config, GgufConversionOptions options)
    {
        RotaryConfig rotary = config.Rotary!;
        if (config.Activation != ActivationKind.Silu || !config.GatedFeedForward)
            throw Refused(checkpoint, $"the activation {config.Activation}");
        if (rotary.Dimensions != config.HeadSize)
            throw Refused(checkpoint, $"rotary positions over {rotary.Dimensions} of {config.HeadSize} dimensions");
        if (config.Windows.Distinct().Count() > 1)
            throw Refused(checkpoint, "windows on some of its layers only");
        string architecture = Architecture(config);
        writer.Add("general.architecture", architecture)
            .Add("general.type", "model")
            .Add("general.name", options.Name ?? FolderName(checkpoint));
        if (options.License is not null) writer.Add("general.license", options.License);
        writer.Add($"{architecture}.vocab_size", (uint)config.VocabularySize)
            .Add($"{architecture}.context_length", (uint)config.ContextLength)
            .Add($"{architecture}.embedding_length", (uint)config.HiddenSize)
            .Add($"{architecture}.block_count", (uint)config.Layers)
            .Add($"{architecture}.feed_forward_length", (uint)config.IntermediateSize)
            .Add($"{architecture}.attention.head_count", (uint)config.Heads)
            .Add($"{architecture}.attention.head_count_kv", (uint)config.KvHeads)
            .Add($"{architecture}.attention.key_length", (uint)config.HeadSize)
            .Add($"{architecture}.attention.value_length", (uint)config.HeadSize)
            .Add($"{architecture}.attention.layer_norm_rms_epsilon", config.NormEpsilon)
            .Add($"{architecture}.rope.dimension_count", (uint)rotary.Dimensions)
            .Add($"{architecture}.rope.freq_base", (float)rotary.Base);
        if (!config.OutputTokens.IsEmpty) writer.AddList($"{architecture}.{DecoderFamily.OutputTokensField}", config.OutputTokens);
        if (config.Window(0) > 0) writer.Add($"{architecture}.attention.sliding_window", (uint)config.Window(0));
        if (rotary.Scaling is LinearRotaryScaling linear)
            writer.Add($"{architecture}.rope.scaling.type", "linear").Add($"{architecture}.rope.scaling.factor", (float)linear.Factor);
        else if (rotary.Scaling is not (null or Llama3RotaryScaling))
            throw Refused(checkpoint, "that scaling of its rotary positions");
    }

    /// <summary>The tensors in the order of the file.</summary>
    /// <exception cref="SlipstreamException">One is missing, or one has no place.</exception>
    public static List<ConvertedTensor> Tensors(Checkpoint checkpoint, ModelConfig config)
    {
        TensorNames from = TensorNames.HuggingFace, to = TensorNames.Gguf;
        int headSize = Architecture(config) == "llama" ? config.HeadSize : 0;
        List<ConvertedTensor> tensors = [];
        HashSet<string> used = new(StringComparer.Ordinal);
        Add(from.Embedding, to.Embedding);
        for (int layer = 0; layer < config.Layers; layer++)
        {
            Add(from.AttentionNorm, to.AttentionNorm, layer);
            Add(from.Query, to.Query, layer, headSize);
            Add(from.Key, to.Key, layer, headSize);
            Add(from.Value, to.Value, layer);
            Add(from.Output, to.Output, layer);
            if (config.QueryKeyNorm)
            {
                Add(from.QueryNorm, to.QueryNorm, layer);
                Add(from.KeyNorm, to.KeyNorm, layer);
            }
            Add(from.FeedForwardNorm, to.FeedForwardNorm, layer);
            Add(from.Gate, to.Gate, layer);
            Add(from.Up, to.Up, layer);
            Add(from.Down, to.Down, layer);
        }
        Add(from.Norm, to.Norm);
        if (!config.TiedHead) Add(from.Head, to.Head);
        string tied = TensorNames.Weight(from.Head);
        foreach (string name in checkpoint.Weights.Tensors.Keys)
            // A copy of a tied head and constant frequencies carry nothing of their own.
            if (!used.Contains(name) && !(config.TiedHead && name == tied) && !name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal))
                throw new SlipstreamException($"'{checkpoint.Path}': the tensor '{MessageText.Clip(name)}' has no place in a GGUF file of the family '{config.Family}'.");
        return tensors;

        void Add(string source, string target, int layer = 0, int zip = 0)
        {
            string weight = TensorNames.Weight(source, layer), bias = TensorNames.Bias(source, layer);
            if (!checkpoint.Weights.Tensors.TryGetValue(weight, out TensorInfo? tensor))
                throw new SlipstreamException($"'{checkpoint.Path}': the tensor '{weight}' is missing; the file is incomplete or of another family.");
            tensors.Add(new ConvertedTensor(TensorNames.Weight(target, layer), tensor, zip));
            used.Add(weight);
            if (!checkpoint.Weights.Tensors.TryGetValue(bias, out TensorInfo? vector)) return;
            tensors.Add(new ConvertedTensor(TensorNames.Bias(target, layer), vector, zip));
            used.Add(bias);
        }
    }

    /// <summary>What Llama 3's scaling divides each frequency by, the form GGUF has for it.</summary>
    public static ConvertedTensor RotaryDivisors(RotaryConfig rotary)
    {
        float[] plain = new float[rotary.Dimensions / 2];
        for (int i = 0; i < plain.Length; i++) plain[i] = (float)(1.0 / Math.Pow(rotary.Base, 2.0 * i / rotary.Dimensions));
        float[] scaled = [.. plain];
        rotary.Scaling!.Apply(scaled);
        return new ConvertedTensor("rope_freqs.weight", null, Made: [.. plain.Select((frequency, i) => frequency / scaled[i])]);
    }

    // GGUF files of Mistral call themselves llama.
    private static string Architecture(ModelConfig config) => config.Family == "mistral" ? "llama" : config.Family;

    private static string FolderName(Checkpoint checkpoint) => Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(checkpoint.Folder!)));

    private static SlipstreamException Refused(Checkpoint checkpoint, string what) => new($"'{checkpoint.Path}': the model has {what}, which its GGUF form cannot state; keep it as a Hugging Face folder.");
}
