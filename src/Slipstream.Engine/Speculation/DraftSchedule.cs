namespace Slipstream.Speculation;

/// <summary>How many tokens to draft next; one a request, so one request's luck is not another's.</summary>
/// <remarks>A mutable value: keep it in a field, never in a readonly one. The heuristic is that of Hugging Face's <c>num_assistant_tokens_schedule</c>.</remarks>
public record struct DraftSchedule
{
    private readonly bool _adapts;
    private readonly int _limit;

    private DraftSchedule(int length, int limit, bool adapts) => (Length, _limit, _adapts) = (length, limit, adapts);

    /// <summary>Tokens to draft next.</summary>
    public int Length { get; private set; }

    /// <summary>Always <paramref name="length"/> tokens.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative.</exception>
    public static DraftSchedule Constant(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        return new(length, length, false);
    }

    /// <summary>Begins with <paramref name="length"/> tokens; two more after a draft that stood whole, one fewer, at least 1, after any other.</summary>
    /// <param name="length">The first length, at least 1.</param>
    /// <param name="limit">The largest length.</param>
    /// <exception cref="ArgumentOutOfRangeException">The length is under 1 or over the limit.</exception>
    public static DraftSchedule Heuristic(int length, int limit = int.MaxValue - 2)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, limit);
        return new(length, limit, true);
    }

    /// <summary>Learns how a draft fared. A step without a draft teaches nothing.</summary>
    public void Update(int drafted, int accepted)
    {
        if (!_adapts || drafted <= 0) return;
        Length = accepted >= drafted ? (int)Math.Min(_limit, Length + 2L) : Math.Max(1, Length - 1);
    }
}
