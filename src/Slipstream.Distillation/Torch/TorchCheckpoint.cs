using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Slipstream.Distillation.Training;
using Slipstream.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Slipstream.Distillation.Torch;

/// <summary>Reads and writes the Hugging Face folders that the engine loads.</summary>
internal static class TorchCheckpoint
{
    private static readonly JsonWriterOptions Indented = new() { Indented = true };

    /// <summary>Loads a Llama checkpoint in any format that the engine reads, GGUF too; what is quantised is decoded.</summary>
    /// <exception cref="SlipstreamException">It is no Llama model, is incomplete, or has a part that the trainer does not know.</exception>
    public static TorchLlama Load(string path)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        if (checkpoint.Architecture != "llama") throw new SlipstreamException($"'{path}' is a model of the family '{checkpoint.Architecture}'; the trainer takes models of the family 'llama'.");
        LlamaShape shape = Shape(path, new LlamaFamily().ReadConfig(checkpoint));
        TorchLlama model = new(shape);
        try
        {
            using IDisposable none = no_grad();
            using WeightScope weights = new(checkpoint.Weights);
            foreach ((string name, Tensor value) in model.NamedWeights())
            {
                using DisposeScope scope = NewDisposeScope();
                value.copy_(tensor(LlamaTensors.Read(weights, checkpoint, name, Math.Max(0, LlamaTensors.Layer(name)), value.shape, shape)).view(value.shape));
            }
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Writes the weights and <c>config.json</c>; each file appears whole or not at all.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The folder, made where it is not there.</param>
    /// <param name="begin">The begin-of-sequence token, or null.</param>
    /// <param name="end">The tokens that end a text; the first is the end-of-sequence token.</param>
    /// <exception cref="SlipstreamException">A file cannot be written.</exception>
    public static void Save(TorchLlama model, string folder, int? begin, ImmutableArray<int> end)
    {
        Directory.CreateDirectory(folder);
        List<TensorToWrite> tensors = [];
        using (IDisposable none = no_grad())
        using (DisposeScope scope = NewDisposeScope())
            foreach ((string name, Tensor value) in model.NamedWeights())
                tensors.Add(TensorToWrite.FromValues(name, [.. value.shape], MemoryMarshal.Cast<byte, float>(value.detach().contiguous().bytes).ToArray()));
        DurableFile.WriteAllText(Path.Combine(folder, "config.json"), Json(json => WriteConfig(json, model.Shape, begin, end)));
        DurableFile.WriteAllText(Path.Combine(folder, "generation_config.json"), Json(json => WriteTokens(json, begin, end)));
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors, new Dictionary<string, string> { ["format"] = "pt" }, DurableFile.Create);
    }

    internal static string Json(Action<Utf8JsonWriter> write)
    {
        using MemoryStream buffer = new();
        using (Utf8JsonWriter json = new(buffer, Indented))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.ToArray()) + "\n";
    }

    private static void WriteConfig(Utf8JsonWriter json, LlamaShape shape, int? begin, ImmutableArray<int> end)
    {
        json.WriteStartArray("architectures");
        json.WriteStringValue("LlamaForCausalLM");
        json.WriteEndArray();
        json.WriteString("model_type", "llama");
        json.WriteNumber("vocab_size", shape.Vocabulary);
        json.WriteNumber("hidden_size", shape.Hidden);
        json.WriteNumber("intermediate_size", shape.Intermediate);
        json.WriteNumber("num_hidden_layers", shape.Layers);
        json.WriteNumber("num_attention_heads", shape.Heads);
        json.WriteNumber("num_key_value_heads", shape.KvHeads);
        json.WriteNumber("head_dim", shape.HeadSize);
        json.WriteNumber("max_position_embeddings", shape.ContextLength);
        json.WriteNumber("rms_norm_eps", shape.NormEpsilon);
        json.WriteNumber("rope_theta", shape.RotaryBase);
        json.WriteString("hidden_act", "silu");
        json.WriteBoolean("attention_bias", false);
        json.WriteBoolean("mlp_bias", false);
        json.WriteBoolean("tie_word_embeddings", shape.TiedHead);
        if (!shape.OutputTokens.IsEmpty)
        {
            json.WriteStartArray(DecoderFamily.OutputTokensField);
            foreach (int token in shape.OutputTokens) json.WriteNumberValue(token);
            json.WriteEndArray();
        }
        json.WriteString("torch_dtype", "float32");
        WriteTokens(json, begin, end);
    }

    private static void WriteTokens(Utf8JsonWriter json, int? begin, ImmutableArray<int> end)
    {
        if (begin is { } id) json.WriteNumber("bos_token_id", id);
        if (end is [int only]) json.WriteNumber("eos_token_id", only);
        else if (end.Length > 1)
        {
            json.WriteStartArray("eos_token_id");
            foreach (int token in end) json.WriteNumberValue(token);
            json.WriteEndArray();
        }
    }

    /// <summary>The sizes of a model that the trainer knows all parts of.</summary>
    /// <exception cref="SlipstreamException">It has others.</exception>
    internal static LlamaShape Shape(string path, ModelConfig config)
    {
        string? unknown = config.QueryKeyValueBias || config.OutputBias || config.FeedForwardBias ? "biases"
            : config.Activation != ActivationKind.Silu ? "another activation than SiLU"
            : config.Rotary is not { } rotary || rotary.Dimensions != config.HeadSize || rotary.Scaling is not null ? "scaled or partial rotary positions"
            : config.Windows.Any(window => window > 0) ? "attention windows"
            : null;
        if (unknown is not null) throw new SlipstreamException($"'{path}' has {unknown}, which the trainer does not know; take a plain Llama model.");
        return new LlamaShape
        {
            Vocabulary = config.VocabularySize,
            Hidden = config.HiddenSize,
            Layers = config.Layers,
            Heads = config.Heads,
            KvHeads = config.KvHeads,
            HeadSize = config.HeadSize,
            Intermediate = config.IntermediateSize,
            ContextLength = config.ContextLength,
            RotaryBase = config.Rotary!.Base,
            NormEpsilon = config.NormEpsilon,
            TiedHead = config.TiedHead,
            // Empty arrays are equal only where they are the same one.
            OutputTokens = config.OutputTokens.IsEmpty ? [] : config.OutputTokens,
        };
    }
}
