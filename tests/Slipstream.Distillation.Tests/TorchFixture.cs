using System.Runtime.CompilerServices;
using Slipstream.Distillation.Torch;
using Slipstream.Distillation.Training;
using Slipstream.Trainer;
using TorchSharp;

namespace Slipstream.Distillation.Tests;

/// <summary>The native libraries for the tests, loaded before the first of them, and small things to train.</summary>
internal static class TorchFixture
{
    private static string? s_missing;

    /// <summary>The sizes of a model that trains in seconds.</summary>
    public static LlamaShape Toy { get; } = new() { Vocabulary = 300, Hidden = 32, Layers = 2, Heads = 4, KvHeads = 2, HeadSize = 8, Intermediate = 48, ContextLength = 64 };

    /// <summary>Skips the test, saying why, where the libraries are not to be had.</summary>
    public static void Require() => Assert.SkipWhen(s_missing is not null, $"The native libraries of TorchSharp are not available: {s_missing}");

    [ModuleInitializer]
    internal static void Load()
    {
        try
        {
            NativeLibraries.Load();
            torch.set_num_threads(2);
        }
        catch (SlipstreamException e)
        {
            s_missing = e.Message;
        }
    }

    /// <summary>A folder that goes away with the test.</summary>
    public sealed class Folder : IDisposable
    {
        public Folder() => Directory.CreateDirectory(Path);

        public string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"slipstream-train-{Guid.NewGuid():N}");

        public string this[string name] => System.IO.Path.Combine(Path, name);

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }

    /// <summary>A text with something to learn: sentences from few words.</summary>
    public static string Text(int documents, int seed = 3)
    {
        string[] who = ["the cat", "a dog", "the old man", "my sister", "the bird"], does = ["sees", "likes", "follows", "finds"], what = ["the ball", "a house", "the river", "some bread", "the moon"];
        Random random = new(seed);
        return string.Join("<|endoftext|>", Enumerable.Range(0, documents).Select(_ =>
            string.Join("\n", Enumerable.Range(0, 6).Select(_ => $"{who[random.Next(who.Length)]} {does[random.Next(does.Length)]} {what[random.Next(what.Length)]}."))));
    }

    /// <summary>Tokens with a pattern: each follows from the two before it, with noise.</summary>
    public static TokenDataset Data(int tokens = 6000, int seed = 5)
    {
        Random random = new(seed);
        int[] all = new int[tokens];
        for (int i = 0; i < tokens; i++) all[i] = i < 2 || random.Next(8) == 0 ? random.Next(Toy.Vocabulary) : (all[i - 1] * 7 + all[i - 2]) % 40;
        return new TokenDataset(all[..(tokens * 9 / 10)], all[(tokens * 9 / 10)..], 2L * tokens * 9 / 10, 2L * tokens / 10, "pattern");
    }

    /// <summary>How the toy is trained.</summary>
    public static TrainingOptions Options(int steps) => new() { Steps = steps, Batch = 4, Length = 32, LearningRate = 5e-3, WarmUp = 5, EvaluateEvery = 10, CheckpointEvery = TimeSpan.MaxValue };

    /// <summary>Keeps what it is told, and may end the run after a step.</summary>
    public sealed class Recorder(Action<TrainingStep>? onStep = null) : ITrainingProgress
    {
        public List<TrainingStep> Steps { get; } = [];

        public List<EvaluationPoint> Evaluations { get; } = [];

        public int Begun { get; private set; }

        public void Started(int done, TrainingOptions options) => Begun = done;

        public void Stepped(TrainingStep step)
        {
            Steps.Add(step);
            onStep?.Invoke(step);
        }

        public void Evaluated(EvaluationPoint point, bool isBest) => Evaluations.Add(point);

        public void Saved(int step) { }
    }
}
