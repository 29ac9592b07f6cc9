using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream;

/// <summary>The memory a run takes, planned before loading. Bytes.</summary>
/// <param name="Weights">Weights of the target.</param>
/// <param name="Draft">Weights of the draft model.</param>
/// <param name="Kv">The target's cache.</param>
/// <param name="DraftKv">The draft model's cache.</param>
/// <param name="Scratch">Buffers of forward passes and sampling.</param>
/// <param name="Runtime">The .NET runtime, code and small objects: an estimate.</param>
public sealed record MemoryPlan(long Weights, long Draft, long Kv, long DraftKv, long Scratch, long Runtime)
{
    /// <summary>What the runtime itself takes, measured on an idle process.</summary>
    private const long RuntimeBytes = 48L << 20;

    /// <summary>All of it.</summary>
    public long Total => Weights + Draft + Kv + DraftKv + Scratch + Runtime;

    /// <summary>Plans a run.</summary>
    /// <param name="target">The target's shape.</param>
    /// <param name="targetWeights">Bytes of its tensors.</param>
    /// <param name="draft">The draft model's shape, or null.</param>
    /// <param name="draftWeights">Bytes of its tensors.</param>
    /// <param name="options">How it is run.</param>
    public static MemoryPlan For(ModelConfig target, long targetWeights, ModelConfig? draft, long draftWeights, ModelOptions options)
    {
        long outputs = (long)options.MaxBatch * (1 + (options.Drafter is null ? 0 : options.MaxAssistantTokens));
        long scratch = ScratchBytes(target, options) + outputs * target.VocabularySize * sizeof(float);
        if (draft is not null) scratch += ScratchBytes(draft, options) + (long)options.MaxBatch * draft.VocabularySize * sizeof(float);
        return new MemoryPlan(targetWeights, draftWeights, KvBlocks(target, options) * options.KvBlock * options.KvLayout(target).BytesPerRow,
            draft is null ? 0 : DraftBlocks(target, draft, options) * options.KvBlock * options.KvLayout(draft).BytesPerRow, scratch, RuntimeBytes);
    }

    /// <summary>Refuses a batch whose rows could not be addressed as one matrix.</summary>
    internal static void Check(ModelConfig target, string path, ModelOptions options)
    {
        long outputs = (long)options.MaxBatch * (1 + (options.Drafter is null ? 0 : options.MaxAssistantTokens));
        if (outputs * target.VocabularySize > int.MaxValue / 2)
            throw new SlipstreamException($"A step of '{path}' could compute {outputs} rows of {target.VocabularySize} logits, more than can be addressed; lower --max-batch or the draft length.");
        long widest = Math.Max(Math.Max(target.HiddenSize, target.IntermediateSize), (long)target.Heads * target.HeadSize);
        if (options.MaxRows * widest > int.MaxValue)
            throw new SlipstreamException($"A step of '{path}' could compute {options.MaxRows} rows of {widest} numbers, more than can be addressed; lower --prefill-chunk, --max-batch or the draft length.");
    }

    /// <summary>What to say where the system has not the memory that a run asks for.</summary>
    internal static SlipstreamException Exceeded(string path, Exception cause)
        => new($"The memory is not enough to run '{path}'; lower --kv-memory, --max-batch or --prefill-chunk, or take a smaller model.", cause);

    /// <summary>Blocks of the target's cache.</summary>
    internal static long KvBlocks(ModelConfig target, ModelOptions options)
    {
        long bytesPerBlock = options.KvBlock * options.KvLayout(target).BytesPerRow;
        if (options.KvMemory is { } memory)
        {
            long blocks = memory.ToBytes() / bytesPerBlock;
            return blocks > 0 ? Math.Min(blocks, int.MaxValue / options.KvBlock) : throw new SlipstreamException($"{memory.ToBytes()} bytes of cache hold no block of {options.KvBlock} rows, which takes {bytesPerBlock}; raise --kv-memory or lower --kv-block.");
        }
        long rows = Math.Max(target.ContextLength, (long)options.MaxBatch * Math.Min(target.ContextLength, 2048));
        long most = Math.Max(1, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 / bytesPerBlock);
        // Slots are numbered by an int.
        return Math.Min(Math.Min((rows + options.KvBlock - 1) / options.KvBlock, most), int.MaxValue / options.KvBlock);
    }

    /// <summary>Blocks of the draft model's cache: as many rows as the target has, within the draft's own context.</summary>
    internal static long DraftBlocks(ModelConfig target, ModelConfig draft, ModelOptions options)
    {
        long perSequence = (Math.Min(draft.ContextLength, target.ContextLength) + options.KvBlock - 1) / options.KvBlock;
        return Math.Min(KvBlocks(target, options), perSequence * options.MaxBatch);
    }

    /// <summary>Refuses, before anything is loaded, a model whose weights and buffers do not fit into the memory that is free.</summary>
    /// <exception cref="SlipstreamException">They do not fit.</exception>
    internal static void RequireFree(string path, ModelConfig target, long targetWeights, ModelOptions options)
    {
        long needed = targetWeights + ScratchBytes(target, options), free = options.FreeMemory();
        if (needed > free)
            throw new SlipstreamException(FormattableString.Invariant($"'{path}' needs {Gib(needed):0.0} GiB for its weights and buffers, and {Gib(free):0.0} GiB of memory are free; take a smaller model or format, or give the process more memory."));
        static double Gib(long bytes) => (double)bytes / (1 << 30);
    }

    /// <summary>Memory that the process may still take: the container's limit or the machine's memory, less what others use where the system tells it (Linux).</summary>
    internal static long FreeMemory()
    {
        long limit = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (!OperatingSystem.IsLinux()) return limit;
        try
        {
            foreach (string line in File.ReadLines("/proc/meminfo"))
                if (line.StartsWith("MemAvailable:", StringComparison.Ordinal) && long.TryParse(line.AsSpan(13).Trim().TrimEnd("kB").Trim(), out long kilobytes))
                    return Math.Min(limit, kilobytes * 1024);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return limit; // A sandbox without /proc.
        }
        return limit;
    }

    private static long ScratchBytes(ModelConfig c, ModelOptions options)
    {
        int rows = options.MaxRows, widest = Math.Max(Math.Max(c.HiddenSize, c.IntermediateSize), c.Heads * c.HeadSize);
        long floats = 2L * c.HiddenSize + c.Heads * c.HeadSize + 2L * c.KvHeads * c.HeadSize + (c.GatedFeedForward ? 2L : 1L) * c.IntermediateSize + widest;
        long quantized = options.Activations == ActivationPrecision.F32 ? 0 : Activations.QuantizedBytes(rows, widest, options.Activations == ActivationPrecision.Int16 ? widest : c.HiddenSize, c.GatedFeedForward ? c.IntermediateSize : 0, options.EffectiveThreads, EmittedKernels.UseAmx(options.Kernels));
        return AttentionScratch.BytesFor(options.EffectiveThreads, c.Heads, c.KvHeads, c.HeadSize, c.ContextLength) + rows * floats * sizeof(float) + quantized;
    }
}
