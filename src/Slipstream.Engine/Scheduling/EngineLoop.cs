using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.Sampling;
using Slipstream.Speculation;
using Slipstream.Tracing;

namespace Slipstream.Scheduling;

/// <summary>
/// One loop for every technique: schedule, draft, forward, verify, retain. Plain decoding is the empty draft; greedy decoding is a point mass.
/// One thread calls it. A step allocates nothing once its buffers have grown.
/// </summary>
internal sealed class EngineLoop : IDisposable
{
    private readonly ILanguageModel _model;
    private readonly IScheduler _scheduler;
    private readonly IDrafter? _drafter;
    private readonly IStepObserver[] _observers;
    private readonly TimeProvider _clock;
    private readonly StepPlan _plan = new();
    private readonly Stack<DraftTree> _trees = [];
    private readonly int _vocabulary;
    private readonly int[] _tokens, _positions, _parents, _starts, _outputs, _path;
    private readonly KvTable[] _tables;
    private DraftRequest[] _requests;
    private readonly Action<Exception>? _onDraftFailure;
    private bool[] _keep = new bool[256], _invalid = new bool[64];
    private int[] _accepted = new int[64];
    private NativeBuffer<float> _logits, _raw = new(0);
    private long _steps;

    public EngineLoop(ILanguageModel model, IScheduler scheduler, IDrafter? drafter, int maxSequences, IEnumerable<IStepObserver>? observers = null, TimeProvider? clock = null,
        Action<Exception>? onDraftFailure = null)
    {
        _onDraftFailure = onDraftFailure;
        (_model, _scheduler, _drafter) = (model, scheduler, drafter);
        _observers = [.. observers ?? []];
        _clock = clock ?? TimeProvider.System;
        _vocabulary = model.Config.VocabularySize;
        (_tokens, _positions, _parents, _outputs) = (new int[model.MaxRows], new int[model.MaxRows], new int[model.MaxRows], new int[model.MaxRows]);
        _path = new int[model.MaxRows + 1];
        _starts = new int[maxSequences + 1];
        _tables = new KvTable[maxSequences];
        _requests = new DraftRequest[maxSequences];
        _logits = new NativeBuffer<float>((long)_vocabulary * Math.Min(maxSequences, 4));
    }

    /// <summary>What steps take, for requests whose drafts go by it.</summary>
    internal StepCosts Costs { get; } = new();

    /// <summary>Steps done.</summary>
    public long Steps => _steps;

    /// <summary>Time spent in drafters since the loop began.</summary>
    public TimeSpan DraftTime { get; private set; }

    /// <summary>Time spent in the target model since the loop began.</summary>
    public TimeSpan ForwardTime { get; private set; }

    /// <summary>Queues a sequence.</summary>
    public void Add(Sequence sequence) => _scheduler.Add(sequence);

    /// <summary>Whether nothing is left to do.</summary>
    public bool IsIdle => _scheduler.IsIdle;

    /// <summary>Does one step; false when there was nothing to do.</summary>
    public bool Step()
    {
        long start = _clock.GetTimestamp();
        EndCancelled();
        _scheduler.Schedule(_plan);
        if (_plan.Count == 0) return false;
        int drafts = Draft();
        long drafted = _clock.GetTimestamp(), weights = _model.Counters.WeightBytes, kv = _model.Counters.KvBytes;
        int rows = LayOut(out int outputs);
        Forward(rows, outputs);
        long computed = _clock.GetTimestamp();
        (weights, kv) = (_model.Counters.WeightBytes - weights, _model.Counters.KvBytes - kv);
        DraftTime += _clock.GetElapsedTime(start, drafted);
        ForwardTime += _clock.GetElapsedTime(drafted, computed);
        LearnCost(rows, _clock.GetElapsedTime(start, computed));
        int accepted = 0, tokens = 0;
        for (int i = 0, output = 0; i < _plan.Count; i++)
        {
            (int a, int t) = Commit(in _plan[i], ref output);
            accepted += a;
            tokens += t;
        }
        StepTrace trace = new()
        {
            Step = ++_steps, Sequences = _plan.Count, Rows = rows, Drafted = drafts, Accepted = accepted, Tokens = tokens, Preemptions = _plan.Preemptions,
            Draft = _clock.GetElapsedTime(start, drafted), Forward = _clock.GetElapsedTime(drafted, computed), Total = _clock.GetElapsedTime(start),
            WeightBytes = weights, KvBytes = kv,
        };
        foreach (IStepObserver observer in _observers) observer.OnStep(in trace);
        return true;
    }

    /// <summary>Ends every sequence with a failure.</summary>
    public void FailAll(Exception failure)
    {
        while (_scheduler.Count > 0) End(_scheduler[0], FinishReason.Failed, failure);
    }

    public void Dispose()
    {
        _logits.Dispose();
        _raw.Dispose();
        while (_trees.TryPop(out DraftTree? tree)) tree.Release();
    }

