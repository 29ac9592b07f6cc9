using static TorchSharp.torch;

namespace Slipstream.Distillation.Losses;

/// <summary>What a teacher said at some positions: its most likely tokens, and all others as one outcome, the bucket.</summary>
/// <remarks>The probabilities are those after the temperature: it cannot be applied afterwards, since a bucket does not tell how its mass is spread.</remarks>
/// <param name="Tokens">Token ids, int64 <c>[rows, k]</c>, no id twice in a row.</param>
/// <param name="LogProbabilities">Their log-probabilities, float32 <c>[rows, k]</c>.</param>
/// <param name="Rest">The probability of all other tokens together, float32 <c>[rows]</c>; 0 where there are none.</param>
/// <param name="Absent">True where a place holds no token, bool <c>[rows, k]</c>, for its token went into the bucket; null where all do.</param>
internal sealed record TeacherTargets(Tensor Tokens, Tensor LogProbabilities, Tensor Rest, Tensor? Absent = null) : IDisposable
{
    /// <summary>Some of the rows: views.</summary>
    public TeacherTargets Rows(long from, long count) => new(Tokens.narrow(0, from, count), LogProbabilities.narrow(0, from, count), Rest.narrow(0, from, count), Absent?.narrow(0, from, count));

    /// <summary>The same for a student whose head has not rows for all tokens: ids become rows of the head, and the tokens without a row go into the bucket, of which the student is asked as a whole.</summary>
    /// <param name="rows">The row of each token, int64 <c>[rows, k]</c>, below 0 where there is none.</param>
    public TeacherTargets For(Tensor rows)
    {
        Tensor absent = rows.lt(0);
        Tensor moved = LogProbabilities.exp().masked_fill(absent.logical_not(), 0).sum(-1);
        return new TeacherTargets(rows.clamp_min(0), LogProbabilities.masked_fill(absent, Nothing), Rest + moved, absent);
    }

    /// <summary>The logarithm that stands for no chance, on both sides: such a place adds 10⁻¹³ to a divergence at most, and has no gradient.</summary>
    public const float Nothing = -30;

    /// <inheritdoc/>
    public void Dispose()
    {
        Tokens.Dispose();
        LogProbabilities.Dispose();
        Rest.Dispose();
        Absent?.Dispose();
    }
}
