namespace Slipstream.Sampling;

/// <summary>
/// Adds biases to single tokens, and to the last token of a sequence where the tokens before it stand. With −∞ for a bias these are the bad words.
/// </summary>
/// <remarks>The reference library skips a sequence that is one token longer than the context; here it holds too, or a bad word could be completed.</remarks>
internal sealed class SequenceBiasProcessor : ILogitsProcessor
{
    private readonly int[] _tokens;
    private readonly float[] _biases;
    private readonly int[][] _sequences;
    private readonly float[] _sequenceBiases;

    /// <summary>Creates the processor; biases of the same token add up.</summary>
    public SequenceBiasProcessor(IEnumerable<(IReadOnlyList<int> Tokens, double Bias)> sequences)
    {
        SortedDictionary<int, float> single = [];
        List<int[]> longer = [];
        List<float> longerBiases = [];
        foreach ((IReadOnlyList<int> tokens, double bias) in sequences)
        {
            if (tokens.Count == 1)
                single[tokens[0]] = single.GetValueOrDefault(tokens[0]) + (float)bias;
            else
            {
                longer.Add([.. tokens]);
                longerBiases.Add((float)bias);
            }
        }
        (_tokens, _biases) = ([.. single.Keys], [.. single.Values]);
        (_sequences, _sequenceBiases) = ([.. longer], [.. longerBiases]);
    }

    public void Process(Span<float> logits, in TokenContext context)
    {
        for (int i = 0; i < _tokens.Length; i++) logits[_tokens[i]] += _biases[i];
        for (int i = 0; i < _sequences.Length; i++)
        {
            ReadOnlySpan<int> sequence = _sequences[i];
            if (context.EndsWith(sequence[..^1])) logits[sequence[^1]] += _sequenceBiases[i];
        }
    }
}
