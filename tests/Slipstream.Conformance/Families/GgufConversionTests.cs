using System.IO.Compression;
using System.Text.Json;
using Slipstream.Analysis;
using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Families;

/// <summary>Checkpoints written as GGUF against what they were before, and against the files of llama.cpp's own quantiser.</summary>
public sealed class GgufConversionTests
{
    private static readonly ModelOptions Exact = new() { Threads = 1, Activations = ActivationPrecision.F32 };

    /// <summary>Rotary pairs lie elsewhere in a head, so a product of query and key is summed in another order; nothing else changes.</summary>
    [Theory]
    [InlineData("llama", 1e-5)]
    [InlineData("llama-mha-tied", 1e-5)]
    [InlineData("llama-mqa", 1e-5)]
    [InlineData("llama-bias-headdim", 1e-5)]
    [InlineData("llama-rope-llama3", 1e-5)]
    [InlineData("llama-rope-linear", 1e-5)]
    [InlineData("llama-rope-parameters", 1e-5)]
    [InlineData("mistral", 1e-5)]
    [InlineData("qwen2", 0)]
    [InlineData("qwen3", 0)]
    public void A_folder_written_as_F32_gives_the_same_logits(string name, double tolerance)
    {
        string folder = Assets.Path("goldens", "models", name);
        using Scratch file = new();
        GgufConverter.Convert(folder, file.Path, new GgufConversionOptions { Format = "F32" });
        using ModelEvaluator before = ModelEvaluator.Load(folder, Exact), after = ModelEvaluator.Load(file.Path, Exact);
        Assert.Equal(before.Config.EndTokens, after.Config.EndTokens);
        Assert.Equal((before.Config.BeginToken, before.Config.TiedHead, before.Config.ContextLength), (after.Config.BeginToken, after.Config.TiedHead, after.Config.ContextLength));
        foreach (JsonElement item in FamilyGoldenTests.Cases(folder))
        {
            int[] ids = FamilyGoldenTests.Ints(item.GetProperty("ids"));
            List<float[]> expected = [];
            before.Logits(ids, (_, logits) => expected.Add(logits.ToArray()));
            double worst = 0;
            after.Logits(ids, (row, logits) => worst = Math.Max(worst, FamilyGoldenTests.Difference(expected[row], logits)));
            Assert.True(worst <= tolerance, $"{name}: the logits differ by {worst}.");
        }
    }

    [Theory]
    [InlineData("F32")]
    [InlineData("F16")]
    [InlineData("BF16")]
    [InlineData("Q8_0")]
    [InlineData("Q4_0")]
    [InlineData("Q4_1")]
    [InlineData("Q5_0")]
    [InlineData("Q5_1")]
    public void Tensors_are_those_of_llama_cpp_byte_for_byte(string format)
    {
        using Scratch file = new();
        GgufConversion made = GgufConverter.Convert(Assets.Path("goldens", "gguf", "tiny-F32.gguf"), file.Path, new GgufConversionOptions { Format = format });
        Assert.Equal(new FileInfo(file.Path).Length, made.Bytes);
        using Checkpoint golden = Checkpoint.Open(Assets.Path("goldens", "gguf", $"tiny-{format}.gguf")), ours = Checkpoint.Open(file.Path);
        int compared = 0;
        foreach (TensorInfo tensor in golden.Weights.Tensors.Values)
        {
            TensorInfo own = ours.Weights.Tensors[tensor.Name];
            Assert.Equal(tensor.Shape, own.Shape);
            Assert.Equal(tensor.Shape.Length == 1 ? "F32" : format, own.Format);
            // llama.cpp keeps the head of small files in another format.
            if (tensor.Format != own.Format) continue;
            Assert.True(golden.Weights.Data(tensor.Name).Span(0, (int)tensor.Bytes).SequenceEqual(ours.Weights.Data(tensor.Name).Span(0, (int)tensor.Bytes)), tensor.Name);
            compared++;
        }
        Assert.True(compared >= golden.Weights.Tensors.Count - 2);
        Assert.Equal(golden.Gguf!.Keys.Order(StringComparer.Ordinal), ours.Gguf!.Keys.Union(["general.quantization_version"]).Intersect(golden.Gguf.Keys).Order(StringComparer.Ordinal));
        Assert.Equal(golden.Gguf.Texts("tokenizer.ggml.tokens")!, ours.Gguf.Texts("tokenizer.ggml.tokens")!);
    }

    [Fact]
    public void A_width_that_a_format_does_not_divide_is_refused_by_name()
    {
        using Scratch file = new();
        string message = Assert.Throws<SlipstreamException>(() => GgufConverter.Convert(Assets.Path("goldens", "models", "llama"), file.Path)).Message;
        Assert.Contains("'model.layers.0.mlp.down_proj.weight' has rows of 112 weights, which Q8_0 cannot divide into blocks of 32; choose F16, BF16 or F32.", message, StringComparison.Ordinal);
        Assert.False(File.Exists(file.Path));
    }

