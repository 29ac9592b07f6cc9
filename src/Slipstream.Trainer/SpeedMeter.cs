using System.Diagnostics;
using Slipstream.Distillation.Training;

namespace Slipstream.Trainer;

/// <summary>Measures the time of a step, the first ones apart.</summary>
/// <param name="warm">Steps that do not count.</param>
internal sealed class SpeedMeter(int warm) : ITrainingProgress
{
    private long _start, _last;
    private int _steps;

    public double SecondsPerStep => Stopwatch.GetElapsedTime(_start, _last).TotalSeconds / _steps;

    public void Started(int done, TrainingOptions options) { }

    public void Stepped(TrainingStep step)
    {
        if (step.Step == warm) _start = Stopwatch.GetTimestamp();
        else if (step.Step > warm) (_last, _steps) = (Stopwatch.GetTimestamp(), _steps + 1);
    }

    public void Evaluated(EvaluationPoint point, bool isBest) { }

    public void Saved(int step) { }
}
