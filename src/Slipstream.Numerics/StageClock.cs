using System.Diagnostics;

namespace Slipstream.Numerics;

/// <summary>What a forward pass is doing.</summary>
internal enum Stage
{
    /// <summary>Whatever has no stage of its own.</summary>
    Other,

    /// <summary>Embeddings, positions and the plan of attention.</summary>
    Prepare,

    /// <summary>Normalisation.</summary>
    Norm,

    /// <summary>Activations on their way to 8 or 16 bits.</summary>
    Quantize,

    /// <summary>Products with weights, but for the head.</summary>
    Products,

    /// <summary>Rotation of queries and keys, and what is written to the cache.</summary>
    Store,

    /// <summary>Attention.</summary>
    Attention,

    /// <summary>The non-linearity between the feed-forward products.</summary>
    Gate,

    /// <summary>What a branch adds to the residual stream.</summary>
    Residual,

    /// <summary>The product with the head.</summary>
    Head,

    /// <summary>The caller, done with its share of a job, waiting for the other threads.</summary>
    Wait,
}

/// <summary>Where the time of the thread that calls a model goes. A pool has none unless somebody asks, and then nothing is measured. Not for two threads at a time.</summary>
internal sealed class StageClock
{
    private readonly long[] _ticks = new long[Enum.GetValues<Stage>().Length];
    private Stage _stage;
    private long _since = Stopwatch.GetTimestamp();

    /// <summary>Begins a stage.</summary>
    /// <returns>The stage that ends, to go back to.</returns>
    public Stage Enter(Stage stage)
    {
        long now = Stopwatch.GetTimestamp();
        _ticks[(int)_stage] += now - _since;
        _since = now;
        (Stage before, _stage) = (_stage, stage);
        return before;
    }

    /// <summary>Forgets what was measured and begins again, in <see cref="Stage.Other"/>.</summary>
    public void Restart()
    {
        Enter(Stage.Other);
        Array.Clear(_ticks);
    }

    /// <summary>Time spent in a stage, up to when the last one began.</summary>
    public TimeSpan this[Stage stage] => Stopwatch.GetElapsedTime(0, _ticks[(int)stage]);
}
