using System.Collections.Immutable;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>The tokens of a head that has not rows for all: each row of logits is computed at the beginning of its own memory, then put at its tokens' places, and all other tokens get −∞.</summary>
/// <remarks>Source: the frequency-ranked drafting of FR-Spec (arXiv:2502.14856): a small draft of a large vocabulary spends most of its time on rows of the head that it hardly ever drafts.</remarks>
/// <param name="tokens">Ids, ascending.</param>
internal sealed class OutputVocabulary(ImmutableArray<int> tokens)
{
    private readonly float[] _row = new float[tokens.Length];

    /// <summary>Where the head's product goes, <c>[rows, tokens]</c>.</summary>
    public Matrix Narrow(Matrix logits) => new(logits.Data, logits.Rows, tokens.Length, logits.Stride);

    /// <summary>Puts what the product left there into its places, <c>[rows, vocabulary]</c>.</summary>
    public void Widen(Matrix logits)
    {
        ReadOnlySpan<int> ids = tokens.AsSpan();
        for (int row = 0; row < logits.Rows; row++)
        {
            Span<float> wide = logits[row];
            wide[..ids.Length].CopyTo(_row);
            wide.Fill(float.NegativeInfinity);
            for (int i = 0; i < ids.Length; i++) wide[ids[i]] = _row[i];
        }
    }
}
