using Slipstream.Analysis;
using Slipstream.Distillation.Drafts;
using Slipstream.Distillation.Drafts.Measuring;
using Slipstream.Distillation.Losses;
using Slipstream.Distillation.Torch;
using Slipstream.Distillation.Training;
using Slipstream.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Slipstream.Distillation.Tests.Drafts;

public sealed class StudentTests : IDisposable
{
    private readonly ToyTarget _target = new();

    [Fact]
    public void A_student_of_all_layers_is_the_target_from_a_folder_and_from_GGUF()
    {
        string file = Path.Combine(_target.Folder, "target.gguf");
        GgufConverter.Convert(_target.Path, file, new GgufConversionOptions { Format = "F32" });
        using TorchLlama target = TorchCheckpoint.Load(_target.Path);
        foreach (string path in (string[])[_target.Path, file])
        {
            using Checkpoint checkpoint = Checkpoint.Open(path);
            Student student = StudentFactory.Create(checkpoint, StudentOptions.Parse("layers=3"), 1);
            using TorchLlama model = student.Model;
            Assert.Equal([0, 1, 2], student.Layers);
            Assert.True(target.Weights.SequenceEqual(model.Weights), $"The weights from '{path}' differ.");
            using TorchLlama itself = TorchCheckpoint.Load(path);
            Assert.True(target.Weights.SequenceEqual(itself.Weights), $"The model loaded from '{path}' differs.");
        }
    }

    [Fact]
    public void Layers_are_copied_where_all_sizes_are_the_same_and_the_embedding_where_the_width_is()
    {
        using Checkpoint checkpoint = Checkpoint.Open(_target.Path);
        using TorchLlama target = TorchCheckpoint.Load(_target.Path);
        Student two = StudentFactory.Create(checkpoint, StudentOptions.Parse("layers=2"), 1), thin = StudentFactory.Create(checkpoint, StudentOptions.Parse("layers=2,intermediate=32"), 1),
            narrow = StudentFactory.Create(checkpoint, StudentOptions.Parse("layers=1,hidden=16"), 1), random = StudentFactory.Create(checkpoint, StudentOptions.Parse("init=random"), 1);
        using TorchLlama a = two.Model, b = thin.Model, c = narrow.Model, d = random.Model;
        Assert.Equal([0, 2], two.Layers);
        Assert.True(Same(target, "model.layers.2.mlp.down_proj.weight", a, "model.layers.1.mlp.down_proj.weight"));
        Assert.True(thin is { Layers.Count: 0, HasEmbedding: true } && Same(target, "model.embed_tokens.weight", b, "model.embed_tokens.weight"));
        Assert.True(narrow is { Layers.Count: 0, HasEmbedding: false } && c.Shape is { Heads: 2, KvHeads: 1, HeadSize: 8, Intermediate: 32 });
        Assert.True(random is { HasEmbedding: false } && d.Shape.Layers == 1);
        Assert.Equal([0, 10, 19, 29], StudentFactory.Spread(30, 4));
        Assert.Equal([0], StudentFactory.Spread(30, 1));
        Assert.Contains("more than the 3", Assert.Throws<SlipstreamException>(() => StudentFactory.Create(checkpoint, StudentOptions.Parse("layers=4"), 1)).Message, StringComparison.Ordinal);
        Assert.Contains("neither a model folder", Assert.Throws<SlipstreamException>(() => StudentOptions.Parse("nothing")).Message, StringComparison.Ordinal);

        static bool Same(TorchLlama x, string left, TorchLlama y, string right)
            => Values(x, left).SequenceEqual(Values(y, right));
        static float[] Values(TorchLlama model, string name) => model.NamedWeights().First(w => w.Name == name).Value.detach().contiguous().data<float>().ToArray();
    }

