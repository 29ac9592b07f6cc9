namespace Slipstream.Distillation.Drafts.Measuring;

/// <summary>How drafts are measured. The defaults stand here and nowhere else.</summary>
internal sealed record MeasureOptions
{
    /// <summary>Draft lengths.</summary>
    public IReadOnlyList<int> Lengths { get; init; } = [1, 2, 3, 4, 5, 6];

    /// <summary>Temperatures; 0 is greedy.</summary>
    public IReadOnlyList<double> Temperatures { get; init; } = [0, 0.8];

    /// <summary>The most tokens of an answer.</summary>
    public int MaxTokens { get; init; } = 96;

    /// <summary>How often each is measured; medians count.</summary>
    public int Repeats { get; init; } = 3;

    /// <summary>The most prompts; further ones are left out.</summary>
    public int MaxPrompts { get; init; } = 16;

    /// <summary>Threads; 0 for one each processor.</summary>
    public int Threads { get; init; }

    /// <exception cref="SlipstreamException">A value is out of range.</exception>
    public MeasureOptions Checked()
    {
        if (Lengths.Count == 0 || Lengths.Any(length => length is < 1 or > 64)) throw new SlipstreamException("The draft lengths must be one or more numbers from 1 to 64.");
        if (Temperatures.Count == 0 || Temperatures.Any(t => !(t >= 0) || double.IsInfinity(t))) throw new SlipstreamException("The temperatures to measure must be one or more numbers of at least 0.");
        if (MaxTokens < 4) throw new SlipstreamException($"The most tokens of an answer are {MaxTokens}; they must be at least 4, or there is nothing to time.");
        if (Repeats < 1) throw new SlipstreamException($"The number of repeats is {Repeats}; it must be at least 1.");
        if (MaxPrompts < 1) throw new SlipstreamException($"The number of prompts is {MaxPrompts}; it must be at least 1.");
        return this with { Lengths = [.. Lengths.Distinct().Order()], Temperatures = [.. Temperatures.Distinct().Order()] };
    }
}
