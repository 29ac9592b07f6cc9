using System.Globalization;
using System.Text;

namespace Slipstream.Distillation.Training;

/// <summary>The log of a run, one JSON object a line: steps (<c>step, loss, lr, grad_norm, tokens_per_s</c>) and evaluations (<c>step, held_out_loss, bits_per_byte, best</c>).</summary>
/// <remarks>A run that goes on drops the lines past its checkpoint first, so that no step is in the log twice; none is missing, for each line is handed over before the next step.</remarks>
internal sealed class TrainingLog(string path, double bytesPerToken, ITrainingProgress next) : ITrainingProgress, IDisposable
{
    private StreamWriter? _writer;

    /// <inheritdoc/>
    public void Started(int done, TrainingOptions options)
    {
        try
        {
            string[] kept = done > 0 && File.Exists(path) ? [.. File.ReadLines(path).Where(line => StepOf(line) is { } step && step <= done)] : [];
            DurableFile.WriteAllText(path, string.Concat(kept.Select(line => line + "\n")));
            _writer = new StreamWriter(path, append: true, new UTF8Encoding(false)) { NewLine = "\n", AutoFlush = true };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"'{path}' cannot be written: {e.Message.TrimEnd('.')}; free space, or choose another folder.", e);
        }
        next.Started(done, options);
    }

    /// <inheritdoc/>
    public void Stepped(TrainingStep step)
    {
        Write(string.Create(CultureInfo.InvariantCulture, $"{{\"step\":{step.Step},\"loss\":{Number(step.Loss)},\"lr\":{Number(step.LearningRate)},\"grad_norm\":{Number(step.GradientNorm)},\"tokens_per_s\":{step.TokensPerSecond:0}}}"));
        next.Stepped(step);
    }

    /// <inheritdoc/>
    public void Evaluated(EvaluationPoint point, bool isBest)
    {
        Write(string.Create(CultureInfo.InvariantCulture, $"{{\"step\":{point.Step},\"held_out_loss\":{Number(point.Loss)},\"bits_per_byte\":{Number(point.Loss / Math.Log(2) / bytesPerToken)},\"best\":{(isBest ? "true" : "false")}}}"));
        next.Evaluated(point, isBest);
    }

    /// <inheritdoc/>
    public void Saved(int step) => next.Saved(step);

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            _writer?.Dispose();
        }
        catch (IOException)
        {
            // The disk is full: the checkpoint says so, and the log can be short.
        }
    }

    private void Write(string line)
    {
        try
        {
            _writer?.WriteLine(line);
        }
        catch (IOException)
        {
            // As above: a log that cannot be written must not end the run.
        }
    }

    private static string Number(double value) => double.IsFinite(value) ? value.ToString("R", CultureInfo.InvariantCulture) : "null";

    // Every line begins with its step; a line that was cut off does not end with a brace.
    private static int? StepOf(string line)
    {
        const string start = "{\"step\":";
        if (!line.StartsWith(start, StringComparison.Ordinal) || !line.EndsWith('}')) return null;
        int comma = line.IndexOf(',', StringComparison.Ordinal);
        return comma > 0 && int.TryParse(line.AsSpan(start.Length, comma - start.Length), CultureInfo.InvariantCulture, out int step) ? step : null;
    }
}
