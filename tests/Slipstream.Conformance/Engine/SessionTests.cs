using Slipstream.Sampling;
using Slipstream.TestSupport;
using Slipstream.Tracing;

namespace Slipstream.Conformance.Engine;

/// <summary>Requests of one session go on from the rows the last one left, without a changed token.</summary>
public sealed class SessionTests
{
    [Theory]
    [InlineData(false), InlineData(true)]
    public async Task The_next_turn_computes_only_what_is_new(bool draft)
    {
        Rows rows = new();
        using LanguageModel model = Load(rows, draft);
        int[] first = [.. Enumerable.Range(3, 40)];
        GenerationResult answer = await model.GenerateAsync(Prompt.Tokens(first), Options("a"));
        int[] second = [.. first, .. answer.Tokens, 9, 8, 7, 6, 5];
        rows.Clear();
        GenerationResult kept = await model.GenerateAsync(Prompt.Tokens(second), Options("a"));
        // All but the last generated token was computed in the first turn.
        Assert.Equal(6, rows.Most);
        GenerationResult alone = await model.GenerateAsync(Prompt.Tokens(second), Options(null));
        Assert.Equal(alone.Tokens, kept.Tokens);
    }

    [Fact]
    public async Task Only_the_shared_beginning_is_kept()
    {
        Rows rows = new();
        using LanguageModel model = Load(rows, false);
        await model.GenerateAsync(Prompt.Tokens([.. Enumerable.Range(3, 40)]), Options("a"));
        rows.Clear();
        int[] other = [.. Enumerable.Range(3, 10), .. Enumerable.Range(60, 20)];
        GenerationResult kept = await model.GenerateAsync(Prompt.Tokens(other), Options("a"));
        Assert.Equal(20, rows.Most);
        Assert.Equal((await model.GenerateAsync(Prompt.Tokens(other), Options(null))).Tokens, kept.Tokens);
    }

    [Fact]
    public async Task Kept_rows_give_way_to_work()
    {
        using LanguageModel model = Load(new Rows(), false, rows: 128);
        int[] prompt = [.. Enumerable.Range(3, 90)];
        GenerationResult alone = await model.GenerateAsync(Prompt.Tokens(prompt), Options(null));
        for (int i = 0; i < 6; i++)
            Assert.Equal(alone.Tokens, (await model.GenerateAsync(Prompt.Tokens(prompt), Options(i % 2 == 0 ? $"session {i}" : null))).Tokens);
    }

    [Fact]
    public async Task A_waiting_turn_does_not_hold_rows_that_running_work_needs()
    {
        using LanguageModel model = Load(new Rows(), false, rows: 128);
        int[] first = [.. Enumerable.Range(3, 40)], running = [.. Enumerable.Range(80, 20)];
        GenerationResult answer = await model.GenerateAsync(Prompt.Tokens(first), Options("a"));
        int[] second = [.. first, .. answer.Tokens, .. Enumerable.Range(50, 60)];
        // The first takes more than half of the cache while it runs; the second does not fit beside it, even with the rows that its session left.
        Task<GenerationResult> one = model.GenerateAsync(Prompt.Tokens(running), Options(null) with { MaxNewTokens = 90 });
        Task<GenerationResult> two = model.GenerateAsync(Prompt.Tokens(second), Options("a"));
        await Task.WhenAll(one, two).WaitAsync(TimeSpan.FromMinutes(2));
        Assert.Equal((await model.GenerateAsync(Prompt.Tokens(running), Options(null) with { MaxNewTokens = 90 })).Tokens, (await one).Tokens);
        Assert.Equal((await model.GenerateAsync(Prompt.Tokens(second), Options(null))).Tokens, (await two).Tokens);
    }

    private static GenerationOptions Options(string? session) => new() { MaxNewTokens = 12, IgnoreEndTokens = true, Session = session, Sampling = new SamplingOptions() };

    private static LanguageModel Load(Rows observer, bool draft, int rows = 2048) => LanguageModel.Load(Assets.Path("goldens", "models", "qwen3"), new ModelOptions
    {
        Threads = 1, MaxBatch = 2, KvBlock = 16, KvMemory = KvMemory.FromBytes(rows * 2L * 2 * 2 * 24 * 4), Observers = [observer],
        Drafter = draft ? new DrafterOptions.DraftModel(Assets.Path("goldens", "decoding", "draft-of-qwen3")) : null,
    });

    /// <summary>The most pending rows of a step. A step reports after its tokens are delivered, so the last one of a request may come late; it has one row.</summary>
    private sealed class Rows : IStepObserver
    {
        private int _most;

        public int Most => Volatile.Read(ref _most);

        public void Clear() => Volatile.Write(ref _most, 0);

        public void OnStep(in StepTrace trace) => Volatile.Write(ref _most, Math.Max(Most, trace.Rows - trace.Drafted));
    }
}
