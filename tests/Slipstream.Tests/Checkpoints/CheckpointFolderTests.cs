using System.Runtime.InteropServices;
using Slipstream.Models;
using Slipstream.TestSupport;

namespace Slipstream.Tests.Checkpoints;

public sealed class CheckpointFolderTests
{
    private const string Config = """{"model_type": "llama"}""";
    private const string TwoShards = """{"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}""";

    private static void WriteShard(TempFolder folder, string file, string tensor, float value) =>
        SafetensorsWriter.Write(folder.File(file), [TensorToWrite.FromValues(tensor, [1], new[] { value })]);

    private static string Refusal(string path) => Assert.Throws<SlipstreamException>(() => Checkpoint.Open(path).Dispose()).Message;

    private static float First(Checkpoint checkpoint, string tensor) => MemoryMarshal.Read<float>(checkpoint.Weights.Data(tensor).Span(0, 4));

    [Fact]
    public void EveryGoldenFolderOpens()
    {
        int opened = 0;
        foreach (string folder in Directory.EnumerateDirectories(Assets.Path("goldens", "models")))
        {
            using Checkpoint checkpoint = Checkpoint.Open(folder);
            Assert.Equal(CheckpointKind.HuggingFace, checkpoint.Kind);
            Assert.Equal(folder, checkpoint.Folder);
            Assert.NotNull(checkpoint.Generation);
            Assert.NotEmpty(checkpoint.Architecture);
            Assert.NotEmpty(checkpoint.Weights.Tensors);
            foreach (TensorInfo tensor in checkpoint.Weights.Tensors.Values) Assert.Equal(tensor.Bytes, checkpoint.Weights.Data(tensor.Name).Length);
            opened++;
        }
        Assert.True(opened >= 39);
    }

    [Fact]
    public void ARealModelOpens()
    {
        using Checkpoint checkpoint = Checkpoint.Open(Assets.Path("models", "all-MiniLM-L6-v2"));
        Assert.Equal("bert", checkpoint.Architecture);
        Assert.Equal([30522, 384], checkpoint.Weights.Tensors["embeddings.word_embeddings.weight"].Shape);
    }

    [Fact]
    public void ShardsAreOneSource()
    {
        using TempFolder folder = new();
        folder.Write("config.json", Config);
        folder.Write("model.safetensors.index.json", TwoShards);
        WriteShard(folder, "model-00001-of-00002.safetensors", "a", 1);
        WriteShard(folder, "model-00002-of-00002.safetensors", "b", 2);
        foreach (string path in (string[])[folder.Path, folder.File("model-00002-of-00002.safetensors")])
        {
            using Checkpoint checkpoint = Checkpoint.Open(path);
            Assert.Equal(["a", "b"], checkpoint.Weights.Tensors.Keys.Order());
            Assert.Equal(1, First(checkpoint, "a"));
            Assert.Equal(2, First(checkpoint, "b"));
            Assert.Equal(folder.Path, checkpoint.Folder);
            Assert.Equal(path, checkpoint.Path);
        }
    }

    [Fact]
    public void AMissingShardOrTensorIsNamed()
    {
        using TempFolder folder = new();
        folder.Write("config.json", Config);
        folder.Write("model.safetensors.index.json", TwoShards);
        WriteShard(folder, "model-00001-of-00002.safetensors", "a", 1);
        Assert.Equal($"'{folder.Path}' lacks the shard 'model-00002-of-00002.safetensors' that 'model.safetensors.index.json' names; download it too.", Refusal(folder.Path));
        WriteShard(folder, "model-00002-of-00002.safetensors", "c", 1);
        Assert.Equal($"'{folder.File("model-00002-of-00002.safetensors")}' lacks the tensor 'b' that 'model.safetensors.index.json' promises in it; download both again.", Refusal(folder.Path));
    }

    [Fact]
    public void NamesThatWouldRepaintATerminalAreShownHarmless()
    {
        using TempFolder folder = new();
        folder.Write("config.json", Config);
        folder.Write("model.safetensors.index.json", "{\"weight_map\":{\"w\":\"\u202Egpj\\n\U0001F600\"}}");
        Assert.Equal($"'{folder.Path}' lacks the shard '\uFFFDgpj\uFFFD\uFFFD\uFFFD' that 'model.safetensors.index.json' names; download it too.", Refusal(folder.Path));
    }

