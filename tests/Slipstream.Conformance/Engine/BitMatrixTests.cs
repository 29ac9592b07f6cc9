using System.Text.Json;
using Slipstream.Conformance.Families;
using Slipstream.Numerics;
using Slipstream.Sampling;
using Slipstream.Scheduling;
using Slipstream.Speculation;
using Slipstream.TestSupport;
using Slipstream.Tracing;

namespace Slipstream.Conformance.Engine;

/// <summary>
/// Tokens and the bytes of the logits of every committed position are identical whatever the batch, threads, block size, prefill chunk, drafter, draft length and preemption.
/// Each axis is tried against the base, then a pairwise covering array of all of them.
/// </summary>
public sealed class BitMatrixTests
{
    private static readonly int[] Batches = [1, 2, 7, 32], ThreadCounts = [1, 2], Blocks = [1, 16, 4096], Chunks = [1, 7, 512];

    public static TheoryData<string> Targets { get; } =
    [
        "models/llama", "models/llama-mqa", "models/llama-bias-headdim", "models/llama-mha-tied", "models/llama-rope-llama3", "models/mistral", "models/qwen2", "models/qwen2-mixed-window", "models/qwen3", "models/gpt2",
        "gguf/tiny-Q8_0.gguf", "gguf/tiny-Q4_0.gguf", "gguf/tiny-Q4_1.gguf", "gguf/tiny-Q5_0.gguf", "gguf/tiny-Q5_1.gguf", "gguf/tiny-Q2_K.gguf", "gguf/tiny-Q3_K_M.gguf", "gguf/tiny-Q4_K_M.gguf", "gguf/tiny-Q5_K_M.gguf", "gguf/tiny-Q6_K.gguf", "gguf/tiny-F16.gguf", "gguf/tiny-BF16.gguf",
    ];

    [Theory]
    [MemberData(nameof(Targets))]
    public void Greedy_is_identical(string target) => Check(target, new SamplingOptions(), RejectionVerifier.Instance);

    [Theory]
    [MemberData(nameof(Targets))]
    public void A_seeded_sample_with_the_coupled_verifier_is_identical(string target)
        => Check(target, new SamplingOptions { Temperature = 0.9, TopK = 40, TopP = 0.95, RepetitionPenalty = 1.1 }, CoupledVerifier.Instance);

    [Theory]
    [InlineData("models/llama", CacheType.F16), InlineData("models/llama", CacheType.Q8), InlineData("models/qwen2-mixed-window", CacheType.F16), InlineData("models/qwen2-mixed-window", CacheType.Q8)]
    [InlineData("models/llama-mqa", CacheType.Bf16), InlineData("models/qwen2-mixed-window", CacheType.Bf16), InlineData("gguf/tiny-Q8_0.gguf", CacheType.Bf16)]
    [InlineData("models/llama-mqa", CacheType.Q8), InlineData("gguf/tiny-Q8_0.gguf", CacheType.F16), InlineData("gguf/tiny-Q8_0.gguf", CacheType.Q8)]
    public void Greedy_is_identical_with_a_rounded_cache(string target, CacheType type) => Check(target, new SamplingOptions(), RejectionVerifier.Instance, type);

    [Theory]
    [InlineData(KernelTier.Auto)]
    [InlineData(KernelTier.EmittedVectors)]
    [InlineData(KernelTier.Intrinsics)]
    public void Greedy_is_identical_with_rounded_activations(KernelTier kernels)
    {
        Assert.SkipWhen(kernels == KernelTier.EmittedVectors && !EmittedKernels.IsAvailable, $"{EmittedKernels.UnavailableReason}");
        Check("gguf/tiny-BF16.gguf", new SamplingOptions(), RejectionVerifier.Instance, precision: ActivationPrecision.Bf16, kernels: kernels);
    }

