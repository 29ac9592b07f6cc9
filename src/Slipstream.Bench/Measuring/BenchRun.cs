using System.Diagnostics;
using Slipstream.Numerics;

namespace Slipstream.Bench;

/// <summary>Measures a plan with our engine and others in turn, round by round, so that what the machine does to one it does to all.</summary>
internal sealed class BenchRun(BenchPlan plan, SlipstreamContender ours, IReadOnlyList<IContender> peers, Operations operations, bool profile, Action<string> progress) : IDisposable
{
    private const int ProfiledSteps = 16, WarmUps = 2, LaterWarmUps = 1, ComparedRows = 32;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(15), LeastTime = TimeSpan.FromMilliseconds(60);
    private readonly Dictionary<Workload, Dictionary<IContender, List<Sample>>> _samples = [];
    private readonly Dictionary<Workload, long> _bytes = [];
    private readonly Dictionary<Workload, IReadOnlyList<(string, double)>> _stages = [];
    private readonly Dictionary<IContender, OwnThread> _threads = peers.ToDictionary(peer => peer, peer => new OwnThread(peer.Name));
    private readonly SortedSet<string> _notes = new(StringComparer.Ordinal);
    private int[] _tokens = [];

    /// <summary>Runs all depths, the first with two rounds that do not count (code is compiled, memory touched), the others with one, and then those that do.</summary>
    /// <exception cref="SlipstreamException">An engine failed.</exception>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public BenchReport Run(string model, string format, CancellationToken cancellationToken)
    {
        Machine machine = Machine.Describe();
        Random random = new(1);
        _tokens = [.. Enumerable.Range(0, plan.All.Max(w => w.Rows)).Select(_ => random.Next(ours.Config.VocabularySize))];
        using Ceilings ceilings = new(ours.Pool);
        IContender[] contenders = [ours, .. peers];
        foreach (IContender peer in peers) Compare(peer);
        foreach (int depth in plan.Depths)
        {
            Workload[] works = [.. plan.At(depth)];
            foreach (IContender contender in contenders) On(contender, () => contender.Begin([.. works.Where(w => contender.Refuses(w) is null)]));
            for (int round = depth == plan.Depths[0] ? -WarmUps : -LaterWarmUps; round < plan.Repeat; round++)
            {
                if (round >= 0) ceilings.Measure();
                foreach (Workload work in works)
                {
                    // Who comes first changes, so that no engine always finds the caches of the same other.
                    for (int i = 0; i < contenders.Length; i++)
                    {
                        cancellationToken.ThrowIfCancellationRequested();
                        IContender contender = contenders[(i + round + WarmUps) % contenders.Length];
                        progress($"depth {depth}, {(round < 0 ? "warming up" : $"round {round + 1} of {plan.Repeat}")}: {contender.Name}, {work.Name} {work.Rows}");
                        Ceilings? counted = round >= 0 ? ceilings : null;
                        On(contender, () => Once(contender, work, counted));
                    }
                }
            }
            foreach (Workload work in profile ? works : []) Profile(work);
        }
        return new BenchReport(machine, ceilings.Read, ceilings.Int8, ceilings.F32, ceilings.Bf16, model, format, ours.Pool.Threads, plan.Repeat,
            [.. contenders.Select(c => c.Description)], [.. _notes], [.. plan.All.Select(work => Result(work, ceilings))]);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (OwnThread thread in _threads.Values) thread.Dispose();
    }

    // Peers have threads of their own; clocks run there, so that handing over is not counted.
    private void On(IContender contender, Action action)
    {
        if (_threads.TryGetValue(contender, out OwnThread? thread)) thread.Run(action);
        else action();
    }

    /// <summary>Notes in how many places a peer that runs the same weights gives the same best token: few would mean that it does not run the same model.</summary>
    private void Compare(IContender peer)
    {
        Workload work = new(WorkKind.Verify, Math.Min(ComparedRows, plan.All.Max(w => w.Rows)), 0);
        int?[] own = [], other = [];
        On(ours, () => own = Best(ours));
        On(peer, () => other = Best(peer));
        if (other[0] is not null) _notes.Add($"{peer.Name} and Slipstream give the same best token after {own.Zip(other).Count(p => p.First == p.Second)} of {own.Length} rows of random tokens.");

        int?[] Best(IContender contender)
        {
            contender.Begin([work]);
            contender.Prepare(work);
            contender.Forward(_tokens.AsSpan(0, work.Rows), all: true);
            int?[] best = [.. Enumerable.Range(0, work.Rows).Select(contender.Best)];
            contender.Rest();
            return best;
        }
    }

