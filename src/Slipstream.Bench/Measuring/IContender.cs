namespace Slipstream.Bench;

/// <summary>An engine with a loaded model, timed by the same code as every other.</summary>
internal interface IContender : IDisposable
{
    /// <summary>Its name in tables and JSON.</summary>
    string Name { get; }

    /// <summary>What it is and how it is set up, in a line.</summary>
    string Description { get; }

    /// <summary>Why it cannot do a workload, or null where it can.</summary>
    string? Refuses(Workload work);

    /// <summary>Makes ready what the workloads of a depth need, before any of them is measured.</summary>
    void Begin(IReadOnlyList<Workload> works);

    /// <summary>Brings the sequences of a workload to its depth: that many cached rows each.</summary>
    void Prepare(Workload work);

    /// <summary>Appends rows to each prepared sequence in one forward pass and computes the logits of the last of each, or of all.</summary>
    /// <param name="tokens"><c>[sequences · rows]</c>, sequence by sequence.</param>
    /// <param name="all">Whether the head is computed on all rows.</param>
    void Forward(ReadOnlySpan<int> tokens, bool all);

    /// <summary>The best token after a row of the last pass whose logits were computed; null where the engine does not run the same weights.</summary>
    int? Best(int row);

    /// <summary>Drops the rows appended since <see cref="Prepare"/>, as far as the engine can.</summary>
    void Drop();

    /// <summary>Stops threads that would wait for work by spinning, so that another engine has the processors to itself.</summary>
    void Rest();
}
