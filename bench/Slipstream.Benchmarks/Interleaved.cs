namespace Slipstream.Benchmarks;

/// <summary>Something both engines are made to do, timed by the same code.</summary>
/// <param name="Names">What each value is.</param>
/// <param name="Unit">The values' unit.</param>
/// <param name="LowerIsBetter">Whether they are times.</param>
/// <param name="Measure">Does it once with an engine and gives one value a name.</param>
internal sealed record Scenario(IReadOnlyList<string> Names, string Unit, bool LowerIsBetter, Func<IContender, double[]> Measure);

/// <summary>Runs scenarios in rounds, the two engines in turn, so that what the machine does to one it does to both.</summary>
internal static class Interleaved
{
    private const int WarmUps = 2;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(15);

    /// <summary>Runs two rounds that do not count (code is compiled, memory touched) and then <paramref name="rounds"/> that do.</summary>
    /// <param name="scenarios">What is done in each round, in order.</param>
    /// <param name="ours">Our engine.</param>
    /// <param name="peer">The other, or null.</param>
    /// <param name="rounds">How many.</param>
    /// <param name="eachRound">Called before each round that counts.</param>
    public static List<Measurement> Run(IReadOnlyList<Scenario> scenarios, IContender ours, IContender? peer, int rounds, Action eachRound)
    {
        List<double>[][] own = New(), others = New();
        for (int round = -WarmUps; round < rounds; round++)
        {
            Console.Error.Write(round < 0 ? "\rwarming up …   " : $"\rround {round + 1} of {rounds} …   ");
            if (round >= 0) eachRound();
            for (int i = 0; i < scenarios.Count; i++)
            {
                // Who comes first changes, so that neither always finds the caches of the other.
                bool oursFirst = (round & 1) == 0;
                if (oursFirst) Once(ours, i, own);
                if (peer is not null) Once(peer, i, others);
                if (!oursFirst) Once(ours, i, own);
            }

            void Once(IContender contender, int i, List<double>[][] into)
            {
                double[] values = scenarios[i].Measure(contender);
                contender.Rest();
                Thread.Sleep(Pause);
                if (round < 0) return;
                for (int v = 0; v < values.Length; v++) into[i][v].Add(values[v]);
            }
        }
        Console.Error.WriteLine();
        return [.. scenarios.SelectMany((s, i) => s.Names.Select((name, v) => new Measurement(name, s.Unit, own[i][v], others[i][v], s.LowerIsBetter)))];

        List<double>[][] New() => [.. scenarios.Select(s => s.Names.Select(_ => new List<double>()).ToArray())];
    }
}