    // Rounds that count have ceilings.
    private void Once(IContender contender, Workload work, Ceilings? ceilings)
    {
        if (contender.Refuses(work) is { } reason)
        {
            _notes.Add($"{contender.Name} did not run {work.Name} {work.Rows} at {work.Depth}: {reason}");
            return;
        }
        contender.Prepare(work);
        double readBefore = ceilings?.ReadNow() ?? 0;
        // One pass that does not count: threads that slept are awake again, and caches hold what the passes before leave there.
        bool prefill = work.Kind == WorkKind.Prefill;
        contender.Forward(prefill ? Tokens(work, 0) : _tokens.AsSpan(0, work.Sequences), !prefill);
        contender.Drop();
        long before = contender == ours ? ours.BytesRead : 0;
        (double milliseconds, int passes) = work.Steps > 1 ? TimeSteps(contender, work) : TimePasses(contender, work);
        if (contender == ours) _bytes[work] = (ours.BytesRead - before) / passes;
        contender.Rest();
        Thread.Sleep(Pause);
        if (ceilings is not null) Samples(work, contender).Add(new Sample(milliseconds, (readBefore + ceilings.ReadNow()) / 2));
    }

    /// <summary>Runs a workload once more with a clock that follows the stages of the pass; the figures of the rounds are without it.</summary>
    private void Profile(Workload work)
    {
        progress($"depth {work.Depth}: profile, {work.Name} {work.Rows}");
        StageClock clock = new();
        ours.Prepare(work);
        int steps = work.Steps > 1 ? Math.Min(work.Steps, ProfiledSteps) : work.Kind == WorkKind.Verify ? ProfiledSteps : 2;
        for (int i = 0; i < steps; i++)
        {
            // The first pass wakes threads.
            if (i == 1) (ours.Pool.Clock = clock).Restart();
            ours.Forward(Tokens(work, i), work.Kind != WorkKind.Prefill);
            if (work.Steps == 1) ours.Drop();
        }
        clock.Enter(Stage.Other);
        ours.Pool.Clock = null;
        ours.Drop();
        _stages[work] = [.. Enum.GetValues<Stage>().Select(stage => (stage.ToString().ToLowerInvariant(), clock[stage].TotalMilliseconds / (steps - 1)))];
    }

    private (double Milliseconds, int Passes) TimeSteps(IContender contender, Workload work)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < work.Steps; i++) contender.Forward(Tokens(work, i), true);
        double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds / work.Steps;
        contender.Drop();
        return (milliseconds, work.Steps);
    }

    // Short passes are repeated within a round: a single one of a few milliseconds is mostly the noise of the system.
    private (double Milliseconds, int Passes) TimePasses(IContender contender, Workload work)
    {
        List<double> times = [];
        TimeSpan all = TimeSpan.Zero;
        int least = work.Kind == WorkKind.Verify ? 3 : 1;
        while (times.Count < least || (all < LeastTime && times.Count < 50))
        {
            long start = Stopwatch.GetTimestamp();
            contender.Forward(Tokens(work, 0), work.Kind == WorkKind.Verify);
            TimeSpan time = Stopwatch.GetElapsedTime(start);
            contender.Drop();
            times.Add(time.TotalMilliseconds);
            all += time;
        }
        return (Spread.Of(times).Median, times.Count);
    }

    private ReadOnlySpan<int> Tokens(Workload work, int step) => _tokens.AsSpan(work.Rows < _tokens.Length ? step % (_tokens.Length - work.Rows) : 0, work.Rows);

    private List<Sample> Samples(Workload work, IContender contender)
    {
        if (!_samples.TryGetValue(work, out Dictionary<IContender, List<Sample>>? ofWork)) _samples[work] = ofWork = [];
        if (!ofWork.TryGetValue(contender, out List<Sample>? samples)) ofWork[contender] = samples = [];
        return samples;
    }

    private BenchResult Result(Workload work, Ceilings ceilings)
    {
        Dictionary<string, IReadOnlyList<Sample>> others = [];
        foreach (IContender peer in peers)
            if (Samples(work, peer) is { Count: > 0 } samples) others[peer.Name] = samples;
        double byOperations = operations.Seconds(work, ceilings.Int8.PerSecond, (ceilings.Bf16 ?? ceilings.F32).PerSecond, ceilings.F32.PerSecond);
        return new BenchResult(work, Samples(work, ours), _bytes[work], byOperations, others) { Operations = operations.Count(work), Stages = _stages.GetValueOrDefault(work, []) };
    }
}