    /// <summary>A step that computes a prompt says nothing of drafts.</summary>
    private void LearnCost(int rows, TimeSpan time)
    {
        for (int i = 0; i < _plan.Count; i++)
            if (_plan[i] is not { CatchesUp: true, Rows: 1 }) return;
        Costs.Add(_plan.Count, rows, time.TotalMilliseconds);
    }

    private void EndCancelled()
    {
        for (int i = _scheduler.Count - 1; i >= 0; i--)
            if (_scheduler[i].IsCancelled) End(_scheduler[i], FinishReason.Cancelled, null);
    }

    /// <summary>Fills the trees of all sequences that may draft, in one call.</summary>
    private int Draft()
    {
        int requests = 0, nodes = 0;
        for (int i = 0; i < _plan.Count; i++)
        {
            Sequence sequence = _plan[i].Sequence;
            DraftTree tree = sequence.Tree ??= _trees.TryPop(out DraftTree? spare) ? spare : new DraftTree(_vocabulary);
            tree.Clear();
            if (_drafter is not null && _plan[i].DraftBudget > 0) _requests[requests++] = new DraftRequest(sequence, _plan[i].DraftBudget, tree);
        }
        if (requests == 0) return 0;
        try
        {
            _drafter!.Draft(_requests.AsSpan(0, requests));
        }
        catch (Exception e)
        {
            // A guess never decides whether a request succeeds: without one, the step is plain decoding. What the drafter had cached is no longer to be trusted.
            for (int i = 0; i < requests; i++)
            {
                _requests[i].Tree.Clear();
                _drafter!.Release(_requests[i].Sequence);
            }
            _onDraftFailure?.Invoke(e);
            return 0;
        }
        for (int i = 0; i < requests; i++)
        {
            CutTree(_requests[i].Tree, _requests[i].Budget);
            nodes += _requests[i].Tree.Count;
        }
        return nodes;
    }

    /// <summary>Leaves of a tree what the budget allows and the vocabulary has.</summary>
    private void CutTree(DraftTree tree, int budget)
    {
        tree.Truncate(budget);
        for (int node = 0; node < tree.Count; node++)
            if ((uint)tree.Token(node) >= (uint)_vocabulary) tree.Truncate(node);
    }

    /// <summary>Lays out the rows of the batch and reserves their slots: pending tokens, then draft nodes, sequence after sequence.</summary>
    private int LayOut(out int outputs)
    {
        int rows = 0;
        outputs = 0;
        for (int i = 0; i < _plan.Count; i++)
        {
            ScheduledSequence item = _plan[i];
            Sequence sequence = item.Sequence;
            DraftTree tree = sequence.Tree!;
            int first = rows;
            _starts[i] = first;
            _tables[i] = sequence.Table!;
            for (int r = 0; r < item.Rows; r++, rows++)
                (_tokens[rows], _positions[rows], _parents[rows]) = (sequence.Tokens[sequence.Computed + r], sequence.Computed + r, r - 1);
            if (item.CatchesUp) _outputs[outputs++] = rows - 1;
            for (int node = 0; node < tree.Count; node++, rows++)
            {
                // A node without a parent follows the last pending row.
                int parent = item.Rows + tree.Parent(node);
                (_tokens[rows], _positions[rows], _parents[rows]) = (tree.Token(node), _positions[first + parent] + 1, parent);
                _outputs[outputs++] = rows;
            }
            for (int row = first; row < rows; row++) sequence.Table!.Append(_positions[row]);
        }
        _starts[_plan.Count] = rows;
        return rows;
    }

    private void Forward(int rows, int outputs)
    {
        EnsureRows(ref _logits, outputs);
        _model.Forward(
            new ForwardBatch
            {
                Tokens = _tokens.AsSpan(0, rows), Positions = _positions.AsSpan(0, rows), Parents = _parents.AsSpan(0, rows),
                SequenceStarts = _starts.AsSpan(0, _plan.Count + 1), OutputRows = _outputs.AsSpan(0, outputs), Tables = _tables.AsSpan(0, _plan.Count),
            },
            new ForwardOutputs { Logits = new Matrix(_logits.Span(0, outputs * _vocabulary), outputs, _vocabulary) });
    }

    /// <summary>Judges a sequence's draft, keeps what stands and delivers it.</summary>
    private (int Accepted, int Tokens) Commit(in ScheduledSequence item, ref int output)
    {
        Sequence sequence = item.Sequence;
        if (!item.CatchesUp)
        {
            sequence.Computed += item.Rows;
            return default;
        }
        DraftTree tree = sequence.Tree!;
        int count = tree.Count + 1, position = sequence.Tokens.Length;
        Matrix target = new(_logits.Span((long)output * _vocabulary, count * _vocabulary), count, _vocabulary);
        output += count;
        if (!Check(sequence, target[0])) return default;
        if (sequence.WantsLogits)
        {
            EnsureRows(ref _raw, count);
            target.Data.CopyTo(_raw.Span(0, count * _vocabulary));
        }
        if (Distribute(sequence, tree, target) is { } failure)
        {
            End(sequence, FinishReason.Failed, failure);
            return default;
        }
        if (_accepted.Length < count) Array.Resize(ref _accepted, 2 * count);
        int next = sequence.Verifier.Verify(tree, target, sequence.Random, position, _accepted, out int accepted, out int evaluated);
        for (int i = 0; i < accepted; i++)
            if (_invalid[_accepted[i] + 1]) (next, accepted) = (tree.Token(_accepted[i]), i);
        (int kept, int tokens, FinishReason finish) = Deliver(sequence, tree, accepted, next);
        Retain(sequence.Table!, item.Rows, tree.Count, kept);
        sequence.Computed += item.Rows + kept;
        Count(sequence, tree, evaluated, kept, tokens);
        sequence.Schedule.Update(tree.Count, accepted);
        if (finish != FinishReason.None) End(sequence, finish, null);
        return (kept, tokens);
    }

