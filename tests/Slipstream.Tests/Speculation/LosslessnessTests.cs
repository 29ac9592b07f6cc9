using Slipstream.Numerics;
using Slipstream.Sampling;
using Slipstream.Speculation;
using Slipstream.TestSupport;

namespace Slipstream.Tests.Speculation;

public sealed class LosslessnessTests
{
    private const int Draws = 60_000;

    public static TheoryData<int, int[], Siblings> Shapes => new()
    {
        { 8, [], Siblings.Distinct },
        { 8, [1], Siblings.Distinct },
        { 20, [1, 1], Siblings.Distinct },
        { 12, [1, 1, 1], Siblings.Best },
        { 30, [1, 1, 1, 1], Siblings.Distinct },
        { 8, [3], Siblings.Distinct },
        { 10, [2, 2], Siblings.Distinct },
        { 10, [3, 2], Siblings.Independent },
        { 16, [3, 2], Siblings.Best },
        { 9, [4, 1, 2], Siblings.Distinct },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void The_next_two_tokens_have_the_targets_joint_distribution(int vocabulary, int[] widths, Siblings siblings)
    {
        Assert.True(JointPValue(RejectionVerifier.Instance, vocabulary, widths, siblings) > 0.001, "rejection");
        Assert.True(JointPValue(CoupledVerifier.Instance, vocabulary, widths, siblings) > 0.001, "coupled");
    }

    [Theory]
    [InlineData(new[] { 1 })]
    [InlineData(new[] { 2, 2 })]
    public void A_verifier_that_draws_from_the_target_instead_of_the_residual_is_found_out(int[] widths) =>
        Assert.True(JointPValue(new WithoutResidual(), 8, widths, Siblings.Distinct) < 1e-6);

    [Fact]
    public void Siblings_drawn_with_one_random_number_are_found_out() =>
        Assert.True(JointPValue(new WithoutSiblingNumbers(), 8, [3], Siblings.Distinct) < 1e-6);

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.5)]
    [InlineData(0.95)]
    public void The_first_draft_is_accepted_as_often_as_theory_says(double closeness)
    {
        using SyntheticDecoding decoding = new(20, 11, closeness);
        double overlap = decoding.P(-1).Zip(decoding.Q(-1), (a, b) => (double)Math.Min(a, b)).Sum(), variation = 1 - overlap;
        double sigma = Math.Sqrt(overlap * (1 - overlap) / Draws);
        Assert.InRange(Rate(RejectionVerifier.Instance), overlap - 4 * sigma, overlap + 4 * sigma);
        Assert.InRange(Rate(CoupledVerifier.Instance), (1 - variation) / (1 + variation) - 4 * sigma, overlap + 4 * sigma);

        double Rate(IVerifier verifier)
        {
            long accepted = 0;
            for (int i = 0; i < Draws; i++)
            {
                decoding.Decode(verifier, [1], Siblings.Distinct, new TokenRandom((ulong)i, 0), 1);
                accepted += decoding.Accepted;
                Assert.Equal(1, decoding.Evaluated);
            }
            return (double)accepted / Draws;
        }
    }

    /// <summary>How well the first two tokens fit p(a) · p(b | a).</summary>
    private static double JointPValue(IVerifier verifier, int vocabulary, int[] widths, Siblings siblings)
    {
        using SyntheticDecoding decoding = new(vocabulary, 1000 + vocabulary);
        long[] counts = new long[vocabulary * vocabulary];
        double[] exact = new double[vocabulary * vocabulary];
        for (int a = 0; a < vocabulary; a++)
            for (int b = 0; b < vocabulary; b++) exact[a * vocabulary + b] = (double)decoding.P(-1)[a] * decoding.P(a)[b];
        for (int i = 0; i < Draws; i++)
        {
            ReadOnlySpan<int> tokens = decoding.Decode(verifier, widths, siblings, new TokenRandom((ulong)i, i % 3), 2);
            counts[tokens[0] * vocabulary + tokens[1]]++;
        }
        return ChiSquare.PValue(counts, exact);
    }

    /// <summary>The classic mistake: after a rejection, draw from p.</summary>
    private sealed class WithoutResidual : IVerifier
    {
        public bool IsLossless => false;

        public int Draw(ReadOnlySpan<float> q, in TokenRandom random, int position, int sibling = 0) => RejectionVerifier.Instance.Draw(q, random, position, sibling);

        public int Verify(DraftTree tree, Matrix target, in TokenRandom random, int position, Span<int> accepted, out int acceptedCount, out int evaluated)
        {
            float[] rows = target.Data[..(target.Rows * target.Columns)].ToArray();
            int token = RejectionVerifier.Instance.Verify(tree, target, random, position, accepted, out acceptedCount, out evaluated);
            int last = acceptedCount == 0 ? -1 : accepted[acceptedCount - 1];
            for (int node = last + 1; node < tree.Count; node++)
                if (tree.Parent(node) == last)
                    return Drawing.InverseCdf(rows.AsSpan((last + 1) * target.Columns, target.Columns), random.Uniform(position + acceptedCount, RandomPurpose.Residual));
            return token;
        }
    }

    private sealed class WithoutSiblingNumbers : IVerifier
    {
        public bool IsLossless => false;

        public int Draw(ReadOnlySpan<float> q, in TokenRandom random, int position, int sibling = 0) => RejectionVerifier.Instance.Draw(q, random, position);

        public int Verify(DraftTree tree, Matrix target, in TokenRandom random, int position, Span<int> accepted, out int acceptedCount, out int evaluated) =>
            RejectionVerifier.Instance.Verify(tree, target, random, position, accepted, out acceptedCount, out evaluated);
    }
}
