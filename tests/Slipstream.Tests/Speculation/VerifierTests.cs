using Slipstream.Numerics;
using Slipstream.Sampling;
using Slipstream.Speculation;

namespace Slipstream.Tests.Speculation;

public sealed class VerifierTests
{
    private static readonly IVerifier[] Verifiers = [RejectionVerifier.Instance, CoupledVerifier.Instance];

    [Fact]
    public void Coupled_output_is_plain_sampling_of_the_seed_whatever_the_tree()
    {
        using SyntheticDecoding decoding = new(9, 5);
        Random shape = new(17);
        int accepted = 0;
        for (int seed = 0; seed < 2000; seed++)
        {
            TokenRandom random = new((ulong)seed, seed % 4);
            int[] plain = decoding.Decode(CoupledVerifier.Instance, [], Siblings.Distinct, random, 8).ToArray();
            int[] any = decoding.DecodeWithAnyTree(CoupledVerifier.Instance, shape, random, 8)[..8].ToArray();
            accepted += decoding.Accepted;
            Assert.Equal(plain, any);
            Siblings siblings = (Siblings)(seed % 3);
            Assert.Equal(plain, decoding.Decode(CoupledVerifier.Instance, [1 + seed % 3, 1 + seed % 2, 1], siblings, random, 8)[..8].ToArray());
        }
        Assert.True(accepted > 100);
    }

    [Fact]
    public void Greedy_rows_give_the_best_tokens_whatever_the_tree_and_the_seed()
    {
        using SyntheticDecoding decoding = new(9, 6);
        decoding.MakeGreedy();
        Random shape = new(18);
        List<int> expected = [];
        for (int i = 0, after = -1; i < 8; i++) expected.Add(after = Array.IndexOf(decoding.P(after), 1f));
        foreach (IVerifier verifier in Verifiers)
            for (int seed = 0; seed < 1000; seed++)
            {
                TokenRandom random = new((ulong)seed, 0);
                Assert.Equal(expected, decoding.DecodeWithAnyTree(verifier, shape, random, 8)[..8].ToArray());
                Assert.Equal(expected, decoding.Decode(verifier, [2, 1, 2], (Siblings)(seed % 3), random, 8)[..8].ToArray());
            }
    }

    [Fact]
    public void A_draft_equal_to_the_target_is_always_accepted()
    {
        using SyntheticDecoding decoding = new(20, 7, closeness: 1);
        foreach (IVerifier verifier in Verifiers)
            for (int seed = 0; seed < 2000; seed++)
            {
                decoding.Decode(verifier, [1, 1, 1, 1], Siblings.Distinct, new TokenRandom((ulong)seed, 0), 1);
                Assert.Equal((4, 4), (decoding.Accepted, decoding.Evaluated));
            }
    }

    [Fact]
    public void Accepted_and_evaluated_nodes_are_counted_along_the_walk()
    {
        // Greedy target: 2, then 1, then 0. Node 0 fails, node 1 stands; its children 3 (fails) and 4 (stands); node 2 and node 5 are never tried.
        DraftTree tree = new(3);
        tree.Add(0, -1);
        tree.Add(2, -1);
        tree.Add(1, -1);
        tree.Add(0, 1);
        tree.Add(1, 1);
        tree.Add(1, 0);
        float[] rows = new float[7 * 3];
        (rows[2], rows[2 * 3 + 1], rows[5 * 3 + 0]) = (1, 1, 1);
        foreach (IVerifier verifier in Verifiers)
        {
            int[] accepted = new int[6];
            int token = verifier.Verify(tree, new Matrix([.. rows], 7, 3), new TokenRandom(1, 0), 5, accepted, out int count, out int evaluated);
            Assert.Equal((0, 2, 4), (token, count, evaluated));
            Assert.Equal([1, 4], accepted[..2]);
        }
    }

