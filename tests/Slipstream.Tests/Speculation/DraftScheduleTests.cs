using Slipstream.Speculation;

namespace Slipstream.Tests.Speculation;

public sealed class DraftScheduleTests
{
    [Fact]
    public void A_constant_schedule_never_changes()
    {
        DraftSchedule schedule = DraftSchedule.Constant(4);
        schedule.Update(4, 4);
        schedule.Update(4, 0);
        Assert.Equal(4, schedule.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => DraftSchedule.Constant(-1));
    }

    [Fact]
    public void The_heuristic_grows_by_two_and_shrinks_by_one_within_its_limits()
    {
        DraftSchedule schedule = DraftSchedule.Heuristic(2, 5);
        List<int> lengths = [];
        foreach ((int drafted, int accepted) in new[] { (2, 2), (4, 4), (5, 4), (4, 0), (0, 0), (3, 1), (2, 1), (1, 0), (1, 1) })
        {
            schedule.Update(drafted, accepted);
            lengths.Add(schedule.Length);
        }
        Assert.Equal([4, 5, 4, 3, 3, 2, 1, 1, 3], lengths);
        Assert.Throws<ArgumentOutOfRangeException>(() => DraftSchedule.Heuristic(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => DraftSchedule.Heuristic(6, 5));
    }

    [Fact]
    public void A_measured_schedule_drafts_all_it_may_while_that_stands_or_costs_nothing()
    {
        StepCosts costs = new();
        DraftSchedule schedule = DraftSchedule.Measured(5, costs);
        schedule.Update(0, 0);
        Assert.Equal(5, schedule.Length);
        Measure(costs, 1, 6, 1.6);
        Measure(costs, 1, 1, 1);
        for (int i = 0; i < 20; i++)
        {
            schedule.Update(5, 5);
            Assert.Equal(5, schedule.Length);
        }
        // Nothing stands, but six rows take no longer than one.
        StepCosts free = new();
        Measure(free, 1, 1, 1);
        Measure(free, 1, 6, 1);
        schedule = DraftSchedule.Measured(5, free);
        for (int i = 0; i < 20; i++) schedule.Update(5, 0);
        Assert.Equal(5, schedule.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => DraftSchedule.Measured(0, costs));
    }

    [Fact]
    public void A_measured_schedule_stops_where_drafts_fail_and_comes_back()
    {
        StepCosts costs = new();
        Measure(costs, 1, 1, 1);
        Measure(costs, 1, 6, 1.6);
        DraftSchedule schedule = DraftSchedule.Measured(5, costs);
        List<int> lengths = [];
        for (int i = 0; i < 40; i++)
        {
            schedule.Update(schedule.Length, 0);
            lengths.Add(schedule.Length);
        }
        // Fewer, then none, but for a token every eighth time.
        Assert.True(lengths[0] < 5, $"{lengths[0]}");
        Assert.Equal(0, lengths[10]);
        Assert.Equal([1, 1], lengths.Skip(10).Where(length => length > 0).Take(2));
        Assert.InRange(lengths.Skip(10).Count(length => length > 0), 3, 4);
        // Text that repeats again is found out by that token.
        for (int i = 0; i < 40; i++) schedule.Update(schedule.Length, schedule.Length);
        Assert.Equal(5, schedule.Length);
    }

    [Fact]
    public void A_measured_schedule_takes_the_length_of_the_most_tokens_a_second()
    {
        // One of two first tokens stands and nothing after it: a second row that costs a tenth pays, a third does not.
        StepCosts costs = new();
        for (int rows = 1; rows <= 6; rows++) Measure(costs, 1, rows, 1 + 0.1 * (rows - 1));
        DraftSchedule schedule = DraftSchedule.Measured(5, costs);
        for (int i = 0; i < 40; i++) schedule.Update(2, i % 2);
        Assert.Equal(1, schedule.Length);
        // Beside seven other sequences each drafted token costs eight rows.
        StepCosts batch = new();
        Measure(batch, 8, 8, 1);
        Measure(batch, 8, 48, 9);
        schedule = DraftSchedule.Measured(5, batch);
        for (int i = 0; i < 6; i++) schedule.Update(2, i % 2);
        Assert.Equal(0, schedule.Length);
    }

    [Fact]
    public void A_draft_that_always_costs_more_is_compared_with_none()
    {
        // A draft model's steps all have drafts: after some of them one has none, so that its cost is known.
        StepCosts costs = new();
        DraftSchedule schedule = DraftSchedule.Measured(3, costs);
        int without = 0;
        for (int i = 0; i < 200; i++)
        {
            int length = schedule.Length;
            costs.Add(1, length + 1, 1 + length);
            if (length == 0) without++;
            schedule.Update(length, length > 0 ? 1 : 0);
        }
        Assert.True(costs.Knows(1));
        Assert.InRange(without, 100, 199);
    }

    [Fact]
    public void Costs_are_measured_estimated_between_and_robust_to_a_step_that_was_held_up()
    {
        StepCosts costs = new();
        Assert.True(double.IsNaN(costs.Estimate(3)));
        // The first one is still being compiled.
        costs.Add(1, 2, 90);
        costs.Add(1, 2, 4);
        Assert.Equal(4, costs.Estimate(1));
        Assert.Equal(4, costs.Estimate(300));
        Measure(costs, 1, 6, 8);
        Assert.Equal(6, costs.Estimate(4));
        Assert.False(costs.Knows(4));
        Assert.False(costs.Knows(2));
        Measure(costs, 1, 2, 4);
        Assert.True(costs.Knows(2));
        costs.Add(1, 2, 1000);
        Assert.Equal(4.6, costs.Estimate(2), 1e-9);
        for (int i = 0; i < 600; i++) costs.Add(1, 2, 5);
        Assert.Equal(5, costs.Estimate(2), 1e-3);
        // Long ago.
        Assert.False(costs.Knows(6));
        costs.Add(4, 500, 1);
        Assert.Equal(4, costs.Sequences);
        Assert.True(costs.Knows(500));
        Assert.Equal(8, costs.Estimate(500));
    }

    private static void Measure(StepCosts costs, int sequences, int rows, double milliseconds)
    {
        for (int i = 0; i < 8; i++) costs.Add(sequences, rows, milliseconds);
    }
}
