namespace Slipstream.Trainer.Commands;

/// <summary>Progress that is told on the thread that makes it: lines stay in order, and none comes after the end.</summary>
internal sealed class ImmediateProgress<T>(Action<T> report) : IProgress<T>
{
    public void Report(T value) => report(value);
}