    [Theory]
    [InlineData("gpt2", "the family 'gpt2' cannot be written as GGUF")]
    [InlineData("bloom", "the model family 'bloom' is not supported")]
    [InlineData("qwen2-mixed-window", "windows on some of its layers only")]
    public void What_GGUF_cannot_state_is_refused_by_name(string name, string problem)
    {
        using Scratch file = new();
        Assert.Contains(problem, Assert.Throws<SlipstreamException>(() => GgufConverter.Convert(Assets.Path("goldens", "models", name), file.Path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("smollm2", "smollm")]
    [InlineData("gpt2", "gpt-2")]
    [InlineData("qwen2-like", "qwen2")]
    [InlineData("llama3-like", "llama-bpe")]
    public void A_tokenizer_keeps_every_id(string name, string pre)
    {
        using Scratch folder = new(), file = new();
        Directory.CreateDirectory(folder.Path);
        CopyTokenizer(name, folder.Path);
        Tokenizer before = TokenizerLoader.FromFolder(folder.Path);
        RandomFolder.Write(folder.Path, before.VocabularySize + 3);
        GgufConversion made = GgufConverter.Convert(folder.Path, file.Path, new GgufConversionOptions { Name = "A name", License = "apache-2.0" });
        Assert.Equal("Q8_0", made.Format);
        using Checkpoint checkpoint = Checkpoint.Open(file.Path);
        Assert.Equal(("A name", "apache-2.0", pre), (checkpoint.Gguf!.Text("general.name"), checkpoint.Gguf.Text("general.license"), checkpoint.Gguf.Text("tokenizer.ggml.pre")));
        Tokenizer after = TokenizerLoader.FromGguf(checkpoint.Config);
        for (int id = 0; id < before.VocabularySize; id++)
            if (before.Spelling(id) is { } spelling) Assert.Equal((spelling, before.IsSpecial(id)), (after.TokenText(id), after.IsSpecial(id)));
        string text = File.ReadAllText(Assets.Path("text", "tinystories", "sample.txt"))[..20000] + " don't\n\n  x\t🙂 ½ é 12345 <|im_start|>user\nHi<|im_end|>\n<|endoftext|>";
        Assert.Equal(before.Encode(text).Ids, after.Encode(text).Ids);
        Assert.Equal(before.Decode([.. before.Encode(text).Ids]), after.Decode([.. after.Encode(text).Ids]));
    }

    private static void CopyTokenizer(string name, string folder)
    {
        string source = Assets.Path("goldens", "tokenizers", name, "tokenizer.json");
        using Stream from = File.Exists(source) ? File.OpenRead(source) : new GZipStream(File.OpenRead(source + ".gz"), CompressionMode.Decompress);
        using FileStream to = File.Create(Path.Combine(folder, "tokenizer.json"));
        from.CopyTo(to);
        if (name == "smollm2") File.Copy(Assets.Path("goldens", "tokenizers", name, "tokenizer_config.json"), Path.Combine(folder, "tokenizer_config.json"));
    }

    private sealed class Scratch : IDisposable
    {
        public string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"slipstream-convert-{Guid.NewGuid():N}.gguf");

        public void Dispose()
        {
            if (Directory.Exists(Path)) Directory.Delete(Path, true);
            File.Delete(Path);
        }
    }
}

/// <summary>A tiny Llama with random weights beside a tokenizer.</summary>
internal static class RandomFolder
{
    public static void Write(string folder, int vocabulary)
    {
        File.WriteAllText(Path.Combine(folder, "config.json"),
            $$"""{"model_type":"llama","vocab_size":{{vocabulary}},"hidden_size":32,"intermediate_size":64,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,"tie_word_embeddings":true,"eos_token_id":0}""");
        Random random = new(1);
        List<TensorToWrite> tensors = [];
        void Add(string name, params long[] shape)
            => tensors.Add(TensorToWrite.FromValues(name + ".weight", [.. shape], (float[])[.. Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(_ => random.NextSingle() - 0.5f)]));
        Add("model.embed_tokens", vocabulary, 32);
        foreach (string norm in (string[])["model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"]) Add(norm, 32);
        Add("model.layers.0.self_attn.q_proj", 32, 32);
        Add("model.layers.0.self_attn.k_proj", 16, 32);
        Add("model.layers.0.self_attn.v_proj", 16, 32);
        Add("model.layers.0.self_attn.o_proj", 32, 32);
        Add("model.layers.0.mlp.gate_proj", 64, 32);
        Add("model.layers.0.mlp.up_proj", 64, 32);
        Add("model.layers.0.mlp.down_proj", 32, 64);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors);
    }
}
