namespace Slipstream.Scheduling;

/// <summary>Decides which sequences compute how many rows in a step. Called by one thread.</summary>
public interface IScheduler
{
    /// <summary>Whether no sequence is waiting or running.</summary>
    bool IsIdle { get; }

    /// <summary>Sequences waiting and running.</summary>
    int Count { get; }

    /// <summary>Queues a sequence.</summary>
    void Add(Sequence sequence);

    /// <summary>Takes a sequence out, wherever it is; its rows are freed.</summary>
    void Remove(Sequence sequence);

    /// <summary>Plans a step; an empty plan means there is nothing to do. Every planned row has a slot.</summary>
    void Schedule(StepPlan plan);

    /// <summary>The sequence at <paramref name="index"/>, running ones first.</summary>
    Sequence this[int index] { get; }
}
