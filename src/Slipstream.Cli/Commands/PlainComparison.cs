using System.Diagnostics;

namespace Slipstream.Cli.Commands;

/// <summary>A request measured with its drafter and without, in turn.</summary>
/// <param name="Rounds">Rounds that count, after one that warmed up.</param>
/// <param name="Plain">Median time of the whole request without drafts.</param>
/// <param name="Drafted">Median time with them.</param>
/// <param name="PlainTokens">Tokens that a plain run gave.</param>
/// <param name="DraftedTokens">Tokens that a drafted run gave.</param>
/// <param name="IsIdentical">Whether every run of both kinds gave the same tokens.</param>
internal sealed record PlainComparison(int Rounds, TimeSpan Plain, TimeSpan Drafted, int PlainTokens, int DraftedTokens, bool IsIdentical)
{
    private const int MostRounds = 9;
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(20);

    /// <summary>Tokens a second of the whole request without drafts.</summary>
    public double PlainRate => Rate(PlainTokens, Plain);

    /// <summary>The same with drafts.</summary>
    public double DraftedRate => Rate(DraftedTokens, Drafted);

    /// <summary>How many times as fast the drafted runs were, by tokens a second.</summary>
    public double SpeedUp => PlainRate > 0 ? DraftedRate / PlainRate : 0;

    /// <summary>Repeats a request with drafts and without, in turn, so that what slows the machine slows both.</summary>
    /// <param name="model">The model, with a drafter.</param>
    /// <param name="prompt">The request's prompt.</param>
    /// <param name="options">Its options, with a seed where it samples.</param>
    /// <param name="first">What the request gave.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <exception cref="OperationCanceledException">The work was ended.</exception>
    public static async Task<PlainComparison> MeasureAsync(LanguageModel model, Prompt prompt, GenerationOptions options, GenerationResult first, CancellationToken cancellationToken)
    {
        GenerationOptions plainOptions = options with { AssistantTokens = 0 };
        // The first run of each kind finds cold caches, and code that is still to be compiled well.
        GenerationResult plain = await model.GenerateAsync(prompt, plainOptions, cancellationToken).ConfigureAwait(false);
        bool identical = plain.Tokens.SequenceEqual(first.Tokens);
        List<TimeSpan> plainTimes = [], draftedTimes = [];
        GenerationResult drafted = first;
        long start = Stopwatch.GetTimestamp();
        while (plainTimes.Count == 0 || (plainTimes.Count < MostRounds && Stopwatch.GetElapsedTime(start) < Budget))
        {
            drafted = await model.GenerateAsync(prompt, options, cancellationToken).ConfigureAwait(false);
            draftedTimes.Add(drafted.Timing.Prefill + drafted.Timing.Decode);
            plain = await model.GenerateAsync(prompt, plainOptions, cancellationToken).ConfigureAwait(false);
            plainTimes.Add(plain.Timing.Prefill + plain.Timing.Decode);
            identical = identical && plain.Tokens.SequenceEqual(first.Tokens) && drafted.Tokens.SequenceEqual(first.Tokens);
        }
        return new PlainComparison(plainTimes.Count, Median(plainTimes), Median(draftedTimes), plain.Tokens.Count, drafted.Tokens.Count, identical);
    }

    private static TimeSpan Median(List<TimeSpan> times)
    {
        times.Sort();
        return (times[(times.Count - 1) / 2] + times[times.Count / 2]) / 2;
    }

    private static double Rate(int tokens, TimeSpan time) => time > TimeSpan.Zero ? tokens / time.TotalSeconds : 0;
}
