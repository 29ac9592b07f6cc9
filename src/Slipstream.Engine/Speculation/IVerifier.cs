using Slipstream.Numerics;
using Slipstream.Sampling;

namespace Slipstream.Speculation;

/// <summary>Decides which nodes of a draft tree stand. Stateless; thread-safe.</summary>
public interface IVerifier
{
    /// <summary>Whether the tokens are distributed exactly as without drafts.</summary>
    bool IsLossless { get; }

    /// <summary>
    /// Draws a draft token from <paramref name="q"/> for position <paramref name="position"/>: the drafter's half of the coupling.
    /// </summary>
    /// <param name="q"><c>[vocabulary]</c>: the distribution to draw from; for a later sibling, the one left after the drafter's own exclusions.</param>
    /// <param name="random">Random numbers keyed by position.</param>
    /// <param name="position">The position of the drafted token.</param>
    /// <param name="sibling">How many siblings were drawn before this one: their draws must be independent, or losslessness is lost.</param>
    int Draw(ReadOnlySpan<float> q, in TokenRandom random, int position, int sibling = 0);

    /// <summary>Walks the tree with the target's distributions and returns the token that follows the accepted nodes.</summary>
    /// <param name="tree">The draft.</param>
    /// <param name="target"><c>[tree.Count + 1, vocabulary]</c>: row 0 after the committed tokens, row i + 1 after node i. May be overwritten.</param>
    /// <param name="random">Random numbers keyed by position.</param>
    /// <param name="position">The position of the token that row 0 predicts.</param>
    /// <param name="accepted">Room for the accepted nodes, from the root down.</param>
    /// <param name="acceptedCount">How many were accepted.</param>
    /// <param name="evaluated">How many nodes were tried: accepted ones and rejected ones.</param>
    int Verify(DraftTree tree, Matrix target, in TokenRandom random, int position, Span<int> accepted, out int acceptedCount, out int evaluated);
}
