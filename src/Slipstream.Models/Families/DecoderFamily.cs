using System.Collections.Immutable;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>What decoder families share: the fields nearly all configurations have.</summary>
public abstract class DecoderFamily : IModelFamily
{
    /// <summary>The widest row taken for real, far over that of any known model: a damaged number is named before arithmetic with it overflows.</summary>
    private protected const int Widest = 1 << 20;

    /// <summary>Where a configuration lists the tokens of a head that has not all of them; in GGUF behind the architecture's name.</summary>
    internal const string OutputTokensField = "draft_vocabulary";

    private protected DecoderFamily() { }

    /// <inheritdoc/>
    public abstract IReadOnlyList<string> Names { get; }

    /// <inheritdoc/>
    public ModelConfig ReadConfig(Checkpoint checkpoint)
    {
        ModelConfig config = checkpoint.Kind == CheckpointKind.Gguf ? ReadGguf(checkpoint) : ReadHuggingFace(checkpoint.Config);
        Check(config, checkpoint.Config);
        return config with { QueryFormat = QueryFormat(TensorNamesOf(checkpoint), checkpoint.Weights) };
    }

    /// <inheritdoc/>
    public ILanguageModel Build(ModelConfig config, Checkpoint checkpoint, ModelRuntime runtime)
    {
        WeightScope weights = new(checkpoint.Weights, runtime);
        try
        {
            return new DecoderBuilder(config, TensorNamesOf(checkpoint), weights).Build(runtime);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    // Transposed weights are read as 32-bit floats.
    private static string QueryFormat(TensorNames names, ITensorSource weights)
        => names.Transposed ? F32.Name : weights.Tensors.TryGetValue(TensorNames.Weight(names.QueryKeyValue ?? names.Query), out TensorInfo? query) ? query.Format : "";

    private protected abstract TensorNames TensorNamesOf(Checkpoint checkpoint);

    private protected abstract ModelConfig ReadHuggingFace(ConfigReader config);

    private protected abstract ModelConfig ReadGguf(Checkpoint checkpoint);

    /// <summary>A Llama-like configuration from <c>config.json</c>.</summary>
    private protected static ModelConfig ReadLlamaLike(string family, ConfigReader config)
    {
        int hidden = config.Int32("hidden_size", max: Widest), heads = config.Int32("num_attention_heads");
        int headSize = config.Has("head_dim") ? config.Int32("head_dim") : HeadSize(config, "hidden_size", hidden, heads);
        return new ModelConfig
        {
            Family = family,
            VocabularySize = config.Int32("vocab_size"),
            HiddenSize = hidden,
            IntermediateSize = config.Int32("intermediate_size", max: Widest),
            Layers = config.Int32("num_hidden_layers", max: 10_000),
            Heads = heads,
            KvHeads = config.Int32("num_key_value_heads", heads),
            HeadSize = headSize,
            ContextLength = config.Int32("max_position_embeddings", 2048),
            Norm = NormKind.Rms,
            NormEpsilon = (float)config.Double("rms_norm_eps", 1e-6, 0),
            Activation = ReadActivation(config, "hidden_act", "silu"),
            GatedFeedForward = true,
            Rotary = RotarySettings.ReadHuggingFace(config, headSize),
            TiedHead = config.Flag("tie_word_embeddings", false),
            OutputTokens = [.. config.Int32s(OutputTokensField)],
            BeginToken = config.Int32s("bos_token_id") is [int bos, ..] ? bos : null,
            EndTokens = [.. config.Int32s("eos_token_id")],
        };
    }

    /// <summary>A Llama-like configuration from GGUF metadata; biases and ties are told by the tensors.</summary>
    private protected static ModelConfig ReadGgufLike(string family, Checkpoint checkpoint, RotaryPairing pairing)
    {
        ConfigReader config = checkpoint.Config;
        string prefix = checkpoint.Architecture + ".";
        int hidden = config.Int32(prefix + "embedding_length", max: Widest), heads = config.Int32(prefix + "attention.head_count");
        int headSize = config.Has(prefix + "attention.key_length") ? config.Int32(prefix + "attention.key_length") : HeadSize(config, prefix + "embedding_length", hidden, heads);
        bool Has(string name) => checkpoint.Weights.Tensors.ContainsKey(name);
        if (!checkpoint.Weights.Tensors.TryGetValue("token_embd.weight", out TensorInfo? embedding) || embedding.Shape is not [long vocabulary and <= int.MaxValue, _])
            throw new SlipstreamException($"'{checkpoint.Path}': the tensor 'token_embd.weight' is missing or no matrix; the file is incomplete.");
        return new ModelConfig
        {
            Family = family,
            VocabularySize = (int)vocabulary,
            HiddenSize = hidden,
            IntermediateSize = config.Int32(prefix + "feed_forward_length", max: Widest),
            Layers = config.Int32(prefix + "block_count", max: 10_000),
            Heads = heads,
            KvHeads = config.Int32(prefix + "attention.head_count_kv", heads),
            HeadSize = headSize,
            ContextLength = config.Int32(prefix + "context_length", 2048),
            Norm = NormKind.Rms,
            NormEpsilon = (float)config.Double(prefix + "attention.layer_norm_rms_epsilon", 1e-6, 0),
            Activation = ActivationKind.Silu,
            GatedFeedForward = true,
            Rotary = RotarySettings.ReadGguf(checkpoint, prefix, headSize, pairing),
            TiedHead = !Has("output.weight"),
            OutputTokens = [.. config.Int32s(prefix + OutputTokensField)],
            QueryKeyValueBias = Has("blk.0.attn_q.bias"),
            OutputBias = Has("blk.0.attn_output.bias"),
            FeedForwardBias = Has("blk.0.ffn_up.bias"),
            Windows = Windows(config.Int32(prefix + "attention.sliding_window", 0, 0), config.Int32(prefix + "block_count", max: 10_000)),
            BeginToken = config.Has("tokenizer.ggml.bos_token_id") ? config.Int32("tokenizer.ggml.bos_token_id", min: 0) : null,
            EndTokens = GgufEndTokens(config),
        };
    }

    /// <summary>The end token and, where the file names them, the tokens that end a turn and a message.</summary>
    private protected static ImmutableArray<int> GgufEndTokens(ConfigReader config)
    {
        ImmutableArray<int>.Builder tokens = ImmutableArray.CreateBuilder<int>();
        foreach (string key in (ReadOnlySpan<string>)["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"])
            if (config.Has(key) && config.Int32(key, min: 0) is int token && !tokens.Contains(token)) tokens.Add(token);
        return tokens.DrainToImmutable();
    }

    /// <summary>The same window for all layers; empty for none.</summary>
    private protected static ImmutableArray<int> Windows(int window, int layers) => window == 0 ? [] : [.. Enumerable.Repeat(window, layers)];

    private protected static ActivationKind ReadActivation(ConfigReader config, string field, string fallback) => (config.Text(field) ?? fallback) switch
    {
        "silu" or "swish" => ActivationKind.Silu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => ActivationKind.GeluTanh,
        "gelu" => ActivationKind.Gelu,
        string other => throw config.Invalid(field, $"is '{other}'; known are silu, gelu, gelu_new and gelu_pytorch_tanh"),
    };

    private protected static int HeadSize(ConfigReader config, string field, int hidden, int heads)
        => hidden % heads == 0 ? hidden / heads : throw config.Invalid(field, $"is {hidden}, which {heads} attention heads cannot share evenly");

    private static void Check(ModelConfig c, ConfigReader source)
    {
        if (c.Heads % c.KvHeads != 0)
            throw new SlipstreamException($"'{source.Source}': {c.Heads} attention heads cannot share {c.KvHeads} key-value heads evenly; the configuration is damaged.");
        if ((long)c.Heads * c.HeadSize > Widest)
            throw new SlipstreamException($"'{source.Source}': {c.Heads} attention heads of {c.HeadSize} are wider than the limit of {Widest}; the configuration is damaged.");
        if (!float.IsFinite(c.NormEpsilon))
            throw new SlipstreamException($"'{source.Source}': the epsilon of the norms is too large for a number of 32 bits; the configuration is damaged.");
        if (c.HeadSize > 1024)
            throw new SlipstreamException($"'{source.Source}': a head of {c.HeadSize} is over the limit of 1024; the configuration is damaged.");
        if (c.Rotary is { } rotary && (rotary.Dimensions < 2 || rotary.Dimensions % 2 != 0 || rotary.Dimensions > c.HeadSize))
            throw new SlipstreamException($"'{source.Source}': {rotary.Dimensions} rotary dimensions do not fit heads of {c.HeadSize}; the number must be even and not larger.");
        if (c.Rotary is null && c.Family != "gpt2")
            throw new SlipstreamException($"'{source.Source}': the family '{c.Family}' needs rotary positions.");
        CheckOutputTokens(c, source);
        foreach (int token in c.EndTokens)
            if ((uint)token >= (uint)c.VocabularySize) throw new SlipstreamException($"'{source.Source}': the end token {token} is outside the vocabulary of {c.VocabularySize}.");
    }

    private static void CheckOutputTokens(ModelConfig c, ConfigReader source)
    {
        if (c.OutputTokens.IsEmpty) return;
        if (c.TiedHead) throw new SlipstreamException($"'{source.Source}': '{OutputTokensField}' lists {c.OutputTokens.Length} tokens, but the head is the embedding, which has all; such a draft needs a head of its own.");
        int before = -1;
        foreach (int token in c.OutputTokens)
        {
            if (token <= before || token >= c.VocabularySize)
                throw new SlipstreamException($"'{source.Source}': '{OutputTokensField}' has {token} after {before}; it must list tokens of the vocabulary of {c.VocabularySize} in ascending order, none twice.");
            before = token;
        }
    }
}
