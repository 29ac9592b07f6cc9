using System.Globalization;

namespace Slipstream.Distillation.Drafts.Measuring;

/// <summary>Whether a draft is worth its while at one temperature.</summary>
/// <param name="Use">Whether the median speed-up over the prompts, at the best draft length, is over <see cref="Least"/>, and so are the tokens of a verification.</param>
/// <param name="Length">That draft length.</param>
/// <param name="SpeedUp">That speed-up.</param>
/// <param name="Reason">A sentence.</param>
internal sealed record DraftVerdict(bool Use, int Length, double SpeedUp, string Reason)
{
    /// <summary>The speed-up that must be exceeded.</summary>
    public const double Least = 1.02;

    // What good drafts of other families reach; to ask for more is to ask for the target itself.
    private const double Attainable = 0.85;

    /// <summary>The verdict as it is printed.</summary>
    public string Name => Use ? "use it" : "no gain";

    /// <summary>Judges the lines of one temperature.</summary>
    /// <param name="lines">One a draft length, at least one.</param>
    public static DraftVerdict Of(IReadOnlyList<DraftLine> lines)
    {
        DraftLine best = lines.MaxBy(line => line.SpeedUp)!;
        // Drafts gain by tokens a verification gives beyond the first: where there are none, a fast clock is noise.
        bool use = best.SpeedUp > Least && best.TokensPerVerification > Least;
        return new DraftVerdict(use, best.Length, best.SpeedUp, use ? Gain(best) : NoGain(best, lines));
    }

    private static string Gain(DraftLine line) => Invariant(
        $"{line.SpeedUp:0.00}x at K = {line.Length}: {line.TokensPerVerification:0.00} tokens a verification for the time of {line.Length * line.DraftCost + line.VerifyCost:0.00} plain steps");

    private static string NoGain(DraftLine best, IReadOnlyList<DraftLine> lines)
    {
        double perfect = Best(lines, 1), free = Best(lines, draftCost: 0), cheap = Best(lines, verifyCost: 1);
        string measured = Invariant($"at K = {best.Length}, α = {best.Acceptance:0.00}, c = {best.DraftCost:0.00} and v = {best.VerifyCost:0.00} make {best.Predicted:0.00}x, {best.SpeedUp:0.00}x measured");
        if (Best(lines) > Least) return $"the formula sees a small gain, the clock does not: {measured}";
        if (perfect <= Least)
        {
            string culprit = lines.Max(line => SpeculationModel.SpeedUp(1, line.Length, 0, line.VerifyCost)) > Least ? "the draft is too slow" : "the verification is too dear";
            return Invariant($"{culprit}: even a draft that is always right would bring {perfect:0.00}x ({measured})");
        }
        double needed = Needed(lines);
        string alternative = free > Least ? Invariant($", or a draft under c = {LargestDraftCost(lines):0.00}") : "";
        if (needed > Attainable && free > Least) return Invariant($"the draft is too slow: c would have to be under {LargestDraftCost(lines):0.00}, or α over {needed:0.00} ({measured})");
        if (needed > Attainable && cheap > Least) return Invariant($"the verification is too dear: with v = 1 it would bring {cheap:0.00}x ({measured})");
        return Invariant($"the acceptance is too low: α would have to be over {needed:0.00}{alternative} ({measured})");
    }

    /// <summary>The best that the formula gives over the draft lengths, with some of the numbers replaced.</summary>
    private static double Best(IReadOnlyList<DraftLine> lines, double? acceptance = null, double? draftCost = null, double? verifyCost = null)
        => lines.Max(line => SpeculationModel.SpeedUp(acceptance ?? line.Acceptance, line.Length, draftCost ?? line.DraftCost, verifyCost ?? line.VerifyCost));

    /// <summary>The least acceptance that would gain.</summary>
    private static double Needed(IReadOnlyList<DraftLine> lines) => Bisect(0, 1, acceptance => Best(lines, acceptance) > Least);

    /// <summary>The largest draft cost that would gain.</summary>
    private static double LargestDraftCost(IReadOnlyList<DraftLine> lines) => Bisect(0, lines.Max(line => line.DraftCost), cost => Best(lines, draftCost: cost) <= Least);

    private static double Bisect(double low, double high, Func<double, bool> reached)
    {
        for (int i = 0; i < 40; i++)
        {
            double middle = (low + high) / 2;
            if (reached(middle)) high = middle;
            else low = middle;
        }
        return high;
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
