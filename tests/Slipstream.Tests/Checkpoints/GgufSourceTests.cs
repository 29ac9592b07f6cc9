using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.TestSupport;

namespace Slipstream.Tests.Checkpoints;

public sealed class GgufSourceTests
{
    private const uint F32 = 0;

    private static byte[] Part(int number, int count, int total, params string[] tensors)
    {
        GgufBuilder builder = number == 0 ? GgufBuilder.Llama() : new GgufBuilder();
        builder.Add("split.no", (ushort)number).Add("split.count", (ushort)count).Add("split.tensors.count", total);
        foreach (string tensor in tensors) builder.Tensor(tensor, F32, [1], 4, fill: (byte)(number + 1));
        return builder.Build();
    }

    private static string Refusal(string path) => Assert.Throws<SlipstreamException>(() => GgufSource.Open(path).Dispose()).Message;

    private static void WriteThree(TempFolder folder)
    {
        folder.Write("m-00001-of-00003.gguf", Part(0, 3, 4, "a"));
        folder.Write("m-00002-of-00003.gguf", Part(1, 3, 4, "b", "c"));
        folder.Write("m-00003-of-00003.gguf", Part(2, 3, 4, "d"));
    }

    [Fact]
    public void AnyPartOpensAll()
    {
        using TempFolder folder = new();
        WriteThree(folder);
        foreach (string path in (string[])[folder.File("m-00001-of-00003.gguf"), folder.File("m-00002-of-00003.gguf"), folder.File("m-00003-of-00003.gguf"), folder.Path])
        {
            using Checkpoint checkpoint = Checkpoint.Open(path);
            Assert.Equal(CheckpointKind.Gguf, checkpoint.Kind);
            Assert.Equal("llama", checkpoint.Architecture);
            Assert.Equal(["a", "b", "c", "d"], checkpoint.Weights.Tensors.Keys);
            Assert.Equal([1, 2, 2, 3], checkpoint.Weights.Tensors.Keys.Select(name => (int)checkpoint.Weights.Data(name).Span(0, 1)[0]));
        }
    }

    [Fact]
    public void PartsThatDoNotBelongTogetherAreRefused()
    {
        using TempFolder folder = new();
        WriteThree(folder);
        string first = folder.File("m-00001-of-00003.gguf"), second = folder.File("m-00002-of-00003.gguf"), third = folder.File("m-00003-of-00003.gguf");
        folder.Write("m-00003-of-00003.gguf", Part(1, 3, 4, "d"));
        Assert.Equal($"'{third}' says that it is part 2 of 3, not 3 of 3; download all parts again.", Refusal(first));
        Assert.Equal($"'{third}' is part 2 of 3, but its name does not end in '-00002-of-00003.gguf'; give all parts their original names.", Refusal(third));
        folder.Write("m-00003-of-00003.gguf", Part(2, 3, 4, "a"));
        Assert.Equal($"'{first}' and '{third}' both have the tensor 'a'; download all parts again.", Refusal(second));
        folder.Write("m-00003-of-00003.gguf", Part(2, 3, 4, "d", "e"));
        Assert.Equal($"'{first}' promises 4 tensors in all parts, but they have 5; download all parts again.", Refusal(third));
        folder.Write("m-00003-of-00003.gguf", new GgufBuilder().Build());
        Assert.Equal($"'{third}': the field 'split.count' is missing; add it, or fetch the complete file of the model.", Refusal(first));
        File.Delete(third);
        Assert.Equal($"'{third}', part 3 of 3 of the model, is missing; download it too.", Refusal(first));
        string renamed = folder.Write("renamed.gguf", Part(1, 3, 4, "b"));
        Assert.Equal($"'{renamed}' is part 2 of 3, but its name does not end in '-00002-of-00003.gguf'; give all parts their original names.", Refusal(renamed));
        string wrong = folder.Write("w.gguf", Part(3, 3, 4, "b"));
        Assert.Equal($"'{wrong}': the field 'split.no' is 3 where 0 to 2 was expected.", Refusal(wrong));
    }

