namespace Slipstream.Sampling;

/// <summary>
/// Memory that a pipeline borrows for the length of one call. It belongs to the thread, not to the request: many requests over a large
/// vocabulary would otherwise hold megabytes each. Grows to the largest vocabulary seen.
/// </summary>
internal sealed class SamplingScratch
{
    [ThreadStatic] private static SamplingScratch? t_scratch;

    /// <summary>The thread's tokens still in the running.</summary>
    public Candidates Candidates { get; } = new();

    private int[] _counts = [];

    /// <summary>The calling thread's scratch.</summary>
    public static SamplingScratch ForThread => t_scratch ??= new();

    /// <summary>One count a token, all zero; the borrower gives them back zeroed.</summary>
    public Span<int> Counts(int vocabulary)
    {
        if (_counts.Length < vocabulary) _counts = new int[vocabulary];
        return _counts.AsSpan(0, vocabulary);
    }
}
