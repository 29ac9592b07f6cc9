using Slipstream.Bench;
using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.Tests.Checkpoints;

namespace Slipstream.Tests.Bench;

public sealed class RandomModelTests
{
    public static TheoryData<string> Mixes => [.. FormatMix.All.Select(m => m.Name)];

    [Theory]
    [MemberData(nameof(Mixes))]
    public void A_random_model_of_every_format_runs(string format)
    {
        using TempFolder folder = new();
        string path = Make(folder, "tiny", format);
        using SlipstreamContender contender = new(path, 1, ActivationPrecision.Auto, 8);
        Assert.Equal((256, 2, 4, 2, 512, 512), (contender.Config.HiddenSize, contender.Config.Layers, contender.Config.Heads, contender.Config.KvHeads, contender.Config.IntermediateSize, contender.Config.VocabularySize));
        Workload work = new(WorkKind.Verify, 8, 0);
        contender.Begin([work]);
        contender.Prepare(work);
        contender.Forward([1, 2, 3, 4, 5, 6, 7, 8], all: true);
        for (int row = 0; row < 8; row++)
        {
            float[] logits = contender.Logits(row).ToArray();
            Assert.All(logits, l => Assert.True(float.IsFinite(l)));
            // A model whose weights were all alike would have nothing to compute.
            Assert.True(logits.Distinct().Count() > 400);
        }
    }

    [Fact]
    public void Q4_K_M_is_mixed_as_llama_cpp_mixes_it()
    {
        ModelShape shape = ModelShape.Get("tinyllama-1.1b", null, null);
        FormatMix mix = FormatMix.Get("q4_k_m");
        Dictionary<string, string> formats = shape.Tensors().ToDictionary(t => t.Name, t => mix.FormatOf(t, shape.Layers).Name);
        Assert.Equal(201, formats.Count);
        int[] better = [0, 1, 4, 7, 10, 13, 16, 19, 20, 21];
        for (int layer = 0; layer < 22; layer++)
        {
            string expected = better.Contains(layer) ? "Q6_K" : "Q4_K";
            Assert.Equal((expected, expected), (formats[$"blk.{layer}.attn_v.weight"], formats[$"blk.{layer}.ffn_down.weight"]));
            Assert.All(["attn_q", "attn_k", "attn_output", "ffn_gate", "ffn_up"], name => Assert.Equal("Q4_K", formats[$"blk.{layer}.{name}.weight"]));
            Assert.Equal("F32", formats[$"blk.{layer}.attn_norm.weight"]);
        }
        Assert.Equal(("Q6_K", "Q4_K", "F32"), (formats["output.weight"], formats["token_embd.weight"], formats["output_norm.weight"]));
    }

    [Fact]
    public void Rows_that_are_no_whole_blocks_fall_back_as_llama_cpp_does()
    {
        ModelShape shape = ModelShape.Get("smollm2-135m", null, null);
        Dictionary<string, string> formats = shape.Tensors().ToDictionary(t => t.Name, t => FormatMix.Get("Q4_K_M").FormatOf(t, shape.Layers).Name);
        Assert.Equal(("Q8_0", "Q5_0", "Q6_K", "Q8_0"), (formats["token_embd.weight"], formats["blk.5.attn_q.weight"], formats["blk.0.ffn_down.weight"], formats["blk.0.attn_v.weight"]));
        Assert.False(formats.ContainsKey("output.weight"));
    }

    [Fact]
    public void A_whole_file_is_kept_and_half_a_file_is_made_again()
    {
        using TempFolder folder = new();
        string path = Make(folder, "tiny", "Q4_0");
        byte[] bytes = File.ReadAllBytes(path);
        DateTime first = new(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        File.SetLastWriteTimeUtc(path, first);
        Assert.Equal(path, Make(folder, "tiny", "Q4_0"));
        Assert.Equal(first, File.GetLastWriteTimeUtc(path));
        File.WriteAllBytes(path, bytes[..^100]);
        Make(folder, "tiny", "Q4_0");
        Assert.Equal(bytes, File.ReadAllBytes(path));
    }

    [Fact]
    public void A_cancelled_file_leaves_nothing()
    {
        using TempFolder folder = new();
        using CancellationTokenSource source = new();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => RandomModel.Get(ModelShape.Get("tiny", null, null), FormatMix.Get("F16"), folder.Path, null, source.Token));
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void Heads_and_layers_can_differ_and_the_name_says_so()
    {
        using TempFolder folder = new();
        ModelShape shape = ModelShape.Get("tiny", 1, 3);
        Assert.Equal("tiny-kv1-3layers", shape.FileName);
        List<double> shares = [];
        string path = RandomModel.Get(shape, FormatMix.Get("Q8_0"), folder.Path, new Shares(shares), default);
        Assert.Equal("tiny-kv1-3layers.Q8_0.gguf", Path.GetFileName(path));
        Assert.True(shares.Count > 3 && shares[^1] is > 0.9 and <= 1);
        using Checkpoint checkpoint = Checkpoint.Open(path);
        Assert.Equal([64, 256], checkpoint.Weights.Tensors["blk.2.attn_k.weight"].Shape);
        Assert.Equal("The 4 heads of 'tiny' cannot share 3 key-value heads evenly; take a divisor of 4.", Assert.Throws<SlipstreamException>(() => ModelShape.Get("tiny", 3, null)).Message);
    }

    [Fact]
    public void Shapes_have_the_sizes_of_their_models()
    {
        // Parameters as the model cards state them.
        Assert.Equal(134_515_008, Parameters("smollm2-135m"));
        Assert.Equal(1_100_048_384, Parameters("tinyllama-1.1b"));
        Assert.Equal(6_738_415_616, Parameters("llama-7b"));
        Assert.Equal(8_030_261_248, Parameters("llama-3-8b"));
        Assert.Equal(1_235_814_400, Parameters("llama-3.2-1b"));

        static long Parameters(string name) => ModelShape.Get(name, null, null).Tensors().Sum(t => t.Shape.Aggregate(1L, (a, b) => a * b));
    }

    internal static string Make(TempFolder folder, string shape, string format) => RandomModel.Get(ModelShape.Get(shape, null, null), FormatMix.Get(format), folder.Path, null, default);

    private sealed class Shares(List<double> shares) : IProgress<double>
    {
        public void Report(double value) => shares.Add(value);
    }
}