    [Fact]
    public void A_residual_of_nothing_falls_back_to_the_target()
    {
        // q claims more than p everywhere, which rounding can bring about: the drafted token may be refused, and nothing is left.
        DraftTree tree = new(2);
        int row = tree.AddRow();
        tree.Row(row).Fill(1);
        tree.Add(0, -1, row);
        long ones = 0;
        for (int seed = 0; seed < 4000; seed++)
        {
            int token = RejectionVerifier.Instance.Verify(tree, new Matrix(new float[] { 0, 1, 0.5f, 0.5f }, 2, 2), new TokenRandom((ulong)seed, 0), 0, new int[1], out int count, out _);
            Assert.Equal((1, 0), (token, count));
            token = RejectionVerifier.Instance.Verify(tree, new Matrix(new float[] { 0.5f, 0.5f, 0.5f, 0.5f }, 2, 2), new TokenRandom((ulong)seed, 0), 0, new int[1], out count, out _);
            if (count == 0) ones += token;
        }
        Assert.InRange(ones, 800, 1200);
        tree.Release();
    }

    [Fact]
    public void Pruning_never_changes_the_coupled_choice()
    {
        Random random = new(9);
        for (int round = 0; round < 400; round++)
        {
            int vocabulary = round < 300 ? 1 + round % 75 : 5000 + round;
            float[] p = [.. Enumerable.Range(0, vocabulary).Select(_ => random.Next(3) == 0 ? 0 : MathF.Exp(random.NextSingle() * 20 - 20))];
            // Stretches of zeros too, at any place and to the end: they are passed over many at a time.
            for (int gap = 0; gap < round % 4; gap++)
            {
                int start = random.Next(vocabulary);
                Array.Clear(p, start, Math.Min(vocabulary - start, random.Next(700)));
            }
            p[random.Next(vocabulary)] += 0.1f;
            TokenRandom keyed = new((ulong)round, 1);
            int expected = -1;
            double best = double.PositiveInfinity;
            for (int token = 0; token < vocabulary; token++)
            {
                double time = keyed.Exponential(round, RandomPurpose.Coupling, token) / p[token];
                if (p[token] > 0 && time < best) (best, expected) = (time, token);
            }
            Assert.Equal(expected, CoupledVerifier.Choose(p, keyed, round));
        }
    }

    [Fact]
    public void The_inverse_cdf_is_exact_at_its_steps_and_never_chooses_an_impossible_token()
    {
        float[] p = [0, 0.25f, 0, 0.5f, 0.25f, 0];
        Assert.Equal(1, Drawing.InverseCdf(p, 0));
        Assert.Equal(1, Drawing.InverseCdf(p, 0.2499999));
        Assert.Equal(3, Drawing.InverseCdf(p, 0.25));
        Assert.Equal(4, Drawing.InverseCdf(p, 0.75));
        Assert.Equal(4, Drawing.InverseCdf(p, 1 - 1e-16));
        foreach (int only in new[] { 0, 1023, 1024, 2047, 2500 })
        {
            float[] point = new float[2501];
            point[only] = 1e-20f;
            for (double u = 0; u < 1; u += 0.2499999999) Assert.Equal(only, Drawing.InverseCdf(point, u));
        }
        float[] even = new float[5000];
        Array.Fill(even, 1f);
        for (int token = 0; token < even.Length; token += 7) Assert.Equal(token, Drawing.InverseCdf(even, (token + 0.5) / even.Length));
    }

    [Fact]
    public void Verifying_and_drawing_allocate_nothing()
    {
        const int vocabulary = 3000;
        DraftTree tree = new(vocabulary);
        float[] q = new float[vocabulary], rows = new float[4 * vocabulary];
        Array.Fill(q, 1f / vocabulary);
        for (int i = 0; i < rows.Length; i++) rows[i] = i % 2 * 2f / vocabulary;
        int[] accepted = new int[3];
        foreach (IVerifier verifier in Verifiers)
        {
            long before = 0;
            for (int round = 0; round < 50; round++)
            {
                if (round == 10) before = GC.GetAllocatedBytesForCurrentThread();
                TokenRandom random = new((ulong)round, 0);
                tree.Clear();
                for (int i = 0; i < 3; i++)
                {
                    int row = tree.AddRow();
                    q.CopyTo(tree.Row(row));
                    tree.Add(verifier.Draw(q, random, i), i - 1, row);
                }
                verifier.Verify(tree, new Matrix(rows, 4, vocabulary), random, 0, accepted, out _, out _);
            }
            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
            Assert.True(verifier.IsLossless);
        }
        tree.Release();
    }
}