    [Theory]
    [InlineData(KernelTier.EmittedVectors)]
    [InlineData(KernelTier.Intrinsics)]
    public void Greedy_is_identical_with_a_rounded_cache_in_other_tiers(KernelTier kernels)
    {
        Assert.SkipWhen(kernels == KernelTier.EmittedVectors && !EmittedKernels.IsAvailable, $"{EmittedKernels.UnavailableReason}");
        Check("models/llama-mqa", new SamplingOptions(), RejectionVerifier.Instance, CacheType.Bf16, kernels: kernels);
    }

    [Theory]
    [InlineData("gguf/tiny-F16.gguf")]
    [InlineData("gguf/tiny-BF16.gguf")]
    [InlineData("gguf/tiny-Q8_0.gguf")]
    [InlineData("gguf/tiny-Q4_K_M.gguf")]
    public void Greedy_is_identical_with_compiled_kernels(string target)
        => Check(target, new SamplingOptions(), RejectionVerifier.Instance, kernels: KernelTier.Intrinsics);

    [Theory]
    [InlineData("gguf/tiny-F16.gguf", ActivationPrecision.F32)]
    [InlineData("gguf/tiny-BF16.gguf", ActivationPrecision.F32)]
    [InlineData("gguf/tiny-BF16.gguf", ActivationPrecision.Bf16)]
    [InlineData("gguf/tiny-Q4_1.gguf", ActivationPrecision.Int8)]
    [InlineData("gguf/tiny-Q6_K.gguf", ActivationPrecision.Int8)]
    [InlineData("gguf/tiny-Q4_K_M.gguf", ActivationPrecision.Int16)]
    [InlineData("gguf/tiny-Q4_1.gguf", ActivationPrecision.Int8, CacheType.Bf16)]
    public void Tiers_give_the_same_logits(string target, ActivationPrecision precision, CacheType? type = null)
    {
        string path = Assets.Path("goldens", target);
        int[][] prompts = Prompts(path, gguf: true);
        // The matrix unit sums bfloat16 in an order of its own (ADR 25), in products and in attention, which none of these models rounds to it where its cache is not asked to.
        bool rounds = precision == ActivationPrecision.Bf16 || type == CacheType.Bf16;
        RunSettings settings = new() { Precision = precision, MaxBatch = 4, CacheType = type, Kernels = rounds && EmittedKernels.IsAvailable ? KernelTier.EmittedVectors : KernelTier.Auto };
        List<(int[] Tokens, ulong[] Bits)> emitted = Run(path, settings, prompts), compiled = Run(path, settings with { Kernels = KernelTier.Intrinsics }, prompts);
        for (int i = 0; i < prompts.Length; i++) Assert.Equal(compiled[i].Bits, emitted[i].Bits);
    }

    /// <summary>Runs every setting and compares it with the plain run of one sequence at a time.</summary>
    internal static void Check(string target, SamplingOptions sampling, IVerifier verifier, CacheType? type = null, ActivationPrecision? precision = null, KernelTier kernels = KernelTier.Auto)
    {
        string path = Assets.Path("goldens", target);
        bool gguf = target.EndsWith(".gguf", StringComparison.Ordinal);
        RunSettings settings = new()
        {
            Sampling = sampling, Verifier = verifier, Seed = 20261124, CacheType = type,
            Precision = precision ?? (gguf ? ActivationPrecision.Auto : ActivationPrecision.F32),
            Kernels = kernels,
        };
        int[][] prompts = Prompts(path, gguf);
        // A model drafts perfectly for itself; the noisy copy of qwen3 and the other formats of the GGUF model draft badly.
        string draft = gguf ? Assets.Path("goldens", "gguf", "tiny-Q4_0.gguf") : target == "models/qwen3" ? Assets.Path("goldens", "decoding", "draft-of-qwen3") : path;
        List<(int[] Tokens, ulong[] Bits)> expected = [.. prompts.Select(p => Run(path, settings, [p]).Single())];
        foreach (RunSettings variant in Variants(settings, draft))
        {
            int batch = variant.MaxBatch;
            int[][] batched = [.. Enumerable.Range(0, Math.Max(batch, prompts.Length)).Select(i => prompts[i % prompts.Length])];
            List<(int[] Tokens, ulong[] Bits)> actual = Run(path, variant, batched);
            for (int i = 0; i < batched.Length; i++)
            {
                Assert.True(expected[i % prompts.Length].Tokens.AsSpan().SequenceEqual(actual[i].Tokens), $"{target}: tokens of sequence {i} differ with {variant}.");
                Assert.True(expected[i % prompts.Length].Bits.AsSpan().SequenceEqual(actual[i].Bits), $"{target}: logits of sequence {i} differ with {variant}.");
            }
        }
    }

