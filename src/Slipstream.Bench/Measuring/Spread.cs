namespace Slipstream.Bench;

/// <summary>Least, middle and greatest of what the rounds gave.</summary>
internal sealed record Spread(double Min, double Median, double Max)
{
    /// <summary>The spread of at least one value; the median of an even number of them is the mean of the middle two.</summary>
    public static Spread Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return new Spread(sorted[0], (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2, sorted[^1]);
    }

    /// <summary><c>median (min–max)</c> with three digits that count.</summary>
    public override string ToString() => $"{Format(Median)} ({Format(Min)}–{Format(Max)})";

    /// <summary>A number with three digits that count, without exponent.</summary>
    public static string Format(double value)
    {
        double size = Math.Abs(value);
        return value.ToString(size >= 100 ? "f0" : size >= 10 ? "f1" : size >= 1 ? "f2" : "f3", System.Globalization.CultureInfo.InvariantCulture);
    }
}
