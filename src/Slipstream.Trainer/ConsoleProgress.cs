using System.Diagnostics;
using System.Globalization;
using Slipstream.Distillation.Training;
using Spectre.Console;
using static Slipstream.Trainer.Texts;

namespace Slipstream.Trainer;

/// <summary>Shows a run on standard error: one line that changes on a terminal, a line every half minute elsewhere.</summary>
internal sealed class ConsoleProgress(TextWriter error, bool terminal, double bytesPerToken) : ITrainingProgress
{
    private static readonly TimeSpan OnTerminal = TimeSpan.FromSeconds(0.25), OnPipe = TimeSpan.FromSeconds(30);

    private readonly IAnsiConsole? _console = terminal ? AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(error) }) : null;
    private TrainingOptions? _options;
    private long _shown, _began;
    private int _first, _last;
    private double _loss = double.NaN, _heldOut = double.NaN;

    /// <inheritdoc/>
    public void Started(int done, TrainingOptions options)
    {
        _options = options;
        _first = done;
        _began = _shown = Stopwatch.GetTimestamp();
        if (done > 0) Line(Invariant($"the run goes on after step {done} of {options.Steps}"));
    }

    /// <inheritdoc/>
    public void Stepped(TrainingStep step)
    {
        _last = step.Step;
        // A mean over the last steps is easier to read than each one.
        _loss = double.IsNaN(_loss) ? step.Loss : 0.95 * _loss + 0.05 * step.Loss;
        if (Stopwatch.GetElapsedTime(_shown) < (terminal ? OnTerminal : OnPipe) && step.Step != _options!.Steps) return;
        _shown = Stopwatch.GetTimestamp();
        double seconds = Stopwatch.GetElapsedTime(_began).TotalSeconds, perStep = seconds / (step.Step - _first);
        TrainingOptions options = _options!;
        string figures = Invariant($"loss {_loss:0.000} ({_loss / Math.Log(2) / bytesPerToken:0.000} bits a byte){(double.IsNaN(_heldOut) ? "" : Invariant($", held out {_heldOut:0.000}"))}, {options.Accumulation * options.Batch * (double)options.Length / perStep:0} tokens/s, {Time(perStep * (options.Steps - step.Step))} left");
        if (_console is null)
        {
            error.WriteLine(Invariant($"step {step.Step}/{options.Steps}: {figures}"));
            return;
        }
        int filled = (int)(24.0 * step.Step / options.Steps);
        error.Write('\r');
        _console.Markup(Invariant($"[green]{new string('━', filled)}[/][grey]{new string('━', 24 - filled)}[/] {step.Step}/{options.Steps} {Markup.Escape(figures)}"));
        // Clears what a longer line left.
        error.Write("\u001b[K");
        if (step.Step == options.Steps) error.WriteLine();
    }

    /// <inheritdoc/>
    public void Evaluated(EvaluationPoint point, bool isBest)
    {
        _heldOut = point.Loss;
        Line(Invariant($"step {point.Step}: held-out loss {point.Loss:0.0000} a token, {point.Loss / Math.Log(2) / bytesPerToken:0.0000} bits a byte, perplexity {Math.Exp(point.Loss):0.00}{(isBest ? ", the best so far" : "")}"));
    }

    /// <inheritdoc/>
    public void Saved(int step)
    {
    }

    /// <summary>A line of its own.</summary>
    public void Line(string text) => error.WriteLine(terminal && _last > 0 ? $"\r{text}\u001b[K" : text);

    private static string Time(double seconds) => TimeSpan.FromSeconds(Math.Ceiling(seconds)).ToString(seconds < 3600 ? @"m\:ss" : @"h\:mm\:ss", CultureInfo.InvariantCulture);
}
