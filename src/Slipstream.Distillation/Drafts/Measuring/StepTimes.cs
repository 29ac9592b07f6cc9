using Slipstream.Tracing;

namespace Slipstream.Distillation.Drafts.Measuring;

/// <summary>Times of single steps of a pair, by temperature and tokens drafted. Prompts are left out.</summary>
internal sealed class StepTimes : IStepObserver
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(double, int), (List<double> Draft, List<double> Verify)> _times = [];
    private double _temperature;

    /// <summary>The temperature of the runs that follow. A run's last step may still come after it: medians do not mind.</summary>
    public void Begin(double temperature)
    {
        lock (_lock) _temperature = temperature;
    }

    /// <inheritdoc/>
    public void OnStep(in StepTrace trace)
    {
        if (trace.Sequences != 1 || trace.Rows != trace.Drafted + 1) return;
        lock (_lock)
        {
            if (!_times.TryGetValue((_temperature, trace.Drafted), out var lists)) _times[(_temperature, trace.Drafted)] = lists = ([], []);
            lists.Draft.Add(trace.Draft.TotalMilliseconds);
            lists.Verify.Add((trace.Total - trace.Draft).TotalMilliseconds);
        }
    }

    /// <summary>Median milliseconds of the drafting and of the rest of steps with so many drafted tokens; zeros where there were none.</summary>
    public (double Draft, double Verify) Median(double temperature, int drafted)
    {
        lock (_lock)
            return _times.TryGetValue((temperature, drafted), out var lists) ? (DraftLine.Median(lists.Draft), DraftLine.Median(lists.Verify)) : default;
    }
}
