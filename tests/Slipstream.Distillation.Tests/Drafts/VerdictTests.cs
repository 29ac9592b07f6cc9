using Slipstream.Distillation.Drafts.Measuring;

namespace Slipstream.Distillation.Tests.Drafts;

public sealed class VerdictTests
{
    [Fact]
    public void The_formula_is_that_of_the_paper()
    {
        Assert.Equal(2.38, SpeculationModel.SpeedUp(0.6, 5, 0, 1), 2);
        Assert.Equal(4.0, SpeculationModel.TextbookBound(0.6, 5, 0), 10);
        Assert.Equal(6, SpeculationModel.TokensPerVerification(1, 5), 10);
        Assert.Equal(1, SpeculationModel.TokensPerVerification(0, 5), 10);
        for (double a = 0.05; a < 1; a += 0.05) Assert.Equal((1 - Math.Pow(a, 5)) / (1 - a), SpeculationModel.TokensPerVerification(a, 4), 10);
    }

    [Fact]
    public void A_gain_is_a_median_over_the_threshold_at_the_best_length()
    {
        DraftVerdict verdict = DraftVerdict.Of([Line(1, 0.7, 0.05, 1.1, 1.2, 1.3, 0.9), Line(4, 0.7, 0.05, 1.3, 1.5, 1.6, 1.1)]);
        Assert.True(verdict.Use);
        Assert.Equal((4, 1.5, "use it"), (verdict.Length, verdict.SpeedUp, verdict.Name));
        // A clock that was disturbed: nothing was accepted.
        Assert.False(DraftVerdict.Of([Line(1, 0, 0.05, 1.1, 1.45)]).Use);
        // Exactly the threshold is none.
        Assert.False(DraftVerdict.Of([Line(2, 0.7, 0.05, 1.1, DraftVerdict.Least)]).Use);
    }

    [Theory]
    // A draft as dear as its target, always right.
    [InlineData(1.0, 1.0, 1.2, 0.8, "the draft is too slow: even")]
    // Rows that are computed one after another.
    [InlineData(0.9, 0.01, 3.1, 0.7, "the verification is too dear: even")]
    // A good guesser that costs too much.
    [InlineData(0.69, 0.65, 1.3, 0.6, "the draft is too slow: c would")]
    [InlineData(0.1, 0.05, 1.3, 0.8, "the acceptance is too low: α would")]
    [InlineData(0.8, 0.05, 1.1, 0.9, "the formula sees a small gain, the clock does not")]
    public void No_gain_has_its_reason(double acceptance, double draftCost, double verifyCost, double speedUp, string reason)
    {
        DraftVerdict verdict = DraftVerdict.Of([Line(2, acceptance, draftCost, verifyCost, speedUp)]);
        Assert.Equal("no gain", verdict.Name);
        Assert.StartsWith(reason, verdict.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_draft_is_used_where_it_gains_at_every_temperature()
    {
        DraftLine greedy = Line(3, 0.8, 0.05, 1.2, 1.6), sampled = Line(3, 0.3, 0.05, 1.2, 0.98) with { Temperature = 0.8 };
        Assert.False(new DraftReport(new("d", "d"), 1, [greedy, sampled]).Use);
        Assert.True(new DraftReport(new("d", "d"), 1, [greedy, sampled with { SpeedUps = [1.1] }]).Use);
    }

    [Fact]
    public void Repeated_text_has_few_distinct_trigrams()
    {
        Assert.Equal(1, DraftMeasurement.TrigramShare([1, 2, 3, 4, 5]));
        Assert.Equal(0.5, DraftMeasurement.TrigramShare([7, 7, 7, 7])!.Value);
        Assert.Null(DraftMeasurement.TrigramShare([1, 2]));
    }

    private static DraftLine Line(int length, double acceptance, double draftCost, double verifyCost, params double[] speedUps) => new()
    {
        Temperature = 0, Length = length, Acceptance = acceptance, Efficiency = acceptance, TokensPerVerification = SpeculationModel.TokensPerVerification(acceptance, length), DraftCost = draftCost, VerifyCost = verifyCost, SpeedUps = speedUps,
    };
}
