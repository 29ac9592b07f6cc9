using System.Globalization;

namespace Slipstream.Bench;

/// <summary>What kind of forward pass is measured.</summary>
internal enum WorkKind
{
    /// <summary>Rows of one sequence, the head on the last of them.</summary>
    Prefill,

    /// <summary>Single rows of one sequence, one after another.</summary>
    Decode,

    /// <summary>Rows of one sequence, the head on all of them; the rows are dropped again.</summary>
    Verify,

    /// <summary>One row of each of many sequences.</summary>
    Batch,
}

/// <summary>One forward pass to be measured.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Rows">Rows of the pass.</param>
/// <param name="Depth">Cached rows of each sequence before it.</param>
/// <param name="Steps">Passes that follow one another in a round, for decode and batch.</param>
internal sealed record Workload(WorkKind Kind, int Rows, int Depth, int Steps = 1)
{
    /// <summary>Sequences in the pass.</summary>
    public int Sequences => Kind == WorkKind.Batch ? Rows : 1;

    /// <summary>Rows of each sequence.</summary>
    public int RowsOfEach => Kind == WorkKind.Batch ? 1 : Rows;

    /// <summary>Rows on which the head is computed.</summary>
    public int Outputs => Kind is WorkKind.Verify or WorkKind.Batch ? Rows : 1;

    /// <summary>The most cached rows a sequence has at the end of a round.</summary>
    public int MostCached => Depth + Math.Max(RowsOfEach, Steps) + 1;

    /// <summary>The kind's name in JSON and tables.</summary>
    public string Name => Kind switch { WorkKind.Prefill => "prefill", WorkKind.Decode => "decode", WorkKind.Verify => "verify", _ => "batch" };

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name} {Rows} at {Depth}");
}

/// <summary>Everything that is measured in a run.</summary>
/// <param name="Prefill">Lengths of prompts.</param>
/// <param name="Decode">Single rows in a row; 0 for none.</param>
/// <param name="Verify">Rows of one sequence.</param>
/// <param name="Batch">Numbers of sequences.</param>
/// <param name="Depths">Cached rows before.</param>
/// <param name="Repeat">Rounds.</param>
internal sealed record BenchPlan(IReadOnlyList<int> Prefill, int Decode, IReadOnlyList<int> Verify, IReadOnlyList<int> Batch, IReadOnlyList<int> Depths, int Repeat)
{
    private const int BatchSteps = 16;

    /// <summary>What is measured at a depth, in order.</summary>
    public IEnumerable<Workload> At(int depth)
    {
        foreach (int rows in Prefill) yield return new Workload(WorkKind.Prefill, rows, depth);
        if (Decode > 0) yield return new Workload(WorkKind.Decode, 1, depth, Decode);
        foreach (int rows in Verify) yield return new Workload(WorkKind.Verify, rows, depth);
        foreach (int rows in Batch) yield return new Workload(WorkKind.Batch, rows, depth, BatchSteps);
    }

    /// <summary>Everything.</summary>
    public IEnumerable<Workload> All => Depths.SelectMany(At);
}
