using System.Diagnostics;
using Slipstream.Models;

namespace Slipstream.Tests.Models;

public sealed class ThreadChoiceTests
{
    private static readonly long s_microsecond = Stopwatch.Frequency / 1_000_000;

    [Fact]
    public void What_is_fastest_is_found_among_many_threads_and_found_again_when_it_changes()
    {
        ThreadChoice choice = new(12); // Tries 1, 2, 4, 8 and 12.
        Assert.Equal(12, choice.For(1));
        Assert.Equal(2, Settle(choice, 1, threads => 100 + 40 * Math.Abs(threads - 2), out _));
        Assert.Equal(1, Settle(choice, 1, threads => 100 + 10 * threads, out _));
        Assert.Equal(12, Settle(choice, 1, threads => 990 / threads, out _));
        Assert.Equal(12, choice.For(3)); // Each number of rows is a matter of its own.
    }

    [Fact]
    public void Trials_are_rare_where_nothing_is_gained()
    {
        ThreadChoice choice = new(2);
        Assert.Equal(2, Settle(choice, 3, threads => 300 / threads, out int slow));
        Assert.InRange(slow, 1, 20_000 / 100);
    }

    [Fact]
    public void A_single_slow_pass_decides_nothing_and_a_gain_of_noise_neither()
    {
        ThreadChoice choice = new(2);
        int pass = 0;
        Assert.Equal(2, Settle(choice, 1, threads => ++pass % 7 == 0 ? 900 : threads == 2 ? 100 : 98, out _));
    }

    [Fact]
    public void Long_passes_and_many_rows_take_all_threads()
    {
        ThreadChoice choice = new(4);
        Assert.Equal(1, Settle(choice, 2, threads => 100 * threads, out _));
        Assert.Equal(4, Settle(choice, 2, threads => 3000, out _));
        Assert.Equal(4, Settle(choice, ThreadChoice.MostRows + 1, threads => 100 * threads, out int fewer));
        Assert.Equal(0, fewer);
        Assert.Equal(1, Settle(new ThreadChoice(1), 1, threads => 100, out _));
    }

    /// <summary>Makes passes that take so many microseconds, and returns the threads that are taken in the end and how many passes took others than that.</summary>
    private static int Settle(ThreadChoice choice, int rows, Func<int, int> microseconds, out int others)
    {
        List<int> taken = [];
        for (int pass = 0; pass < 20_000; pass++)
        {
            int threads = choice.For(rows);
            taken.Add(threads);
            choice.Took(rows, microseconds(threads) * s_microsecond);
        }
        int most = taken[^1000..].GroupBy(threads => threads).MaxBy(group => group.Count())!.Key;
        others = taken.Count(threads => threads != most);
        return most;
    }
}
