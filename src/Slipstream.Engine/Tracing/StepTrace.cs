namespace Slipstream.Tracing;

/// <summary>What one step of the loop did.</summary>
public readonly record struct StepTrace
{
    /// <summary>Which step, from 1.</summary>
    public required long Step { get; init; }

    /// <summary>Sequences in it.</summary>
    public required int Sequences { get; init; }

    /// <summary>Rows computed, drafts included.</summary>
    public required int Rows { get; init; }

    /// <summary>Draft tokens among them.</summary>
    public required int Drafted { get; init; }

    /// <summary>Draft tokens accepted.</summary>
    public required int Accepted { get; init; }

    /// <summary>Tokens given to sequences.</summary>
    public required int Tokens { get; init; }

    /// <summary>Sequences that lost their rows to others.</summary>
    public required int Preemptions { get; init; }

    /// <summary>Time spent drafting.</summary>
    public required TimeSpan Draft { get; init; }

    /// <summary>Time spent in the model.</summary>
    public required TimeSpan Forward { get; init; }

    /// <summary>Time of the whole step.</summary>
    public required TimeSpan Total { get; init; }

    /// <summary>Bytes of weights the target read.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Bytes of cached rows the target read.</summary>
    public required long KvBytes { get; init; }

    /// <summary>Time of everything else: planning, sampling, verifying, delivering.</summary>
    public TimeSpan Rest => Total - Draft - Forward;
}

/// <summary>Watches the loop: metrics, the command line, web pages. Called on the loop's thread after each step; must be quick and may not throw.</summary>
public interface IStepObserver
{
    /// <summary>A step is done.</summary>
    void OnStep(in StepTrace trace);
}
