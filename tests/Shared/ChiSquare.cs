namespace Slipstream.TestSupport;

/// <summary>Pearson's goodness-of-fit test.</summary>
internal static class ChiSquare
{
    /// <summary>
    /// The probability of a misfit at least as large as the one observed, if the counts came from these probabilities. Cells that expect fewer
    /// than five are pooled; a count where the probability is 0 gives 0.
    /// </summary>
    public static double PValue(ReadOnlySpan<long> counts, ReadOnlySpan<double> probabilities)
    {
        if (counts.Length != probabilities.Length) throw new ArgumentException("Counts and probabilities differ in number.");
        long draws = 0;
        double mass = 0;
        foreach (long count in counts) draws += count;
        foreach (double p in probabilities) mass += p;
        double statistic = 0, pooledExpected = 0;
        long pooledCount = 0;
        int cells = 0;
        for (int i = 0; i < counts.Length; i++)
        {
            double expected = draws * probabilities[i] / mass;
            if (expected == 0 && counts[i] > 0) return 0;
            if (expected < 5)
            {
                pooledExpected += expected;
                pooledCount += counts[i];
                continue;
            }
            statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
            cells++;
        }
        // A pool too small for the approximation would raise false alarms.
        if (pooledExpected >= 1)
        {
            statistic += (pooledCount - pooledExpected) * (pooledCount - pooledExpected) / pooledExpected;
            cells++;
        }
        return cells < 2 ? 1 : UpperGamma((cells - 1) / 2.0, statistic / 2);
    }

    /// <summary>The regularised upper incomplete gamma function Q(a, x): by its series, or its continued fraction by Lentz's method.</summary>
    internal static double UpperGamma(double a, double x)
    {
        if (x <= 0) return 1;
        double front = Math.Exp(a * Math.Log(x) - x - LogGamma(a));
        if (x < a + 1)
        {
            double term = 1 / a, sum = term;
            for (int n = 1; n < 10_000 && Math.Abs(term) > Math.Abs(sum) * 1e-16; n++) sum += term *= x / (a + n);
            return 1 - front * sum;
        }
        double b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
        for (int n = 1; n < 10_000; n++)
        {
            double numerator = -n * (n - a);
            b += 2;
            d = 1 / Guard(numerator * d + b);
            c = Guard(b + numerator / c);
            double step = c * d;
            h *= step;
            if (Math.Abs(step - 1) < 1e-15) break;
        }
        return front * h;
    }

    private static double Guard(double value) => Math.Abs(value) < 1e-300 ? 1e-300 : value;

    /// <summary>ln Γ by Lanczos' approximation (g = 7, nine terms).</summary>
    private static double LogGamma(double x)
    {
        ReadOnlySpan<double> c =
        [
            0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
            12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
        ];
        if (x < 0.5) return Math.Log(Math.PI / Math.Abs(Math.Sin(Math.PI * x))) - LogGamma(1 - x);
        double sum = c[0], t = x + 6.5;
        for (int i = 1; i < c.Length; i++) sum += c[i] / (x - 1 + i);
        return 0.5 * Math.Log(2 * Math.PI) + (x - 0.5) * Math.Log(t) - t + Math.Log(sum);
    }
}
