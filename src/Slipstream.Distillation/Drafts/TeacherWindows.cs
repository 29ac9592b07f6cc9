using Slipstream.Distillation.Training;

namespace Slipstream.Distillation.Drafts;

/// <summary>The windows of a run that a teacher has to be asked about.</summary>
internal static class TeacherWindows
{
    /// <summary>Where they begin in the training tokens followed by the held-out ones, ascending: those the run comes to, all where it goes over the text more than once, and those it is evaluated on.</summary>
    /// <param name="data">The text.</param>
    /// <param name="options">The run.</param>
    /// <exception cref="SlipstreamException">What is held out is shorter than a window.</exception>
    public static long[] Offsets(TokenDataset data, TrainingOptions options)
    {
        int windows = data.Windows(options.Length);
        if (windows < 1) throw new SlipstreamException($"The text has {data.Training.Length} tokens to train on, fewer than two windows of {options.Length}; give more text or a smaller --length.");
        if (data.HeldOut.Length is > 1 && data.HeldOut.Length <= options.Length)
            throw new SlipstreamException($"{data.HeldOut.Length} tokens are held out, fewer than a window of {options.Length} and the token after it; hold out more, or 0, or give a smaller --length.");
        long wanted = (long)options.Steps * options.Accumulation * options.Batch;
        WindowOrder order = new(options.Seed, windows, options.Length, isShifted: false);
        IEnumerable<long> training = wanted >= windows ? Enumerable.Range(0, windows).Select(i => (long)i * options.Length) : Enumerable.Range(0, (int)wanted).Select(i => order.Offset(i)).Order();
        return [.. training, .. data.HeldOutOffsets(options.Length, options.EvaluationTokens).Select(offset => offset + data.Training.Length)];
    }
}
