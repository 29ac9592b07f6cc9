namespace Slipstream.Distillation.Drafts.Measuring;

/// <summary>A draft at one temperature and draft length, over all prompts.</summary>
internal sealed record DraftLine
{
    /// <summary>The temperature of the sampling; 0 is greedy.</summary>
    public required double Temperature { get; init; }

    /// <summary>K, tokens drafted at once.</summary>
    public required int Length { get; init; }

    /// <summary>α: accepted / evaluated.</summary>
    public required double Acceptance { get; init; }

    /// <summary>Accepted / drafted.</summary>
    public required double Efficiency { get; init; }

    /// <summary>Tokens given / verifications.</summary>
    public required double TokensPerVerification { get; init; }

    /// <summary>c: the time of a drafted token over that of a plain step, medians.</summary>
    public required double DraftCost { get; init; }

    /// <summary>v: the time to verify K + 1 rows over that of a plain step, medians.</summary>
    public required double VerifyCost { get; init; }

    /// <summary>For each prompt, the tokens a second over those of plain decoding; each a median of the repeats.</summary>
    public required IReadOnlyList<double> SpeedUps { get; init; }

    /// <summary>The median over the prompts.</summary>
    public double SpeedUp => Median(SpeedUps);

    /// <summary>What the formula makes of α, c and v.</summary>
    public double Predicted => SpeculationModel.SpeedUp(Acceptance, Length, DraftCost, VerifyCost);

    /// <summary>The median; of an even number, the mean of the middle two; 0 of none.</summary>
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? 0 : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
