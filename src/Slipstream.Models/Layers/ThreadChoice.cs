using System.Diagnostics;

namespace Slipstream.Models;

/// <summary>
/// How many threads a short forward pass takes: where a layer lasts a few microseconds, handing rows from one processor to another can cost more than sharing the work saves, and how much it costs
/// differs between machines, and on some from second to second. So now and then a few passes are made with more or fewer, and what is faster stays. Results do not depend on it.
/// One for each model; not for two threads at a time.
/// </summary>
internal sealed class ThreadChoice
{
    /// <summary>The most rows of a pass that is short.</summary>
    internal const int MostRows = 8;

    /// <summary>Passes before a trial: at first, and after trials in which nothing was faster, each of which doubles them; they are few again when something was.</summary>
    internal const int LeastBetween = 120, MostBetween = 16 * LeastBetween;

    /// <summary>Passes of a trial; the first does not count: threads that come in late may have to be woken.</summary>
    internal const int Trial = 4;

    // What is over a millisecond is long enough to be shared.
    private static readonly long s_longest = Stopwatch.Frequency / 1000;

    // A trial must be faster by so much, or noise would decide.
    private const double Enough = 0.96;

    private readonly int[] _candidates;
    private readonly Kind[] _kinds;

    /// <summary>Begins with all threads.</summary>
    /// <param name="threads">All threads: 1, 2, 4 … and so many are tried.</param>
    public ThreadChoice(int threads)
    {
        List<int> candidates = [];
        for (int count = 1; count < threads; count *= 2) candidates.Add(count);
        _candidates = [.. candidates, threads];
        _kinds = [.. Enumerable.Range(0, MostRows).Select(_ => new Kind { Chosen = candidates.Count })];
    }

    /// <summary>The threads for a pass of so many rows.</summary>
    public int For(int rows) => rows > MostRows ? _candidates[^1] : _candidates[_kinds[rows - 1].Current];

    /// <summary>Learns how long the pass took, in ticks of <see cref="Stopwatch"/>.</summary>
    public void Took(int rows, long ticks)
    {
        if (rows > MostRows || _candidates.Length == 1) return;
        Kind kind = _kinds[rows - 1];
        kind.Passes++;
        if (kind.IsTrying)
        {
            Try(kind, ticks);
            return;
        }
        kind.Recent[kind.Passes % kind.Recent.Length] = ticks;
        if (kind.Passes < kind.Between) return;
        kind.Passes = 0;
        if (Median(kind.Recent) > s_longest)
        {
            kind.Chosen = _candidates.Length - 1;
            return;
        }
        kind.TriesFewer ^= true;
        int next = kind.Chosen + (kind.TriesFewer ? -1 : 1);
        // At an end there is one way only.
        if (next < 0 || next >= _candidates.Length) next = kind.Chosen + (kind.TriesFewer ? 1 : -1);
        kind.Trying = next;
    }

    private static void Try(Kind kind, long ticks)
    {
        if (kind.Passes > 1) kind.Tried[kind.Passes - 2] = ticks;
        if (kind.Passes < Trial) return;
        if (Median(kind.Tried) < Enough * Median(kind.Recent))
        {
            (kind.Chosen, kind.Between) = (kind.Trying, LeastBetween);
            Array.Fill(kind.Recent, Median(kind.Tried));
        }
        else
        {
            kind.Between = Math.Min(MostBetween, 2 * kind.Between);
        }
        (kind.Trying, kind.Passes) = (-1, 0);
    }

    private static long Median(long[] ticks)
    {
        Span<long> sorted = stackalloc long[ticks.Length];
        ticks.CopyTo(sorted);
        sorted.Sort();
        return sorted[sorted.Length / 2];
    }

    /// <summary>What is known of passes of one number of rows.</summary>
    private sealed class Kind
    {
        public int Chosen, Trying = -1, Passes, Between = LeastBetween;
        public bool TriesFewer;
        public readonly long[] Recent = new long[5], Tried = new long[Trial - 1];

        public bool IsTrying => Trying >= 0;

        public int Current => IsTrying ? Trying : Chosen;
    }
}
