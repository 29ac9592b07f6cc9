using Slipstream.Scheduling;
using Slipstream.Tests.Checkpoints;
using Slipstream.TestSupport;

namespace Slipstream.Tests.Hostile;

/// <summary>A cancelled request gives its memory back at the next step, whatever it was doing, and the others never notice.</summary>
public sealed class CancellationTests
{
    private static readonly int[] Long = [.. Enumerable.Range(1, 30)], Short = [4, 5, 6];

    public static MatrixTheoryData<int, bool> Cases => new([0, 1, 3, 9, 14], [false, true]);

    /// <summary>Cancels one of three requests after so many steps: before its first, in its prompt (chunks of 4), in the middle of its answer.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void At_any_step_its_blocks_come_back(int steps, bool drafted)
    {
        using TempFolder folder = new();
        string path = new TinyModel().Write(folder);
        RunSettings settings = new() { KvBlock = 4, PrefillChunk = 4, MaxBatch = 3, AssistantTokens = drafted ? 3 : 0, Draft = drafted ? new TinyModel(seed: 2).Write(folder, "draft") : null };
        using ModelRun run = new(path, settings, contextRows: 64);
        RunSink first = run.Add(Short, 30), cancelled = run.Add(Long, 30), last = run.Add(Short, 30, index: 1);
        for (int step = 0; step < steps; step++) Assert.True(run.Loop.Step());
        int free = run.Store.FreeBlocks, had = steps == 0 ? 0 : (cancelled.Sequence.Computed + 3) / 4, generated = cancelled.Tokens.Count;
        Assert.Equal(steps >= 9, generated > 0);
        cancelled.Sequence.Cancel();
        Assert.True(run.Loop.Step());
        Assert.Equal(FinishReason.Cancelled, cancelled.Finish);
        Assert.Equal(generated, cancelled.Tokens.Count);
        // The others took at most a block each in that step, or two with a draft.
        Assert.True(run.Store.FreeBlocks >= free + had - (drafted ? 4 : 2), $"{free} blocks were free before, {run.Store.FreeBlocks} are after {had} came back.");
        run.Finish();
        Assert.Equal(Alone(path, Short, 30), first.Tokens);
        Assert.Equal(Alone(path, Short, 30), last.Tokens);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    public void Waiting_behind_others_it_never_starts(int steps)
    {
        using TempFolder folder = new();
        string path = new TinyModel().Write(folder);
        using ModelRun run = new(path, new RunSettings { KvBlock = 4, MaxBatch = 1 }, contextRows: 64);
        RunSink first = run.Add(Short, 20), cancelled = run.Add(Long, 20), last = run.Add(Long, 20);
        for (int step = 0; step < steps; step++) Assert.True(run.Loop.Step());
        cancelled.Sequence.Cancel();
        Assert.True(run.Loop.Step());
        Assert.Equal(FinishReason.Cancelled, cancelled.Finish);
        run.Finish();
        Assert.Equal(0, cancelled.Sequence.Computed);
        Assert.Empty(cancelled.Tokens);
        Assert.Equal(Alone(path, Short, 20), first.Tokens);
        Assert.Equal(Alone(path, Long, 20), last.Tokens);
    }

    [Fact]
    public void Preempted_it_ends_as_well()
    {
        using TempFolder folder = new();
        string path = new TinyModel().Write(folder);
        // Nine blocks of 4 rows: two requests that grow to 30 tokens cannot both stay.
        using ModelRun run = new(path, new RunSettings { KvBlock = 4, MaxBatch = 2, Blocks = 9 });
        RunSink first = run.Add(Short, 27), cancelled = run.Add(Short, 27, index: 1);
        while (cancelled.Sequence.Computed > 0 || cancelled.Tokens.Count == 0) Assert.True(run.Loop.Step());
        cancelled.Sequence.Cancel();
        run.Finish();
        Assert.Equal(FinishReason.Cancelled, cancelled.Finish);
        Assert.Equal(Alone(path, Short, 27), first.Tokens);
    }

    [Fact]
    public async Task Through_the_model_it_keeps_what_it_has_and_the_others_go_on()
    {
        using TempFolder folder = new();
        string path = new TinyModel(context: 4096).Write(folder);
        using LanguageModel model = LanguageModel.Load(path, PairTests.Options(null) with { MaxBatch = 1 });
        CancellationToken test = TestContext.Current.CancellationToken;
        GenerationOptions options = PairTests.Request(4000);
        using CancellationTokenSource running = new(), waiting = new();
        await waiting.CancelAsync();
        int pieces = 0;
        GenerationResult? result = null;
        Task<GenerationResult>? behind = null;
        await foreach (GenerationUpdate update in model.StreamAsync(Prompt.Tokens([1, 2, 3]), options, running.Token))
        {
            result = update.Result ?? result;
            if (++pieces != 2) continue;
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => model.GenerateAsync(Prompt.Tokens([4]), options, waiting.Token));
            behind = model.GenerateAsync(Prompt.Tokens([1, 2, 3]), PairTests.Request(5), test);
            await running.CancelAsync();
        }
        Assert.Equal(FinishReason.Cancelled, result!.FinishReason);
        Assert.InRange(result.Tokens.Count, 2, 3999);
        Assert.Equal(result.Tokens.Take(2), (await behind!).Tokens.Take(2));
        await foreach (GenerationUpdate _ in model.StreamAsync(Prompt.Tokens([1]), options, test)) break;
        Assert.Equal(5, (await model.GenerateAsync(Prompt.Tokens([7]), PairTests.Request(5), test)).Tokens.Count);
    }

    private static List<int> Alone(string path, int[] prompt, int tokens)
    {
        using ModelRun run = new(path, new RunSettings(), contextRows: 64);
        RunSink sink = run.Add(prompt, tokens);
        run.Finish();
        return sink.Tokens;
    }
}
