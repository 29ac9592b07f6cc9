using Spectre.Console;

namespace Slipstream.Cli.Output;

/// <summary>Sets a bar at once; the runtime's own progress type would post to another thread.</summary>
internal sealed class ProgressBar(ProgressTask task) : IProgress<double>
{
    public void Report(double value) => task.Value = value;
}
