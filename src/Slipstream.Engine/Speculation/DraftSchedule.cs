namespace Slipstream.Speculation;

/// <summary>How many tokens to draft next; one a request, so one request's luck is not another's.</summary>
/// <remarks>A mutable value: keep it in a field, never in a readonly one. The heuristic is that of Hugging Face's <c>num_assistant_tokens_schedule</c>.</remarks>
public record struct DraftSchedule
{
    // A verification counts for four fifths of the next one: texts turn from copying to writing within a sentence. Before there are any, a draft's first token is taken to stand every other time, and one after it two times of three.
    private const double Keep = 0.8, FirstStood = 0.5, First = 1, NextStood = 0.67, Next = 1;

    // Where drafting does not pay, one token now and then tells whether it does by now; and where no step without a draft was measured, one such step tells what it takes.
    private const int Patience = 8;

    private readonly bool _adapts;
    private readonly int _limit;
    private readonly StepCosts? _costs;
    private double _firstStood = FirstStood, _first = First, _nextStood = NextStood, _next = Next;
    private int _waited;

    private DraftSchedule(int length, int limit, bool adapts, StepCosts? costs = null) => (Length, _limit, _adapts, _costs) = (length, limit, adapts, costs);

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

    /// <summary>
    /// Begins with <paramref name="limit"/> tokens until it is known what such steps take; then the number from none to it that promises the most tokens a second: from how the request's last drafts fared, and from what steps of so many rows take.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The limit is under 1.</exception>
    internal static DraftSchedule Measured(int limit, StepCosts costs)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        return new(limit, limit, true, costs);
    }

    /// <summary>Learns how a draft fared. A step without a draft teaches nothing but what it took.</summary>
    public void Update(int drafted, int accepted)
    {
        if (_costs is not null)
        {
            if (drafted > 0) Learn(drafted, accepted);
            Length = Best();
            return;
        }
        if (!_adapts || drafted <= 0) return;
        Length = accepted >= drafted ? (int)Math.Min(_limit, Length + 2L) : Math.Max(1, Length - 1);
    }

    private void Learn(int drafted, int accepted)
    {
        _firstStood = Keep * _firstStood + Math.Min(1, accepted);
        _first = Keep * _first + 1;
        // What was judged after the first: all that stood, and the one that did not.
        int judged = Math.Min(drafted, accepted + 1) - 1;
        if (judged == 0) return;
        _nextStood = Keep * _nextStood + accepted - 1;
        _next = Keep * _next + judged;
    }

    private int Best()
    {
        int sequences = _costs!.Sequences, best = 0;
        // A length that is not taken would never be known again.
        if (!_costs.Knows(sequences * (_limit + 1))) return _limit;
        double tokens = 1, stands = _firstStood / _first, most = 0;
        for (int length = 0; length <= _limit; length++)
        {
            double rate = tokens / _costs.Estimate(sequences * (length + 1));
            if (rate > most) (best, most) = (length, rate);
            tokens += stands;
            stands *= _nextStood / _next;
        }
        bool isCertain = best > 0 && _costs.Knows(sequences);
        _waited = isCertain ? 0 : _waited + 1;
        if (_waited < Patience) return best;
        _waited = 0;
        return best > 0 ? 0 : 1;
    }
}