    internal static List<(int[] Tokens, ulong[] Bits)> Run(string path, RunSettings settings, int[][] prompts, int newTokens = 20)
    {
        Preemptions preemptions = new();
        using ModelRun run = new(path, settings, preemptions);
        RunSink[] sinks = [.. prompts.Select(p => run.Add(p, newTokens))];
        run.Finish();
        if (settings.Blocks > 0 && settings.MaxBatch > 1) Assert.True(preemptions.Count > 0, $"{settings} was to force preemption and did not.");
        foreach (RunSink sink in sinks)
        {
            Assert.Null(sink.Failure);
            Assert.Equal(FinishReason.Length, sink.Finish);
            Assert.Equal(sink.Tokens.Count, sink.LogitBits.Count);
        }
        return [.. sinks.Select(s => (s.Tokens.ToArray(), s.LogitBits.ToArray()))];
    }

    private static IEnumerable<RunSettings> Variants(RunSettings s, string draft)
    {
        foreach (int batch in Batches) yield return s with { MaxBatch = batch };
        foreach (int threads in ThreadCounts) yield return s with { Threads = threads };
        foreach (int block in Blocks) yield return s with { KvBlock = block };
        foreach (int chunk in Chunks) yield return s with { PrefillChunk = chunk };
        for (int k = 1; k <= 8; k++)
        {
            yield return s with { PromptLookup = true, AssistantTokens = k };
            yield return s with { Draft = draft, AssistantTokens = k };
        }
        yield return s with { Draft = draft, AssistantTokens = 4, Schedule = AssistantTokensSchedule.Heuristic };
        yield return s with { Draft = draft, AssistantTokens = 4, Schedule = AssistantTokensSchedule.Measured };
        yield return s with { MaxBatch = 7, PromptLookup = true, AssistantTokens = 5, Schedule = AssistantTokensSchedule.Measured };
        yield return s with { MaxBatch = 7, KvBlock = 1, Blocks = 150 };
        yield return s with { MaxBatch = 7, KvBlock = 16, Blocks = 10, PromptLookup = true, AssistantTokens = 3 };
        foreach (int[] row in Pairwise.Cover([Batches.Length, ThreadCounts.Length, Blocks.Length, Chunks.Length, 3, 8]))
        {
            RunSettings variant = s with
            {
                MaxBatch = Batches[row[0]], Threads = ThreadCounts[row[1]], KvBlock = Blocks[row[2]], PrefillChunk = Chunks[row[3]],
                AssistantTokens = row[4] == 0 ? 0 : row[5] + 1, PromptLookup = row[4] == 1, Draft = row[4] == 2 ? draft : null,
            };
            yield return variant;
        }
    }

    private static int[][] Prompts(string path, bool gguf)
        => gguf
            ? [Ids(path), [1, 5, 9, 5, 9, 5], [.. Enumerable.Range(0, 70).Select(i => 3 + i * 7 % 50)]]
            : [.. FamilyGoldenTests.Cases(path).Select(c => FamilyGoldenTests.Ints(c.GetProperty("ids"))), [4, 8, 4, 8, 4, 8, 15]];

    private static int[] Ids(string path)
        => FamilyGoldenTests.Ints(JsonDocument.Parse(File.ReadAllText(Path.Combine(Path.GetDirectoryName(path)!, "golden.json"))).RootElement.GetProperty("ids"));

    private sealed class Preemptions : IStepObserver
    {
        public int Count { get; private set; }

        public void OnStep(in StepTrace trace) => Count += trace.Preemptions;
    }
}
