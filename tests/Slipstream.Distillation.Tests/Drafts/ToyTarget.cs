using Slipstream.Distillation.Torch;
using Slipstream.Trainer;
using static TorchSharp.torch;

namespace Slipstream.Distillation.Tests.Drafts;

/// <summary>A folder of its own with a small random model in it, whose distributions are far from flat.</summary>
internal sealed class ToyTarget : IDisposable
{
    public const int Vocabulary = 40;

    public ToyTarget(int layers = 3, double scale = 8)
    {
        NativeLibraries.Load();
        using TorchLlama model = new(new LlamaShape { Vocabulary = Vocabulary, Hidden = 32, Layers = layers, Heads = 4, KvHeads = 2, HeadSize = 8, Intermediate = 64, ContextLength = 256 }, 7);
        using (no_grad())
        using (NewDisposeScope())
            foreach ((string name, Tensor value) in model.NamedWeights())
                if (value.dim() == 2) value.mul_(name.Contains("embed", StringComparison.Ordinal) ? scale : 4);
        TorchCheckpoint.Save(model, Path, 1, [2]);
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("slipstream-drafts-").FullName;

    public string Path => System.IO.Path.Combine(Folder, "target");

    public static int[] Tokens(int count, int seed = 1)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(3, Vocabulary))];
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
