namespace Slipstream.Numerics;

/// <summary>Work over the indices <c>[0, count)</c> that <see cref="ComputePool"/> hands out in ranges. Results may not depend on how the range is cut.</summary>
public interface IRangeJob
{
    /// <summary>Does the indices from <paramref name="from"/> up to but not including <paramref name="to"/>; <paramref name="worker"/> is below <see cref="ComputePool.Threads"/> and unique among ranges that run at the same time.</summary>
    void Execute(int from, int to, int worker);
}
