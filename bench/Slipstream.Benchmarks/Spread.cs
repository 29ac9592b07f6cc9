using System.Globalization;

namespace Slipstream.Benchmarks;

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
        return value.ToString(size >= 100 ? "f0" : size >= 10 ? "f1" : size >= 1 ? "f2" : "f3", CultureInfo.InvariantCulture);
    }
}

/// <summary>One line of a table: what the rounds gave for both engines.</summary>
/// <param name="Name">What was measured.</param>
/// <param name="Unit">Its unit.</param>
/// <param name="Ours">One value a round.</param>
/// <param name="Peer">One value a round; empty where there is no peer.</param>
/// <param name="LowerIsBetter">Whether it is a time or a cost.</param>
internal sealed record Measurement(string Name, string Unit, IReadOnlyList<double> Ours, IReadOnlyList<double> Peer, bool LowerIsBetter)
{
    /// <summary>How many times better we were, round by round; null without a peer.</summary>
    public Spread? Gain => Peer.Count == 0 ? null : Spread.Of(Ours.Zip(Peer, (a, b) => LowerIsBetter ? b / a : a / b));
}