    [Fact]
    public void AFolderWithSeveralModelsAsksForOne()
    {
        using TempFolder folder = new();
        WriteThree(folder);
        folder.Write("b.gguf", GgufBuilder.Llama().Build());
        Assert.Equal($"'{folder.Path}' holds 2 GGUF models; name one of them, such as '{folder.File("b.gguf")}'.",
            Assert.Throws<SlipstreamException>(() => Checkpoint.Open(folder.Path).Dispose()).Message);
    }

    [Fact]
    public void AGgufNeedsAnArchitectureButNoExtension()
    {
        using TempFolder folder = new();
        string blob = folder.Write("sha256-1234", GgufBuilder.Llama().Build());
        using (Checkpoint checkpoint = Checkpoint.Open(blob))
        {
            Assert.Equal("llama", checkpoint.Architecture);
            Assert.Same(checkpoint.Config, checkpoint.Gguf);
            Assert.Null(checkpoint.Folder);
            Assert.Null(checkpoint.Generation);
        }
        string none = folder.Write("none.gguf", new GgufBuilder().Build());
        Assert.Equal($"'{none}': the field 'general.architecture' is missing; add it, or fetch the complete file of the model.",
            Assert.Throws<SlipstreamException>(() => Checkpoint.Open(none).Dispose()).Message);
    }

    [Fact]
    public void EveryGoldenFileOpens()
    {
        string[] files = Directory.GetFiles(Assets.Path("goldens", "gguf"), "*.gguf");
        Assert.True(files.Length >= 15);
        foreach (string path in files)
        {
            using Checkpoint checkpoint = Checkpoint.Open(path);
            GgufMetadata metadata = checkpoint.Gguf!;
            int hidden = metadata.Int32($"{checkpoint.Architecture}.embedding_length");
            TensorInfo embedding = checkpoint.Weights.Tensors["token_embd.weight"];
            Assert.Equal(hidden, embedding.Shape[1]);
            Assert.Equal(metadata.Texts("tokenizer.ggml.tokens")?.Count ?? embedding.Shape[0], embedding.Shape[0]);
            foreach (TensorInfo tensor in checkpoint.Weights.Tensors.Values)
                if (WeightFormats.TryGet(tensor.Format, out WeightFormat? format) && format.IsSupported)
                    Assert.Equal(format.BytesOf(tensor.Elements), checkpoint.Weights.Data(tensor.Name).Length);
        }
    }

    [Fact]
    public void ARealModelOpens()
    {
        using Checkpoint checkpoint = Checkpoint.Open(Assets.SmolLm2);
        Assert.Equal("llama", checkpoint.Architecture);
        Assert.Equal(576, checkpoint.Config.Int32("llama.embedding_length"));
        Assert.Equal([49152, 576], checkpoint.Weights.Tensors["token_embd.weight"].Shape);
        Assert.True(checkpoint.Gguf!.TryGetStrings("tokenizer.ggml.tokens", out GgufStringArray? tokens));
        Assert.Equal(49152, tokens.Count);
        Assert.Equal("<|endoftext|>", tokens[0]);
        Assert.Equal(49152, tokens.Distinct().Count());
        Assert.NotNull(checkpoint.Config.Text("tokenizer.chat_template"));
    }

    [Theory]
    [InlineData("F32")]
    [InlineData("BF16")]
    [InlineData("Q4_K_M")]
    public void DataIsWhatTheReferenceReads(string format)
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(Assets.Path("goldens", "gguf", "golden.json")));
        JsonElement expected = golden.RootElement.GetProperty("files").GetProperty(format).GetProperty("dequantised_sha256");
        using GgufSource source = GgufSource.Open(Assets.Path("goldens", "gguf", $"tiny-{format}.gguf"));
        Assert.Equal(expected.EnumerateObject().Count(), source.Tensors.Count);
        foreach (JsonProperty tensor in expected.EnumerateObject())
        {
            TensorInfo info = source.Tensors[tensor.Name];
            Assert.Equal(tensor.Value[0].GetString(), info.Format);
            float[] decoded = new float[info.Elements];
            WeightFormats.Get(info.Format).Decode!(source.Data(tensor.Name).Span(0, (int)info.Bytes), decoded);
            Assert.Equal(tensor.Value[1].GetString(), Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(decoded.AsSpan()))));
        }
    }
}
