using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.Speculation;
using Slipstream.Tracing;

namespace Slipstream;

/// <summary>How a model is loaded and run. The defaults stand here and nowhere else.</summary>
public sealed record ModelOptions
{
    /// <summary>Threads that compute; 0 takes one for each processor.</summary>
    public int Threads { get; init; }

    /// <summary>Whether each computing thread stays on one processor; on Linux only. It helps where nothing else runs, and hurts where other work takes that processor.</summary>
    public bool PinThreads { get; init; }

    /// <summary>How activations enter matrix products.</summary>
    public ActivationPrecision Activations { get; init; } = ActivationPrecision.Auto;

    /// <summary>Where the machine code of the matrix kernels comes from.</summary>
    public KernelTier Kernels { get; init; } = KernelTier.Auto;

    /// <summary>Rows in a block of the cache.</summary>
    public int KvBlock { get; init; } = 64;

    /// <summary>The most prompt tokens of one sequence computed in a step.</summary>
    public int PrefillChunk { get; init; } = 512;

    /// <summary>The most sequences that run at once; others wait.</summary>
    public int MaxBatch { get; init; } = 8;

    /// <summary>Memory for the cache; null takes what <see cref="MaxBatch"/> sequences of up to 2048 tokens need, at least one whole context, at most a quarter of the memory.</summary>
    public KvMemory? KvMemory { get; init; }

    /// <summary>How cached keys and values are stored, those of a draft model too: F32 as computed, F16, Bf16 and Q8 rounded to a half or about a quarter of the bytes; null for Bf16 where attention rounds to that anyway, else F32.</summary>
    public CacheType? CacheType { get; init; }

    /// <summary>Where drafts come from; null for none.</summary>
    public DrafterOptions? Drafter { get; init; }

    /// <summary>The most tokens drafted at once, whatever the schedule says.</summary>
    public int MaxAssistantTokens { get; init; } = 16;

    /// <summary>Watch every step of the loop.</summary>
    public IReadOnlyList<IStepObserver> Observers { get; init; } = [];

    /// <summary>The clock of the traces.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>Receives what an operator wants to know: loading, failures.</summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>How much memory is free; tests say otherwise.</summary>
    internal Func<long> FreeMemory { get; init; } = MemoryPlan.FreeMemory;

    /// <summary>The most rows of a forward pass: a prompt chunk and a token with its draft for every sequence.</summary>
    internal int MaxRows => checked(PrefillChunk + MaxBatch * (1 + (Drafter is null ? 0 : MaxAssistantTokens)));

    internal KvLayout KvLayout(ModelConfig config) => config.KvLayout(Activations, CacheType);

    internal int EffectiveThreads => Threads == 0 ? Environment.ProcessorCount : Threads;

    internal void Validate()
    {
        Check(Threads is >= 0 and <= 1024, "threads", Threads, "0 (all processors) to 1024");
        Check(KvBlock is >= 1 and <= 65536, "kv-block", KvBlock, "1 to 65536");
        Check(PrefillChunk is >= 1 and <= 65536, "prefill-chunk", PrefillChunk, "1 to 65536");
        Check(MaxBatch is >= 1 and <= 1024, "max-batch", MaxBatch, "1 to 1024");
        if (!Enum.IsDefined(Activations)) throw new SlipstreamException($"activations is {(int)Activations}; it must be auto, f32, int8, int16 or bf16.");
        _ = EmittedKernels.Use(Kernels);
        if (PinThreads && !OperatingSystem.IsLinux()) throw new SlipstreamException("Threads can be pinned to processors on Linux only; leave pin-threads off.");
        if (CacheType is { } type && !Enum.IsDefined(type)) throw new SlipstreamException($"cache-type is {(int)type}; it must be f32, f16, bf16 or q8_0.");
        Check(MaxAssistantTokens is >= 1 and <= 256, "the most draft tokens", MaxAssistantTokens, "1 to 256");
    }

    private static void Check(bool valid, string name, int value, string range)
    {
        if (!valid) throw new SlipstreamException($"{name} is {value}; it must be {range}.");
    }
}

/// <summary>Where drafts come from.</summary>
public abstract record DrafterOptions
{
    private DrafterOptions() { }

    /// <summary>Copies what followed an earlier occurrence of the last tokens.</summary>
    /// <param name="MaxMatchingNgramSize">The longest n-gram looked for (Hugging Face's <c>max_matching_ngram_size</c>).</param>
    public sealed record PromptLookup(int MaxMatchingNgramSize = 2) : DrafterOptions;

    /// <summary>A smaller model of the same vocabulary.</summary>
    /// <param name="Path">Its folder or file.</param>
    /// <param name="AssistantTokens">Tokens it drafts at once for requests that name no number of their own; null for the general default.</param>
    public sealed record DraftModel(string Path, int? AssistantTokens = null) : DrafterOptions;

    /// <summary>A drafter of one's own.</summary>
    /// <param name="Create">Makes it for a target's shape; the model disposes of it.</param>
    public sealed record Custom(Func<ModelConfig, IDrafter> Create) : DrafterOptions;
}
