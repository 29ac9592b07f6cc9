namespace Slipstream.Speculation;

/// <summary>What steps of so many rows take here, drafting included: measured as they go, for all requests of a model together. One thread uses it.</summary>
internal sealed class StepCosts
{
    /// <summary>Steps of more rows teach nothing.</summary>
    public const int MaxRows = 128;

    // The first steps of a number of rows are still being compiled: the least of them counts. Then a step that was held up counts as one that took twice as long as usual; what changes for good is learnt within some steps either way.
    private const int FirstSteps = 8;
    private const double NewestShare = 0.15, MostOfUsual = 2;

    // What was not measured for so many steps may have changed: the machine has other work, or the text is longer.
    private const int Fresh = 512;

    private readonly double[] _milliseconds = new double[MaxRows + 1];
    private readonly int[] _steps = new int[MaxRows + 1];
    private readonly long[] _last = new long[MaxRows + 1];
    private long _all;

    /// <summary>Sequences in the last step.</summary>
    public int Sequences { get; private set; } = 1;

    /// <summary>Learns what a step took that gave every one of its sequences tokens.</summary>
    public void Add(int sequences, int rows, double milliseconds)
    {
        Sequences = sequences;
        _all++;
        if (rows > MaxRows) return;
        double usual = _milliseconds[rows];
        _milliseconds[rows] = ++_steps[rows] == 1 ? milliseconds
            : _steps[rows] <= FirstSteps ? Math.Min(usual, milliseconds)
            : usual + NewestShare * (Math.Min(milliseconds, MostOfUsual * usual) - usual);
        _last[rows] = _all;
    }

    /// <summary>Whether steps of so many rows, or of up to a quarter fewer, were measured often enough, and lately; of more than are measured always.</summary>
    public bool Knows(int rows)
    {
        if (rows > MaxRows) return true;
        for (int few = rows; 4 * few >= 3 * rows; few--)
            if (_steps[few] >= FirstSteps && _all - _last[few] < Fresh) return true;
        return false;
    }

    /// <summary>What a step of so many rows takes: as measured, else on the line between the nearest numbers of rows that were, else as the nearest; NaN where nothing was measured.</summary>
    public double Estimate(int rows)
    {
        int below = Math.Min(rows, MaxRows), above = below;
        while (below > 0 && _steps[below] == 0) below--;
        while (above <= MaxRows && _steps[above] == 0) above++;
        if (below == 0 && above > MaxRows) return double.NaN;
        if (below == 0 || above > MaxRows || above == below) return _milliseconds[below == 0 ? above : below];
        return _milliseconds[below] + (_milliseconds[above] - _milliseconds[below]) * (rows - below) / (above - below);
    }
}
