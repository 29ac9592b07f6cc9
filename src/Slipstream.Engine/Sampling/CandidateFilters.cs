namespace Slipstream.Sampling;

/// <summary>A truncation of the distribution: drops candidates, and the rest is normalised anew.</summary>
internal interface ICandidateFilter
{
    /// <summary>Drops candidates; never all of them.</summary>
    void Apply(Candidates candidates);
}

/// <summary>Nucleus sampling: the smallest set of best tokens whose probability reaches p.</summary>
/// <remarks>Source: Holtzman et al. 2019, arXiv:1904.09751. Among equal scores the higher token is dropped first; in the reference library it is whichever its unstable sort puts last.</remarks>
internal sealed class TopPFilter(double p) : ICandidateFilter
{
    public void Apply(Candidates candidates) => candidates.KeepMass(p * candidates.Total);

    /// <summary>
    /// A score under which no token of the row can be kept: <paramref name="count"/> tokens, each with less than (1 − p) / count, together hold less
    /// than the 1 − p that is dropped.
    /// </summary>
    public float Floor(float best, double total, int count) => (float)(best + Math.Log(Math.Max(double.Epsilon, (1 - p) * total / count)) - 1e-3 - Math.Abs(best) * 1e-6);
}

/// <summary>Drops tokens less likely than a fraction of the best.</summary>
/// <remarks>Source: Nguyen et al. 2024, arXiv:2407.01082.</remarks>
internal sealed class MinPFilter(double minP) : ICandidateFilter
{
    // The best token, which no earlier filter drops, has weight 1.
    public void Apply(Candidates candidates) => candidates.KeepWeight((float)minP);

    /// <summary>A score under which no token can be kept.</summary>
    public float Floor(float best) => (float)(best + Math.Log(minP) - 1e-3 - Math.Abs(best) * 1e-6);
}

/// <summary>Locally typical sampling: the tokens whose surprise is nearest to the entropy, up to a probability mass.</summary>
/// <remarks>Source: Meister et al. 2022, arXiv:2202.00666.</remarks>
internal sealed class TypicalFilter(double mass) : ICandidateFilter
{
    public void Apply(Candidates candidates)
    {
        double center = Math.Log(candidates.Total) - candidates.Entropy();
        candidates.KeepNearest((float)center, mass * candidates.Total);
    }
}

/// <summary>Drops tokens less likely than epsilon.</summary>
/// <remarks>Source: Hewitt et al. 2022, arXiv:2210.15191.</remarks>
internal sealed class EpsilonFilter(double epsilon) : ICandidateFilter
{
    public void Apply(Candidates candidates) => candidates.KeepWeight(epsilon * candidates.Total);
}

/// <summary>Drops tokens less likely than <c>min(ε, √ε · exp(−entropy))</c>.</summary>
/// <remarks>Source: Hewitt et al. 2022, arXiv:2210.15191.</remarks>
internal sealed class EtaFilter(double epsilon) : ICandidateFilter
{
    public void Apply(Candidates candidates)
    {
        double eta = Math.Min(epsilon, Math.Sqrt(epsilon) * Math.Exp(-candidates.Entropy()));
        candidates.KeepWeight(eta * candidates.Total);
    }
}