    [Fact]
    public void A_head_for_the_most_frequent_tokens_is_the_targets_at_these_and_runs_in_the_engine()
    {
        int[] text = [.. ToyTarget.Tokens(300).Select(token => token % 2 == 0 ? token : 7)];
        DraftVocabulary head = DraftVocabulary.MostFrequent(text, ToyTarget.Vocabulary, 9, [2]);
        Assert.Equal(9, head.Tokens.Length);
        Assert.Equal(head.Tokens.Order(), head.Tokens);
        Assert.Contains(2, head.Tokens);
        Assert.Contains(7, head.Tokens);
        Assert.Equal(text.Count(token => head.Tokens.Contains(token)) / 300.0, head.Coverage, 1e-12);
        int least = head.Tokens.Where(token => token != 2).Min(token => text.Count(other => other == token));
        Assert.All(Enumerable.Range(0, ToyTarget.Vocabulary).Except(head.Tokens), token => Assert.True(text.Count(other => other == token) <= least));
        using Checkpoint checkpoint = Checkpoint.Open(_target.Path);
        using TorchLlama model = StudentFactory.Create(checkpoint, StudentOptions.Parse("layers=2,vocabulary=9"), 1, head.Tokens).Model, whole = StudentFactory.Create(checkpoint, StudentOptions.Parse("layers=2"), 1).Model;
        string folder = Path.Combine(_target.Folder, "narrow"), file = folder + ".gguf";
        TorchCheckpoint.Save(model, folder, 1, [2]);
        GgufConverter.Convert(folder, file, new GgufConversionOptions { Format = "F32" });
        using TorchLlama again = TorchCheckpoint.Load(folder);
        Assert.Equal(head.Tokens, again.Shape.OutputTokens);
        Assert.True(model.Weights.SequenceEqual(again.Weights));
        int[] prompt = [5, 9, 11, 38];
        using DisposeScope scope = NewDisposeScope();
        using IDisposable none = no_grad();
        Tensor ids = tensor(prompt.Select(token => (long)token).ToArray(), [1, 4]);
        float[] narrow = [.. model.forward(ids)[0, 3].data<float>()], all = [.. whole.forward(ids)[0, 3].data<float>()];
        for (int i = 0; i < 9; i++) Assert.Equal(all[head.Tokens[i]], narrow[i], 1e-5f);
        foreach (string path in (string[])[folder, file])
        {
            float[] last = [];
            using ModelEvaluator evaluator = ModelEvaluator.Load(path, new ModelOptions { Threads = 1, Activations = Numerics.ActivationPrecision.F32 });
            evaluator.Logits(prompt, (_, logits) => last = logits.ToArray());
            for (int token = 0; token < ToyTarget.Vocabulary; token++)
                Assert.Equal(head.Tokens.IndexOf(token) is >= 0 and int at ? narrow[at] : float.NegativeInfinity, last[token], 1e-4f);
        }
        Assert.Contains("the target has 40", Assert.Throws<SlipstreamException>(() => DraftVocabulary.MostFrequent(text, 40, 40, [])).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_loss_in_parts_is_the_loss_and_so_is_its_gradient(bool narrow)
    {
        using TeacherCache cache = Teacher(ToyTarget.Tokens(200), [0, 16, 32, 48], out _);
        using Checkpoint checkpoint = Checkpoint.Open(_target.Path);
        using TorchLlama model = StudentFactory.Create(checkpoint, StudentOptions.Parse("layers=1"), 1, narrow ? [3, 5, 6, 9, 10, 20, 31] : []).Model;
        DistillationLoss loss = DistillationLoss.Parse("tv=0.5,forward-kl=0.3,next-token=0.2", 1);
        TokenDataset data = new(ToyTarget.Tokens(200), [], 200, 0, "x");
        float[][] gradients = new float[2][];
        float[] values = new float[2];
        for (int i = 0; i < 2; i++)
        {
            using DisposeScope scope = NewDisposeScope();
            model.Gradient.zero_();
            TrainingBatch batch = data.Batch(new WindowOrder(1, 3, 16, isShifted: false), 0, 3);
            Tensor value = new DistillationObjective(loss, cache, i == 0 ? int.MaxValue : 7 * model.Shape.HeadRows).Loss(model, batch);
            value.backward();
            (values[i], gradients[i]) = (value.item<float>(), model.Gradient.data<float>().ToArray());
        }
        Assert.Equal(values[0], values[1], 1e-5f);
        Assert.Contains(gradients[0], x => x != 0);
        for (int i = 0; i < gradients[0].Length; i++) Assert.Equal(gradients[0][i], gradients[1][i], 1e-5f);
    }

    [Fact]
    public async Task Distillation_raises_the_acceptance_and_the_acceptance_is_one_minus_the_total_variation()
    {
        int[] prompt = [5, 9, 11];
        GeneratedCorpusOptions how = new(48, 2, 40, 1, 1);
        int[] own;
        using (LanguageModel target = LanguageModel.Load(_target.Path, new ModelOptions { Threads = 1 }))
        {
            string path = Path.Combine(_target.Folder, "own.jsonl");
            own = await GeneratedCorpus.ReadAsync(path, target, "t", ToyTarget.Tokens(400), 2, how, 8);
            // The same again from the file, and after a cut.
            string[] lines = File.ReadAllLines(path);
            File.WriteAllText(path, string.Join('\n', lines[..20]) + "\n" + lines[20][..3]);
            Assert.Equal(own, await GeneratedCorpus.ReadAsync(path, target, "t", ToyTarget.Tokens(400), 2, how, 8));
            Assert.Equal(lines, File.ReadAllLines(path));
            SlipstreamException other = await Assert.ThrowsAsync<SlipstreamException>(() => GeneratedCorpus.ReadAsync(path, target, "u", ToyTarget.Tokens(400), 2, how, 8));
            Assert.Contains("another target", other.Message, StringComparison.Ordinal);
        }
        TokenDataset data = new(own, [], own.Length, 0, "own");
        TrainingOptions options = new() { Steps = 120, Batch = 8, Length = 32, LearningRate = 3e-3, WarmUp = 10, EvaluateEvery = 1000 };
        using Checkpoint checkpoint = Checkpoint.Open(_target.Path);
        using TorchLlama model = StudentFactory.Create(checkpoint, StudentOptions.Parse("layers=1"), 1).Model;
        string before = Path.Combine(_target.Folder, "before"), after = Path.Combine(_target.Folder, "after");
        TorchCheckpoint.Save(model, before, 1, [2]);
        using (TeacherCache cache = Teacher(own, TeacherWindows.Offsets(data, options), out _, options.Length))
            new TrainingRun().Run(model, new DistillationObjective(DistillationLoss.Parse("tv=0.5,forward-kl=0.5", 1), cache), data, options, new Silent());
        TorchCheckpoint.Save(model, after, 1, [2]);
        (double Rate, double Expected) first = await AcceptanceAsync(before, prompt), second = await AcceptanceAsync(after, prompt);
        // 4 sigma of 4,000 draws.
        Assert.Equal(first.Expected, first.Rate, 4 * Math.Sqrt(0.25 / 4000));
        Assert.Equal(second.Expected, second.Rate, 4 * Math.Sqrt(0.25 / 4000));
        MeasurementReport report = await new DraftMeasurement(_target.Path, [new("before", before), new("after", after)], new MeasureOptions { Lengths = [2], Temperatures = [1], MaxTokens = 40, Repeats = 2, Threads = 1 })
            .RunAsync([Prompt.Tokens(prompt), Prompt.Tokens([20, 21]), Prompt.Tokens([30, 4, 8])]);
        Assert.True(report.Drafts[1].Lines[0].Acceptance > report.Drafts[0].Lines[0].Acceptance, $"{report.Drafts[1].Lines[0].Acceptance} is not over {report.Drafts[0].Lines[0].Acceptance}.");
    }

    public void Dispose() => _target.Dispose();

    /// <summary>The share of first drafts after a prompt that rejection sampling accepts, and one minus the total variation of the two distributions there.</summary>
    private async Task<(double Rate, double Expected)> AcceptanceAsync(string draft, int[] prompt)
    {
        using LanguageModel pair = LanguageModel.Load(_target.Path, new ModelOptions { Threads = 1, Drafter = new DrafterOptions.DraftModel(draft), MaxBatch = 64 });
        GenerationResult[] results = await Task.WhenAll(Enumerable.Range(0, 4000).Select(i => pair.GenerateAsync(Prompt.Tokens(prompt), new GenerationOptions
        {
            MaxNewTokens = 2, Sampling = new Sampling.SamplingOptions { Temperature = 1 }, Seed = (ulong)i, Verifier = VerifierKind.Rejection, AssistantTokens = 1, AssistantTokensSchedule = AssistantTokensSchedule.Constant,
        })));
        float[][] rows = [Row(_target.Path), Row(draft)];
        using DisposeScope scope = NewDisposeScope();
        double distance = Divergences.Full(Divergence.TotalVariation, tensor(rows[1], [1, ToyTarget.Vocabulary]), tensor(rows[0], [1, ToyTarget.Vocabulary]))[0].item<float>();
        return ((double)results.Sum(result => result.Speculation.PerPosition.Count > 0 ? result.Speculation.PerPosition[0].Accepted : 0) / results.Length, 1 - distance);

        float[] Row(string path)
        {
            float[] last = [];
            using ModelEvaluator evaluator = ModelEvaluator.Load(path, new ModelOptions { Threads = 1 });
            evaluator.Logits(prompt, (_, logits) => last = logits.ToArray());
            return last;
        }
    }

    private TeacherCache Teacher(int[] tokens, long[] offsets, out TeacherCacheKey key, int length = 16)
    {
        key = TeacherCacheKey.Create("t", "v", tokens, offsets, length, 12, ToyTarget.Vocabulary, 1);
        using ModelEvaluator evaluator = ModelEvaluator.Load(_target.Path, new ModelOptions { Threads = 1 });
        return new TeacherCacheBuilder(evaluator, key, tokens, offsets).Build(_target.Folder);
    }

    private sealed class Silent : ITrainingProgress
    {
        public void Started(int done, TrainingOptions options) { }

        public void Stepped(TrainingStep step) { }

        public void Evaluated(EvaluationPoint point, bool isBest) { }

        public void Saved(int step) { }
    }
}
