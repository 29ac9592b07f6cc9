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
}