    [Theory]
    [InlineData("../secret.safetensors", "../secret.safetensors")]
    [InlineData("/etc/passwd", "/etc/passwd")]
    [InlineData("..\\\\x", "..\\x")]
    [InlineData("C:x", "C:x")]
    [InlineData("..", "..")]
    [InlineData("", "")]
    [InlineData("a\\u0000b", "a\uFFFDb")]
    public void AnIndexMayNotLeaveItsFolder(string shard, string shown)
    {
        using TempFolder folder = new();
        folder.Write("config.json", Config);
        string index = folder.Write("model.safetensors.index.json", $$"""{"weight_map":{"w":"{{shard}}"} }""");
        Assert.Equal($"'{index}' places the tensor 'w' in '{shown}', which is not the name of a file in the same folder; download the index again.", Refusal(folder.Path));
    }

    [Theory]
    [InlineData("""{"weight_map":[]}""", ": the field 'weight_map' is missing or not an object; download the file again.")]
    [InlineData("""{"weight_map":{}}""", " names no tensor; download the file again.")]
    [InlineData("""{"weight_map":{"a":"x","a":"y"}}""", " is not valid JSON (a name occurs twice in it); download it again or correct it.")]
    [InlineData("""{"weight_map":{"a":"\ud800"}}""", " has half a surrogate pair in a name; download the file again.")]
    public void AWrongIndexIsRefused(string index, string problem)
    {
        using TempFolder folder = new();
        folder.Write("config.json", Config);
        string path = folder.Write("model.safetensors.index.json", index);
        Assert.Equal($"'{path}'{problem}", Refusal(folder.Path));
    }

    [Fact]
    public void FoldersThatAreNoCheckpointSayWhy()
    {
        using TempFolder folder = new();
        Assert.Equal($"'{folder.Path}' is not a checkpoint: it has no 'config.json' and no '.gguf' file; name the folder of a model.", Refusal(folder.Path));
        folder.Write("tokenizer.json", "{}");
        Assert.Equal($"'{folder.Path}' is not a checkpoint: it has a tokenizer but no 'config.json' and no weights; name the folder of a model.", Refusal(folder.Path));
        folder.Write("adapter_config.json", "{}");
        Assert.Equal($"'{folder.Path}' is an adapter, not a whole model; merge it into its base model first.", Refusal(folder.Path));
        string config = folder.Write("config.json", "{}");
        Assert.Equal($"'{config}': the field 'model_type' is missing; add it, or fetch the complete file of the model.", Refusal(folder.Path));
        folder.Write("config.json", Config);
        Assert.Equal($"'{folder.Path}' has no weights: neither 'model.safetensors' nor 'model.safetensors.index.json' is in it; download one of them too.", Refusal(folder.Path));
        folder.Write("pytorch_model.bin", "x");
        Assert.Equal($"'{folder.Path}' has its weights only as 'pytorch_model.bin', a format that can run code when opened; convert them to safetensors.", Refusal(folder.Path));
        string gguf = folder.Write("m.gguf", "x");
        Assert.Equal($"'{folder.Path}' has no safetensors weights beside its 'config.json'; name its GGUF file, such as '{gguf}'.", Refusal(folder.Path));
        WriteShard(folder, "other.safetensors", "a", 1);
        Assert.Equal($"'{folder.Path}' has neither 'model.safetensors' nor 'model.safetensors.index.json'; name the file to open, such as '{folder.File("other.safetensors")}'.", Refusal(folder.Path));
        using Checkpoint named = Checkpoint.Open(folder.File("other.safetensors"));
        Assert.Equal(1, First(named, "a"));
    }

    [Fact]
    public void PathsThatAreNoCheckpointSayWhy()
    {
        using TempFolder folder = new();
        string absent = folder.File("absent");
        const string remedy = "name a folder with 'config.json', a '.gguf' file or a '.safetensors' file.";
        Assert.Equal($"'{absent}' does not exist; {remedy}", Refusal(absent));
        Assert.Equal($"'' does not exist; {remedy}", Refusal(""));
        Assert.Equal($"'a\uFFFDb' does not exist; {remedy}", Refusal("a\0b"));
        string text = folder.Write("model.txt", "x");
        Assert.Equal($"'{text}' is not a checkpoint; {remedy}", Refusal(text));
        WriteShard(folder, "model.safetensors", "a", 1);
        Assert.Equal($"'{folder.File("model.safetensors")}' has no 'config.json' beside it; place the model's 'config.json' in the same folder.", Refusal(folder.File("model.safetensors")));
    }

    [Fact]
    public void APipeIsRefusedAndDoesNotBlock()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no named pipes in folders.");
        using TempFolder folder = new();
        string pipe = folder.File("pipe.gguf");
        Assert.Equal(0, MakePipe(pipe, 0x180));
        Assert.Equal($"'{pipe}' is not a valid GGUF file: it is empty; download or export it again.", Refusal(pipe));
    }

    [DllImport("libc", EntryPoint = "mkfifo", BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int MakePipe([MarshalAs(UnmanagedType.LPUTF8Str)] string path, uint mode);
}
