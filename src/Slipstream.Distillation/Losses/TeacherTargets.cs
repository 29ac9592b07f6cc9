using static TorchSharp.torch;

namespace Slipstream.Distillation.Losses;

/// <summary>What a teacher said at some positions: its most likely tokens, and all others as one outcome, the bucket.</summary>
/// <remarks>The probabilities are those after the temperature: it cannot be applied afterwards, since a bucket does not tell how its mass is spread.</remarks>
/// <param name="Tokens">Token ids, int64 <c>[rows, k]</c>, no id twice in a row.</param>
/// <param name="LogProbabilities">Their log-probabilities, float32 <c>[rows, k]</c>.</param>
/// <param name="Rest">The probability of all other tokens together, float32 <c>[rows]</c>; 0 where there are none.</param>
internal sealed record TeacherTargets(Tensor Tokens, Tensor LogProbabilities, Tensor Rest) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        Tokens.Dispose();
        LogProbabilities.Dispose();
        Rest.Dispose();
    }
}