    /// <summary>Appends the accepted nodes and the token after them, up to the first stop. Returns how many nodes stand and how many tokens were given.</summary>
    private (int Kept, int Tokens, FinishReason Finish) Deliver(Sequence sequence, DraftTree tree, int accepted, int next)
    {
        for (int i = 0; i <= accepted; i++)
        {
            int token = i < accepted ? tree.Token(_accepted[i]) : next, row = i == 0 ? 0 : _accepted[i - 1] + 1;
            sequence.Append(token);
            ReadOnlySpan<float> logits = sequence.WantsLogits ? _raw.Span((long)row * _vocabulary, _vocabulary) : default;
            bool stop = sequence.Sink?.OnToken(token, logits) ?? false;
            FinishReason finish = stop || sequence.IsStopToken(token) ? FinishReason.Stop : sequence.Tokens.Length >= sequence.Limit ? FinishReason.Length : FinishReason.None;
            if (finish != FinishReason.None) return (Math.Min(i + 1, accepted), i + 1, finish);
        }
        return (accepted, accepted + 1, FinishReason.None);
    }

    /// <summary>Drops the rows of draft nodes that do not stand.</summary>
    private void Retain(KvTable table, int rows, int nodes, int kept)
    {
        if (nodes == 0) return;
        if (_keep.Length < table.Count) Array.Resize(ref _keep, 2 * table.Count);
        Span<bool> keep = _keep.AsSpan(0, table.Count);
        keep.Fill(true);
        keep[^nodes..].Clear();
        for (int i = 0; i < kept; i++) keep[table.Count - nodes + _accepted[i]] = true;
        table.Retain(keep);
    }

    private void Count(Sequence sequence, DraftTree tree, int evaluated, int kept, int tokens)
    {
        sequence.Counts.AddVerification(tree.Count, evaluated, kept, tokens);
        for (int node = 0; node < tree.Count; node++)
            sequence.Counts.AddNode(tree.Path(node, _path) - 1, _accepted.AsSpan(0, kept).Contains(node));
    }

    private bool Check(Sequence sequence, ReadOnlySpan<float> logits)
    {
        if (RowCheck.IsFinite(logits)) return true;
        End(sequence, FinishReason.Failed, new SlipstreamException(_model.FindInvalidWeight()
            ?? $"The model gave logits that are not finite after {sequence.Tokens.Length} tokens; its arithmetic overflows on this input."));
        return false;
    }

    /// <summary>Turns a sequence's rows of logits into distributions; returns what stands against that, or null.</summary>
    /// <remarks>
    /// A draft's row may be impossible (not finite, every token excluded) where plain decoding never comes, so that fails nothing yet: a point mass takes its place,
    /// and where its node stands, <see cref="Commit"/> ends the path with that node. Its row is then computed again as the last pending one and fails as it would have without a draft.
    /// </remarks>
    private SlipstreamException? Distribute(Sequence sequence, DraftTree tree, Matrix target)
    {
        if (_invalid.Length < target.Rows) Array.Resize(ref _invalid, 2 * target.Rows);
        for (int row = 0; row < target.Rows; row++)
        {
            SlipstreamException? failure = null;
            _invalid[row] = row > 0 && !RowCheck.IsFinite(target[row]);
            if (!_invalid[row])
            {
                try
                {
                    int depth = tree.Path(row - 1, _path);
                    sequence.Pipeline.ToDistribution(target[row], new TokenContext(sequence.Tokens, _path.AsSpan(0, depth), sequence.PromptLength));
                    continue;
                }
                catch (SlipstreamException e)
                {
                    failure = e;
                }
            }
            if (row == 0) return failure;
            _invalid[row] = true;
            target[row].Clear();
            target[row][0] = 1;
        }
        return null;
    }

    private void End(Sequence sequence, FinishReason reason, Exception? failure)
    {
        sequence.Finish = reason;
        _scheduler.Remove(sequence);
        _drafter?.Release(sequence);
        if (sequence.Tree is { } tree)
        {
            sequence.Tree = null;
            tree.Clear();
            _trees.Push(tree);
        }
        sequence.Sink?.OnFinished(reason, failure);
    }

    private void EnsureRows(ref NativeBuffer<float> buffer, int rows)
    {
        if ((long)rows * _vocabulary <= buffer.Length) return;
        buffer.Dispose();
        buffer = new NativeBuffer<float>((long)rows * 2 * _vocabulary);
    }
}
