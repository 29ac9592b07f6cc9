using Slipstream.Models;
using Slipstream.Sampling;
using Slipstream.Speculation;
using Slipstream.TestSupport;
using Slipstream.Tracing;

namespace Slipstream.Conformance.Engine;

/// <summary>Tests that nothing else may run beside: they look at the whole process.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public static class Alone
{
    public const string Name = "alone";
}

/// <summary>What a step may cost: no managed memory, each weight once, each cached row where it lies.</summary>
[Collection(Alone.Name)]
public sealed class StepCostTests
{
    public static TheoryData<string, bool> Configurations { get; } = new()
    {
        { "none", false }, { "none", true }, { "prompt-lookup", false }, { "prompt-lookup", true }, { "draft-model", false }, { "draft-model", true },
    };

    [Theory]
    [MemberData(nameof(Configurations))]
    public void A_step_allocates_nothing_after_warm_up(string drafter, bool sampled)
    {
        string path = Assets.Path("goldens", "models", "qwen3");
        RunSettings settings = new()
        {
            MaxBatch = 4, Threads = 2, KvBlock = 8, PrefillChunk = 32,
            Draft = drafter == "draft-model" ? Assets.Path("goldens", "decoding", "draft-of-qwen3") : null,
            PromptLookup = drafter == "prompt-lookup",
            AssistantTokens = drafter == "none" ? 0 : 4,
            Verifier = sampled ? CoupledVerifier.Instance : RejectionVerifier.Instance,
            Sampling = sampled
                ? new SamplingOptions { Temperature = 0.8, TopK = 50, TopP = 0.9, MinP = 0.01, RepetitionPenalty = 1.1, PresencePenalty = 0.1, FrequencyPenalty = 0.1, NoRepeatNgramSize = 4 }
                : new SamplingOptions(),
        };
        using ModelRun run = new(path, settings);
        for (int warm = 0; warm < 3; warm++)
        {
            for (int i = 0; i < 4; i++) run.Add([5, 9, 5, 9, 5, (byte)(20 + i)], 100, wantLogits: true, index: warm);
            run.Finish();
        }
        AllocationFreeSink[] sinks = [.. Enumerable.Range(0, 4).Select(_ => new AllocationFreeSink())];
        for (int i = 0; i < 4; i++) run.AddWith(sinks[i], [5, 9, 5, 9, 5, (byte)(20 + i)], 100);
        for (int step = 0; step < 8; step++) run.Loop.Step();
        // Made before the measurement: a delegate is an allocation of the test's own.
        Func<bool> running = () => Array.TrueForAll(sinks, s => s.Tokens < 80);
        Assert.True(running());
        long before = GC.GetAllocatedBytesForCurrentThread(), allBefore = GC.GetTotalAllocatedBytes(precise: true);
        int steps = 0;
        while (running() && run.Loop.Step()) steps++;
        long after = GC.GetAllocatedBytesForCurrentThread(), allAfter = GC.GetTotalAllocatedBytes(precise: true);
        Assert.True(steps >= 5);
        Assert.Equal(0, after - before);
        Assert.True(steps * 4096 > allAfter - allBefore, $"All threads together allocated {allAfter - allBefore} bytes in {steps} steps.");
        run.Finish();
    }

    [Theory]
    [InlineData(1, 1), InlineData(1, 2), InlineData(4, 1), InlineData(4, 2)]
    public void A_step_reads_each_weight_once_and_each_cached_row_once(int batch, int threads)
    {
        string path = Assets.Path("goldens", "models", "llama");
        Costs costs = new();
        using ModelRun run = new(path, new RunSettings { MaxBatch = batch, Threads = threads, KvBlock = 16 }, costs);
        for (int i = 0; i < batch; i++) run.Add([.. Enumerable.Range(3, 10 + i)], 12, wantLogits: false);
        run.Finish();
        ModelConfig c = run.Model.Config;
        // Every matrix but the embedding table, of which only rows are looked up.
        long perLayer = 2L * c.HiddenSize * c.Heads * c.HeadSize + 2L * c.HiddenSize * c.KvHeads * c.HeadSize + 3L * c.HiddenSize * c.IntermediateSize;
        long weights = (c.Layers * perLayer + (long)c.VocabularySize * c.HiddenSize) * sizeof(float);
        Assert.All(costs.All, t => Assert.Equal(weights, t.WeightBytes));
        // At step s sequence i attends over 10 + i + s rows (its prompt and what it generated), each read once in each layer.
        for (int s = 0; s < costs.All.Count; s++)
        {
            long rows = Enumerable.Range(0, batch).Sum(i => 10 + i + s);
            Assert.Equal(rows * run.Model.KvLayout.BytesPerRow, costs.All[s].KvBytes);
        }
    }

    [Fact]
    public void A_draft_reads_no_weight_twice()
    {
        Costs plain = new(), speculative = new();
        foreach ((Costs costs, int k) in ((Costs, int)[])[(plain, 0), (speculative, 5)])
        {
            using ModelRun run = new(Assets.Path("goldens", "models", "llama"), new RunSettings { PromptLookup = k > 0, AssistantTokens = k }, costs);
            run.Add([7, 8, 9, 7, 8, 9, 7], 20, wantLogits: false);
            run.Finish();
        }
        Assert.Contains(speculative.All, t => t.Drafted > 0);
        Assert.All(speculative.All, t => Assert.Equal(plain.All[0].WeightBytes, t.WeightBytes));
    }

    private sealed class Costs : IStepObserver
    {
        public List<StepTrace> All { get; } = [];

        public void OnStep(in StepTrace trace) => All.Add(trace);
    }

    private sealed class AllocationFreeSink : Scheduling.ISequenceSink
    {
        public int Tokens { get; private set; }

        public bool OnToken(int token, ReadOnlySpan<float> logits)
        {
            Tokens++;
            return false;
        }

        public void OnFinished(Scheduling.FinishReason reason, Exception? failure) => Assert.Null(failure);
    }
}
