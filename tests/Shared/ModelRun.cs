using System.IO.Hashing;
using System.Runtime.InteropServices;
using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.Sampling;
using Slipstream.Scheduling;
using Slipstream.Speculation;
using Slipstream.Tracing;

namespace Slipstream.TestSupport;

/// <summary>How one run of the loop is set up: every axis that must not change a bit.</summary>
internal sealed record RunSettings
{
    public int Threads { get; init; } = 1;
    public int KvBlock { get; init; } = 16;
    public CacheType? CacheType { get; init; }
    public int PrefillChunk { get; init; } = 512;
    public int MaxBatch { get; init; } = 1;
    public int AssistantTokens { get; init; }
    public AssistantTokensSchedule Schedule { get; init; } = AssistantTokensSchedule.Constant;

    /// <summary>Blocks of the cache; 0 for plenty. Few blocks force preemption.</summary>
    public int Blocks { get; init; }

    public string? Draft { get; init; }
    public bool PromptLookup { get; init; }
    public ActivationPrecision Precision { get; init; } = ActivationPrecision.F32;

    public KernelTier Kernels { get; init; } = KernelTier.Auto;
    public SamplingOptions Sampling { get; init; } = new();
    public IVerifier Verifier { get; init; } = RejectionVerifier.Instance;
    public ulong Seed { get; init; } = 1;
}

/// <summary>What a sequence gave: tokens and the bits of the logits each was drawn from.</summary>
internal sealed class RunSink : ISequenceSink
{
    public List<int> Tokens { get; } = [];
    public List<ulong> LogitBits { get; } = [];
    public FinishReason Finish { get; private set; }
    public Exception? Failure { get; private set; }
    public Sequence Sequence { get; set; } = null!;

    public bool OnToken(int token, ReadOnlySpan<float> logits)
    {
        Tokens.Add(token);
        if (!logits.IsEmpty) LogitBits.Add(XxHash64.HashToUInt64(MemoryMarshal.AsBytes(logits)));
        return false;
    }

    public void OnFinished(FinishReason reason, Exception? failure) => (Finish, Failure) = (reason, failure);
}

/// <summary>A model with its loop, driven step by step by a test.</summary>
internal sealed class ModelRun : IDisposable
{
    private readonly RunSettings _settings;
    private readonly ComputePool _pool;
    private readonly Checkpoint _checkpoint;
    private readonly IDrafter? _drafter;
    private readonly int[] _ends;

    public ModelRun(string path, RunSettings settings, IStepObserver? observer = null, int contextRows = 1024)
    {
        _settings = settings;
        _pool = new ComputePool(settings.Threads);
        _checkpoint = Checkpoint.Open(path);
        int maxRows = settings.PrefillChunk + settings.MaxBatch * (1 + settings.AssistantTokens);
        Model = ModelFamilies.Build(_checkpoint, new ModelRuntime(_pool, maxRows, settings.Precision) { Kernels = settings.Kernels });
        _ends = [.. Model.Config.EndTokens];
        int plenty = (contextRows + settings.KvBlock - 1) / settings.KvBlock * settings.MaxBatch;
        Store = new KvStore(Model.Config.KvLayout(settings.Precision, settings.CacheType), settings.Blocks > 0 ? settings.Blocks : plenty, settings.KvBlock);
        if (settings.PromptLookup) _drafter = new PromptLookupDrafter();
        else if (settings.Draft is { } draftPath)
        {
            Checkpoint draft = Checkpoint.Open(draftPath);
            ILanguageModel draftModel = ModelFamilies.Build(draft, new ModelRuntime(_pool, maxRows, settings.Precision) { Kernels = settings.Kernels });
            DraftStore = new KvStore(draftModel.Config.KvLayout(settings.Precision, settings.CacheType), plenty, settings.KvBlock);
            _drafter = new ModelDrafter(draftModel, DraftStore, settings.MaxBatch, settings.AssistantTokens, owned: draft);
        }
        Loop = new EngineLoop(Model, new CatchUpScheduler(Store, maxRows, settings.MaxBatch, settings.PrefillChunk), _drafter, settings.MaxBatch, observer is null ? [] : [observer]);
    }

    public ILanguageModel Model { get; }
    public KvStore Store { get; }
    public KvStore? DraftStore { get; }
    public EngineLoop Loop { get; }

    public RunSink Add(ReadOnlySpan<int> prompt, int newTokens, bool wantLogits = true, bool stopAtEnd = false, ulong? seed = null, int index = 0)
    {
        RunSink sink = new();
        sink.Sequence = AddWith(sink, prompt, newTokens, wantLogits, stopAtEnd, seed, index);
        return sink;
    }

    public Sequence AddWith(ISequenceSink sink, ReadOnlySpan<int> prompt, int newTokens, bool wantLogits = false, bool stopAtEnd = false, ulong? seed = null, int index = 0)
    {
        int limit = Math.Min(prompt.Length + newTokens, Model.Config.ContextLength);
        Sequence sequence = new(prompt, new SequenceSettings
        {
            Pipeline = new LogitsPipeline(_settings.Sampling, Model.Config.VocabularySize, _ends, limit),
            Verifier = _settings.Verifier,
            Random = new TokenRandom(seed ?? _settings.Seed, index),
            Limit = limit,
            StopTokens = stopAtEnd ? _ends : [],
            Schedule = _settings.Schedule == AssistantTokensSchedule.Heuristic && _settings.AssistantTokens > 0
                ? DraftSchedule.Heuristic(_settings.AssistantTokens, _settings.AssistantTokens)
                : DraftSchedule.Constant(_settings.AssistantTokens),
            Sink = sink,
            WantsLogits = wantLogits,
        });
        Loop.Add(sequence);
        return sequence;
    }

    /// <summary>Steps until nothing is left, and checks that all memory came back.</summary>
    public void Finish()
    {
        while (Loop.Step()) { }
        Assert.True(Loop.IsIdle, "The loop stopped with sequences left.");
        Assert.Equal(Store.Blocks, Store.FreeBlocks);
        if (DraftStore is not null) Assert.Equal(DraftStore.Blocks, DraftStore.FreeBlocks);
    }

    public void Dispose()
    {
        Loop.Dispose();
        _drafter?.Dispose();
        Store.Dispose();
        Model.Dispose();
        _checkpoint.Dispose();
        _pool.Dispose();
    }
}
