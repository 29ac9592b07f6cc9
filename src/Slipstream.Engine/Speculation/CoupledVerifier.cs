using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Slipstream.Numerics;
using Slipstream.Sampling;

namespace Slipstream.Speculation;

/// <summary>
/// Drafter-invariant speculative sampling: with exponential noise E keyed by seed, sequence, position and token, the token is
/// argmin E(x) / p(x), which is a sample of p; a draft stands if it is that token. The output is plain sampling of the seed, whatever was drafted.
/// </summary>
/// <remarks>Source: Daliri, Musco and Suresh 2024, arXiv:2408.07978. Acceptance is at least (1 − TV) / (1 + TV), against 1 − TV for rejection.</remarks>
public sealed class CoupledVerifier : IVerifier
{
    // Most of a row is zero where the choice was greedy or the nucleus is small: so many are passed over at once.
    private const int Lanes = 8, Many = 64;

    /// <summary>The verifier; it has no state.</summary>
    public static CoupledVerifier Instance { get; } = new();

    private CoupledVerifier() { }

    /// <inheritdoc/>
    public bool IsLossless => true;

    /// <inheritdoc/>
    /// <remarks>Siblings share the noise, so the next sibling must be drawn from a distribution without those before it: it is the drafter's next best guess.</remarks>
    public int Draw(ReadOnlySpan<float> q, in TokenRandom random, int position, int sibling = 0) => Choose(q, random, position);

    /// <inheritdoc/>
    public int Verify(DraftTree tree, Matrix target, in TokenRandom random, int position, Span<int> accepted, out int acceptedCount, out int evaluated)
    {
        acceptedCount = evaluated = 0;
        int current = -1;
        while (true)
        {
            int token = Choose(target[current + 1], random, position + acceptedCount), next = -1;
            for (int node = current + 1; node < tree.Count && next < 0; node++)
            {
                if (tree.Parent(node) != current) continue;
                evaluated++;
                if (tree.Token(node) == token) next = node;
            }
            if (next < 0) return token;
            accepted[acceptedCount++] = current = next;
        }
    }

    /// <summary>argmin E(x) / p(x) over the tokens with p(x) > 0; the lowest token on ties.</summary>
    /// <remarks>
    /// E = −ln u is at least 1 − u, so a token can only win if 1 − u is under best · p(x): one comparison of vectors, and a logarithm for the
    /// few that pass. The bound is loosened by 1e-9 so that rounding never decides.
    /// </remarks>
    internal static int Choose(ReadOnlySpan<float> p, in TokenRandom random, int position)
    {
        ulong stream = random.StreamKey(RandomPurpose.Coupling), at = (ulong)(uint)position << 32;
        ref float r = ref MemoryMarshal.GetReference(p);
        double best = double.PositiveInfinity;
        int chosen = 0, i = 0;
        Vector512<ulong> lane = Vector512.Create(0UL, 1, 2, 3, 4, 5, 6, 7);
        for (; i + Lanes <= p.Length; i += Lanes)
        {
            if (i % Many == 0) i += PassZeros(p[i..]);
            if (i + Lanes > p.Length) break;
            Vector256<float> weights = Vector256.LoadUnsafe(ref r, (nuint)i);
            if (!Vector256.GreaterThanAny(weights, Vector256<float>.Zero)) continue;
            (Vector256<double> lower, Vector256<double> upper) = Vector256.Widen(weights);
            Vector512<ulong> bits = TokenRandom.Mix(Vector512.Create(stream) ^ (Vector512.Create(at | (uint)i) + lane));
            Vector512<double> u = (Vector512.ConvertToDouble(bits >>> 12) + Vector512.Create(0.5)) * Vector512.Create(TokenRandom.ExponentialScale);
            // A weight of 0 times an infinite best is NaN, which never passes.
            Vector512<double> bound = Vector512.Create(lower, upper) * Vector512.Create(best * (1 + 1e-9));
            ulong passed = Vector512.LessThan(Vector512<double>.One - u, bound).ExtractMostSignificantBits();
            for (; passed != 0; passed &= passed - 1)
            {
                int token = i + BitOperations.TrailingZeroCount(passed);
                Consider(token, p[token], random, position, ref best, ref chosen);
            }
        }
        for (; i < p.Length; i++)
            if (p[i] > 0) Consider(i, p[i], random, position, ref best, ref chosen);
        return chosen;
    }

    /// <summary>Elements before the first <see cref="Many"/> that are not all zero.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int PassZeros(ReadOnlySpan<float> p)
    {
        ref float r = ref MemoryMarshal.GetReference(p);
        nuint i = 0;
        while (i + Many <= (nuint)p.Length && IsZero(ref r, i)) i += Many;
        return (int)i;

        static bool IsZero(ref float r, nuint i) =>
            (Vector512.LoadUnsafe(ref r, i) + Vector512.LoadUnsafe(ref r, i + 16) + (Vector512.LoadUnsafe(ref r, i + 32) + Vector512.LoadUnsafe(ref r, i + 48))) == Vector512<float>.Zero;
    }

    private static void Consider(int token, float weight, in TokenRandom random, int position, ref double best, ref int chosen)
    {
        if (!(weight > 0)) return;
        double time = random.Exponential(position, RandomPurpose.Coupling, token) / weight;
        if (time < best) (best, chosen) = (time, token);
    }
}
