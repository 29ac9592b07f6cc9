namespace Slipstream.Distillation.Drafts.Measuring;

/// <summary>What speculation should bring, from three measured numbers. All times are in units of one plain decoding step.</summary>
/// <remarks>Source: Leviathan et al. 2022, arXiv:2211.17192, with the time of the verification measured instead of taken as 1.</remarks>
internal static class SpeculationModel
{
    /// <summary>Tokens of a verification: <c>(1 − α^(K+1)) / (1 − α)</c>, and <c>K + 1</c> at α = 1.</summary>
    /// <param name="acceptance">α, the chance that a judged token is accepted.</param>
    /// <param name="length">K, tokens drafted at once.</param>
    public static double TokensPerVerification(double acceptance, int length)
    {
        double tokens = 0, power = 1;
        for (int i = 0; i <= length; i++, power *= acceptance) tokens += power;
        return tokens;
    }

    /// <summary>The speed-up: tokens of a verification over <c>K c + v</c>.</summary>
    /// <param name="acceptance">α.</param>
    /// <param name="length">K.</param>
    /// <param name="draftCost">c, the time of a drafted token.</param>
    /// <param name="verifyCost">v, the time to verify K + 1 rows.</param>
    public static double SpeedUp(double acceptance, int length, double draftCost, double verifyCost)
        => TokensPerVerification(acceptance, length) / (length * draftCost + verifyCost);

    /// <summary>The textbook's <c>(1 + αK) / (1 + Kc)</c>: right where α means accepted / drafted and v is 1; for a per-token α a bound that is never met.</summary>
    public static double TextbookBound(double acceptance, int length, double draftCost) => (1 + acceptance * length) / (1 + length * draftCost);
}
