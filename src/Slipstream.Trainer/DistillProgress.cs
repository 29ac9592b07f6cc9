using System.Diagnostics;
using System.Globalization;
using Slipstream.Distillation.Training;

namespace Slipstream.Trainer;

/// <summary>Shows a distillation on standard error, a line every ten seconds: its loss is no loss of text, so it has no bits and no perplexity.</summary>
internal sealed class DistillProgress(TextWriter error) : ITrainingProgress
{
    private TrainingOptions? _options;
    private long _began, _shown;
    private int _first, _count;
    private double _sum;

    /// <inheritdoc/>
    public void Started(int done, TrainingOptions options)
    {
        (_options, _first) = (options, done);
        _began = _shown = Stopwatch.GetTimestamp();
        if (done > 0) Line($"the run goes on after step {done} of {options.Steps}");
    }

    /// <inheritdoc/>
    public void Stepped(TrainingStep step)
    {
        (_sum, _count) = (_sum + step.Loss, _count + 1);
        if (Stopwatch.GetElapsedTime(_shown).TotalSeconds < 10 && step.Step != _options!.Steps) return;
        _shown = Stopwatch.GetTimestamp();
        double perStep = Stopwatch.GetElapsedTime(_began).TotalSeconds / (step.Step - _first), left = perStep * (_options!.Steps - step.Step);
        Line($"step {step.Step}/{_options.Steps}: loss {_sum / _count:0.0000}, {_options.Accumulation * _options.Batch * (double)_options.Length / perStep:0} tokens/s, {left:0} s left");
        (_sum, _count) = (0, 0);
    }

    /// <inheritdoc/>
    public void Evaluated(EvaluationPoint point, bool isBest) => Line($"step {point.Step}: held-out loss {point.Loss:0.0000}{(isBest ? ", the best so far" : "")}");

    /// <inheritdoc/>
    public void Saved(int step) { }

    /// <summary>A line of its own.</summary>
    public void Line(FormattableString text) => error.WriteLine(text.ToString(CultureInfo.InvariantCulture));
}
