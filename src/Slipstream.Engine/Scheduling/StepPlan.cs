namespace Slipstream.Scheduling;

/// <summary>A sequence's part of a step.</summary>
/// <param name="Sequence">The sequence.</param>
/// <param name="Rows">Pending rows to compute.</param>
/// <param name="DraftBudget">Draft nodes allowed; 0 unless the rows are all that are pending.</param>
public readonly record struct ScheduledSequence(Sequence Sequence, int Rows, int DraftBudget)
{
    /// <summary>Whether the step computes the sequence's last pending row, so that it gives a token.</summary>
    public bool CatchesUp => Rows == Sequence.Pending;
}

/// <summary>What one step computes. Filled by the scheduler; reused from step to step.</summary>
public sealed class StepPlan
{
    private ScheduledSequence[] _items = new ScheduledSequence[8];

    /// <summary>Sequences in the step.</summary>
    public int Count { get; private set; }

    /// <summary>A sequence's part.</summary>
    public ref ScheduledSequence this[int index] => ref _items[index];

    /// <summary>Sequences that lost their cached rows to others while this step was planned.</summary>
    public int Preemptions { get; internal set; }

    /// <summary>Empties the plan.</summary>
    public void Clear() => Count = Preemptions = 0;

    /// <summary>Adds a sequence.</summary>
    public void Add(ScheduledSequence item)
    {
        if (Count == _items.Length) Array.Resize(ref _items, Count * 2);
        _items[Count++] = item;
    }
}
