namespace Slipstream.Benchmarks;

/// <summary>Times of one generation.</summary>
/// <param name="First">From the text of the prompt to the first token.</param>
/// <param name="Rest">From the first token to the last.</param>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="Tokens">The generated tokens.</param>
internal sealed record GenerationTimes(TimeSpan First, TimeSpan Rest, int PromptTokens, IReadOnlyList<int> Tokens);

/// <summary>An engine with a loaded model and one sequence, timed by the same code as every other.</summary>
internal interface IContender : IDisposable
{
    /// <summary>Its name in the tables.</summary>
    string Name { get; }

    /// <summary>What it is and how it was set up, in a line.</summary>
    string Description { get; }

    /// <summary>Keeps the first <paramref name="rows"/> rows of the sequence.</summary>
    void Truncate(int rows);

    /// <summary>Appends tokens to the sequence in one forward pass and computes the logits of the last <paramref name="outputs"/> of them.</summary>
    void Forward(ReadOnlySpan<int> tokens, int outputs);

    /// <summary>The best token of an output row of the last pass.</summary>
    int Best(int output);

    /// <summary>Tokenizes a rendered prompt and continues it greedily by <paramref name="tokens"/> tokens, past end tokens.</summary>
    GenerationTimes Generate(string text, int tokens);

    /// <summary>Loads the model anew, generates one token and unloads it.</summary>
    /// <returns>From the path to the first token.</returns>
    TimeSpan LoadToFirstToken(string text);

    /// <summary>Stops threads that would wait for work by spinning, so that the other engine has the processors to itself.</summary>
    void Rest();
}

/// <summary>The index of the greatest float, as both engines' greedy loops need it.</summary>
internal static class Greatest
{
    /// <summary>The lowest index of the greatest element.</summary>
    public static int Index(ReadOnlySpan<float> values)
    {
        float best = float.NegativeInfinity;
        int width = System.Numerics.Vector<float>.Count, i = 0;
        System.Numerics.Vector<float> lanes = new(best);
        for (; i + width <= values.Length; i += width) lanes = System.Numerics.Vector.Max(lanes, new System.Numerics.Vector<float>(values[i..]));
        for (int lane = 0; lane < width; lane++) best = MathF.Max(best, lanes[lane]);
        for (; i < values.Length; i++) best = MathF.Max(best, values[i]);
        System.Numerics.Vector<float> wanted = new(best);
        for (i = 0; i + width <= values.Length && !System.Numerics.Vector.EqualsAny(wanted, new System.Numerics.Vector<float>(values[i..])); i += width) { }
        while (i < values.Length && values[i] != best) i++;
        return i < values.Length ? i : 0;
    }
}
