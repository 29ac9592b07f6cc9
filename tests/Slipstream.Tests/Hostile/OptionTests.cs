using Slipstream.Numerics;
using Slipstream.Sampling;
using Slipstream.Tests.Checkpoints;

namespace Slipstream.Tests.Hostile;

/// <summary>Options out of range, through the API; <see cref="Cli.UsageTests"/> has those of the tool.</summary>
public sealed class OptionTests
{
    public static TheoryData<GenerationOptions, string> Requests => new()
    {
        { new() { MaxNewTokens = 0 }, "max_tokens is 0; it must be at least 1." },
        { new() { MaxNewTokens = -3 }, "max_tokens is -3; it must be at least 1." },
        { new() { AssistantTokens = 257 }, "The draft length is 257; it must be 0 to 256." },
        { new() { AssistantTokens = -1 }, "The draft length is -1; it must be 0 to 256." },
        { new() { TopLogprobs = 1001 }, "The number of log-probabilities is 1001; it must be 0 to 1000." },
        { new() { SampleIndex = -1 }, "The sample index is -1; it must be at least 0." },
        { new() { Verifier = (VerifierKind)9 }, "The verifier is 9; it must be auto, rejection or coupled." },
        { new() { AssistantTokensSchedule = (AssistantTokensSchedule)9 }, "The draft schedule is 9; it must be constant, heuristic or measured." },
        { new() { StopTokens = [3, -1] }, "The stop token -1 is not in the vocabulary of 32; ids run from 0 to 31." },
        { new() { StopStrings = [""] }, "A stop string is empty; it would end every generation at once." },
        { new() { StopStrings = ["x"] }, "'{model}' has no usable tokenizer, so stop strings cannot be found; use stop tokens." },
        { new() { Sampling = new() { Temperature = double.NaN } }, "The option `temperature` is NaN; it must be a finite number of at least 0, where 0 is greedy." },
        { new() { Sampling = new() { TopP = 0 } }, "The option `top_p` is 0; it must be over 0 and at most 1." },
        { new() { Sampling = new() { TopP = 1.0001 } }, "The option `top_p` is 1.0001; it must be over 0 and at most 1." },
        { new() { Sampling = new() { TopK = -1 } }, "The option `top_k` is -1; it must be at least 0, where 0 keeps every token." },
        { new() { Sampling = new() { BadWords = [[32]] } }, "The option `bad_words_ids` names token 32; tokens of this model are 0 to 31." },
    };

    [Theory]
    [MemberData(nameof(Requests), DisableDiscoveryEnumeration = true)]
    public async Task A_wrong_request_is_refused(GenerationOptions options, string message)
    {
        using TempFolder folder = new();
        string path = new TinyModel().Write(folder);
        using LanguageModel model = LanguageModel.Load(path, new ModelOptions { Threads = 1 });
        SlipstreamException e = await Assert.ThrowsAsync<SlipstreamException>(() => model.GenerateAsync(Prompt.Tokens([1]), options, TestContext.Current.CancellationToken));
        Assert.Equal(message.Replace("{model}", path, StringComparison.Ordinal), e.Message);
    }

    [Fact]
    public void A_model_larger_than_the_free_memory_is_refused_before_it_is_loaded()
    {
        using TempFolder folder = new();
        string path = new TinyModel().Write(folder);
        SlipstreamException e = Assert.Throws<SlipstreamException>(() => LanguageModel.Load(path, new ModelOptions { Threads = 1, FreeMemory = () => 1000 }));
        Assert.Equal($"'{path}' needs 0.0 GiB for its weights and buffers, and 0.0 GiB of memory are free; take a smaller model or format, or give the process more memory.", e.Message);
        LanguageModel.Load(path, new ModelOptions { Threads = 1, FreeMemory = () => 1L << 30 }).Dispose();
        Assert.InRange(MemoryPlan.FreeMemory(), 1, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
    }

    public static TheoryData<ModelOptions, string> Runs => new()
    {
        { new() { Threads = -1 }, "threads is -1; it must be 0 (all processors) to 1024." },
        { new() { KvBlock = 0 }, "kv-block is 0; it must be 1 to 65536." },
        { new() { PrefillChunk = 0 }, "prefill-chunk is 0; it must be 1 to 65536." },
        { new() { MaxBatch = int.MaxValue }, "max-batch is 2147483647; it must be 1 to 1024." },
        { new() { MaxAssistantTokens = 0 }, "the most draft tokens is 0; it must be 1 to 256." },
        { new() { Activations = (ActivationPrecision)7 }, "activations is 7; it must be auto, f32, int8, int16 or bf16." },
        { new() { Kernels = (KernelTier)9 }, "kernels is 9; it must be auto, emitted, emitted-vectors or intrinsics." },
        { new() { Threads = 1, KvMemory = KvMemory.FromBytes(-1) }, "-1 bytes of cache hold no block of 64 rows, which takes 8192; raise --kv-memory or lower --kv-block." },
        { new() { Threads = 1, KvMemory = KvMemory.FromPercent(double.NaN) }, "0 bytes of cache hold no block of 64 rows, which takes 8192; raise --kv-memory or lower --kv-block." },
        { new() { Threads = 1, Drafter = new DrafterOptions.PromptLookup(0) }, "The n-gram size of prompt lookup is 0; it must be at least 1." },
    };

    [Theory]
    [MemberData(nameof(Runs), DisableDiscoveryEnumeration = true)]
    public void A_wrong_run_is_refused(ModelOptions options, string message)
    {
        using TempFolder folder = new();
        string path = new TinyModel().Write(folder);
        Assert.Equal(message, Assert.Throws<SlipstreamException>(() => LanguageModel.Load(path, options).Dispose()).Message);
    }

    [Fact]
    public async Task A_cache_too_small_for_the_request_says_so()
    {
        using TempFolder folder = new();
        using LanguageModel model = LanguageModel.Load(new TinyModel().Write(folder), new ModelOptions { Threads = 1, KvBlock = 4, KvMemory = KvMemory.FromBytes(1024) });
        SlipstreamException e = await Assert.ThrowsAsync<SlipstreamException>(() => model.GenerateAsync(Prompt.Tokens([1]), new GenerationOptions { MaxNewTokens = 20 }, TestContext.Current.CancellationToken));
        Assert.Equal("The request may grow to 21 tokens, but the cache holds 8; raise --kv-memory or lower --max-tokens.", e.Message);
    }

    [Fact]
    public async Task A_request_that_excludes_every_token_fails_alone()
    {
        using TempFolder folder = new();
        using LanguageModel model = LanguageModel.Load(new TinyModel().Write(folder), new ModelOptions { Threads = 1 });
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        GenerationOptions plain = new() { MaxNewTokens = 40 }, impossible = new() { Sampling = new SamplingOptions { SuppressTokens = [.. Enumerable.Range(0, 32)] } };
        GenerationResult alone = await model.GenerateAsync(Prompt.Tokens([1, 2]), plain, cancellation);
        Task<GenerationResult> beside = model.GenerateAsync(Prompt.Tokens([1, 2]), plain, cancellation);
        Assert.Equal("The sampling options exclude every token at position 2; relax `suppress_tokens`, `bad_words_ids`, `logit_bias` or `no_repeat_ngram_size`.",
            (await Assert.ThrowsAsync<SlipstreamException>(() => model.GenerateAsync(Prompt.Tokens([1, 2]), impossible, cancellation))).Message);
        Assert.Equal(alone.Tokens, (await beside).Tokens);
    }
}
