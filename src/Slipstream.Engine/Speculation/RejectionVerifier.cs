using Slipstream.Numerics;
using Slipstream.Sampling;

namespace Slipstream.Speculation;

/// <summary>
/// Speculative sampling by rejection: a draft x of q stands with probability min(1, p(x) / q(x)); after a rejection p becomes
/// norm(max(0, p − q)), siblings are tried in turn, and when all fail the token is drawn from what is left.
/// </summary>
/// <remarks>Sources: Leviathan et al. 2022, arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318; siblings as in SpecInfer, arXiv:2305.09781.</remarks>
public sealed class RejectionVerifier : IVerifier
{
    /// <summary>The verifier; it has no state.</summary>
    public static RejectionVerifier Instance { get; } = new();

    private RejectionVerifier() { }

    /// <inheritdoc/>
    public bool IsLossless => true;

    /// <inheritdoc/>
    public int Draw(ReadOnlySpan<float> q, in TokenRandom random, int position, int sibling = 0) =>
        Drawing.InverseCdf(q, random.Uniform(position, RandomPurpose.Draft, sibling));

    /// <inheritdoc/>
    public int Verify(DraftTree tree, Matrix target, in TokenRandom random, int position, Span<int> accepted, out int acceptedCount, out int evaluated)
    {
        acceptedCount = evaluated = 0;
        int current = -1;
        while (true)
        {
            Span<float> p = target[current + 1];
            int at = position + acceptedCount, next = -1;
            bool rejected = false;
            for (int node = current + 1; node < tree.Count; node++)
            {
                if (tree.Parent(node) != current) continue;
                evaluated++;
                int token = tree.Token(node);
                ReadOnlySpan<float> q = tree.Proposal(node);
                double proposed = q.IsEmpty ? 1 : q[token];
                // Strict, so that a token the target excludes never stands, not even at u = 0.
                if (random.Uniform(at, RandomPurpose.Accept, node) * proposed < p[token])
                {
                    next = node;
                    break;
                }
                rejected = true;
                Subtract(p, q, token);
            }
            if (next < 0)
                return Drawing.InverseCdf(p, random.Uniform(at, rejected ? RandomPurpose.Residual : RandomPurpose.Token));
            accepted[acceptedCount++] = current = next;
        }
    }

    /// <summary>Replaces p by norm(max(0, p − q)); leaves it where nothing is left but rounding.</summary>
    private static void Subtract(Span<float> p, ReadOnlySpan<float> q, int token)
    {
        if (q.IsEmpty)
        {
            float own = p[token];
            p[token] = 0;
            double others = RowMath.Sum(p);
            if (others > float.Epsilon * 1e8) RowMath.Scale(p, (float)(1 / others));
            else p[token] = own;
            return;
        }
        double left = RowMath.SumExcess(p, q);
        if (left > float.Epsilon * 1e8) RowMath.Excess(p, q, (float)(1 / left));
    }
}
