using Slipstream.Models;

namespace Slipstream.Scheduling;

/// <summary>
/// First come, first served, with no prefill phase: every sequence catches up with its tokens under one row budget a step
/// (the scheduler of vLLM v1; chunked prefill, arXiv:2308.16369). Where blocks run out the latest sequence gives its rows back and computes them again later.
/// </summary>
public sealed class CatchUpScheduler : IScheduler
{
    private readonly KvStore _store;
    private readonly int _maxRows, _maxSequences, _prefillChunk;
    private readonly List<Sequence> _running = [], _waiting = [];

    // Ended sequences whose session may go on: they keep their rows until somebody needs the blocks. Oldest first, one a session.
    private readonly List<Sequence> _retained = [];
    private readonly Stack<KvTable> _tables = [];

    /// <summary>Creates a scheduler.</summary>
    /// <param name="store">The cache that sequences share.</param>
    /// <param name="maxRows">The most rows a step computes, drafts included; at least <paramref name="maxSequences"/>.</param>
    /// <param name="maxSequences">The most sequences that run at once.</param>
    /// <param name="prefillChunk">The most pending rows of one sequence in a step.</param>
    public CatchUpScheduler(KvStore store, int maxRows, int maxSequences, int prefillChunk)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxSequences, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(prefillChunk, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxRows, maxSequences);
        (_store, _maxRows, _maxSequences, _prefillChunk) = (store, maxRows, maxSequences, prefillChunk);
    }

    /// <inheritdoc/>
    public bool IsIdle => Count == 0;

    /// <inheritdoc/>
    public int Count => _running.Count + _waiting.Count;

    /// <inheritdoc/>
    public Sequence this[int index] => index < _running.Count ? _running[index] : _waiting[index - _running.Count];

    /// <inheritdoc/>
    public void Add(Sequence sequence) => _waiting.Add(sequence);

    /// <inheritdoc/>
    public void Remove(Sequence sequence)
    {
        if (_running.Remove(sequence) && sequence.Session is not null && sequence.Finish != FinishReason.Failed)
        {
            Forget(sequence.Session);
            if (_retained.Count == _maxSequences) DropOldest();
            _retained.Add(sequence);
            return;
        }
        _waiting.Remove(sequence);
        GiveBack(sequence);
    }

    /// <inheritdoc/>
    public void Schedule(StepPlan plan)
    {
        plan.Clear();
        int rows = _maxRows, blocks = _store.FreeBlocks;
        for (int i = 0; i < _running.Count && rows > 0; i++)
        {
            // Sequences that only decode take one row each; a long prompt may not starve those behind it.
            int behind = Math.Min(_running.Count - i - 1, rows - 1);
            Sequence sequence = _running[i];
            int count = Math.Min(Math.Min(sequence.Pending, _prefillChunk), rows - behind), needed = sequence.Table!.BlocksFor(count);
            while (needed > blocks && _retained.Count > 0) blocks += DropOldest();
            while (needed > blocks && _running.Count > i + 1) blocks += Preempt(plan);
            if (needed > blocks)
            {
                count = (int)Math.Min(count, sequence.Table.RowsIn(blocks));
                if (count == 0) break;
                needed = sequence.Table.BlocksFor(count);
            }
            rows -= count;
            blocks -= needed;
            plan.Add(new ScheduledSequence(sequence, count, 0));
        }
        Admit(plan, ref rows, ref blocks);
        AllowDrafts(plan, rows, blocks);
    }

    private void Admit(StepPlan plan, ref int rows, ref int blocks)
    {
        // A sequence just preempted waits at least a step, else it would take back the blocks it gave.
        while (plan.Preemptions == 0 && rows > 0 && _waiting.Count > 0 && _running.Count < _maxSequences)
        {
            Sequence sequence = _waiting[0];
            if (sequence.Table is null) blocks += TakeTable(sequence);
            KvTable table = sequence.Table!;
            while (table.BlocksFor(sequence.Pending) > blocks && _retained.Count > 0) blocks += DropOldest();
            // Room for all it has yet to compute, not just for the first chunk: else two long prompts would take each other's blocks in turn.
            if (table.BlocksFor(sequence.Pending) > blocks)
            {
                // A waiting sequence holds no rows: those of its session would be out of reach for the running ones, which may need them to end.
                GiveBack(sequence);
                sequence.Computed = 0;
                return;
            }
            int count = Math.Min(Math.Min(sequence.Pending, _prefillChunk), rows), needed = table.BlocksFor(count);
            table.Reserve(sequence.Limit);
            _waiting.RemoveAt(0);
            _running.Add(sequence);
            rows -= count;
            blocks -= needed;
            plan.Add(new ScheduledSequence(sequence, count, 0));
        }
    }

    /// <summary>Drafts take what rows and blocks are left: a guess never displaces work.</summary>
    private static void AllowDrafts(StepPlan plan, int rows, int blocks)
    {
        for (int i = 0; i < plan.Count && rows > 0; i++)
        {
            ref ScheduledSequence item = ref plan[i];
            if (!item.CatchesUp) continue;
            KvTable table = item.Sequence.Table!;
            int budget = Math.Min(Math.Min(item.Sequence.Schedule.Length, rows), item.Sequence.Limit - item.Sequence.Tokens.Length - 1);
            int taken = table.BlocksFor(item.Rows);
            budget = (int)Math.Min(budget, table.RowsIn(taken + blocks) - item.Rows);
            if (budget <= 0) continue;
            rows -= budget;
            blocks -= table.BlocksFor(item.Rows + budget) - taken;
            item = item with { DraftBudget = budget };
        }
    }

    private int Preempt(StepPlan plan)
    {
        Sequence last = _running[^1];
        _running.RemoveAt(_running.Count - 1);
        int before = _store.FreeBlocks;
        GiveBack(last);
        last.Computed = 0;
        _waiting.Insert(0, last);
        plan.Preemptions++;
        return _store.FreeBlocks - before;
    }

    /// <summary>Gives a sequence the rows its session left, as far as the tokens are the same, or an empty table. Returns the blocks that became free.</summary>
    private int TakeTable(Sequence sequence)
    {
        int index = sequence.Session is null ? -1 : _retained.FindIndex(r => r.Session == sequence.Session);
        if (index < 0)
        {
            sequence.Table = _tables.TryPop(out KvTable? spare) ? spare : new KvTable(_store);
            return 0;
        }
        Sequence before = _retained[index];
        _retained.RemoveAt(index);
        (sequence.Table, before.Table) = (before.Table, null);
        int free = _store.FreeBlocks;
        // The last token is always computed: its logits begin the answer.
        sequence.Computed = before.Tokens[..before.Computed].CommonPrefixLength(sequence.Tokens[..^1]);
        sequence.Table!.Truncate(sequence.Computed);
        return _store.FreeBlocks - free;
    }

    private void Forget(string session)
    {
        int index = _retained.FindIndex(r => r.Session == session);
        if (index < 0) return;
        GiveBack(_retained[index]);
        _retained.RemoveAt(index);
    }

    private int DropOldest()
    {
        int free = _store.FreeBlocks;
        GiveBack(_retained[0]);
        _retained.RemoveAt(0);
        return _store.FreeBlocks - free;
    }

    private void GiveBack(Sequence sequence)
    {
        if (sequence.Table is not { } table) return;
        table.Truncate(0);
        sequence.Table = null;
        _tables.Push(table);
    }
}
