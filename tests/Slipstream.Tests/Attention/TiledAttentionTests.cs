using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Tests.Attention;

public sealed class TiledAttentionTests
{
    public static TheoryData<int, int, int, int> Shapes { get; } = new()
    {
        { 4, 4, 16, 0 }, { 4, 2, 24, 0 }, { 6, 1, 64, 0 }, { 3, 3, 7, 0 }, { 4, 2, 80, 9 }, { 9, 3, 64, 70 }, { 2, 1, 130, 1 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void A_chain_matches_the_definition(int heads, int kvHeads, int headSize, int window)
    {
        foreach ((int cached, int rows) in ((int, int)[])[(0, 1), (0, 40), (63, 1), (64, 3), (150, 17), (5, 130)])
        {
            Case c = Case.Random(heads, kvHeads, headSize, window, cached, [.. Enumerable.Range(-1, rows)], seed: cached + rows);
            float[] actual = c.Run(out long bytes);
            c.AssertClose(actual);
            Assert.Equal(c.ExpectedBytes(), bytes);
        }
    }

    [Fact]
    public void A_tree_row_sees_its_ancestors_alone()
    {
        // Two roots after the context, siblings below them, depths that differ.
        int[] parents = [-1, 0, 1, 1, 0, -1, 5, 6, 2, 3];
        foreach (int cached in (ReadOnlySpan<int>)[0, 3, 62, 64, 200])
        {
            Case c = Case.Random(4, 2, 32, 0, cached, parents, seed: 11 + cached);
            c.AssertClose(c.Run(out _));
        }
    }

    [Fact]
    public void A_tree_path_has_the_bits_of_the_same_chain()
    {
        int[] parents = [-1, 0, 0, 2, 1, 3, 3, 6];
        int[] path = [0, 2, 3, 6, 7];
        Case tree = Case.Random(4, 2, 48, 0, 61, parents, seed: 5), chain = tree.Restrict(path);
        float[] whole = tree.Run(out _), alone = chain.Run(out _);
        for (int i = 0; i < path.Length; i++)
            Assert.Equal(alone[(i * tree.Width)..((i + 1) * tree.Width)], whole[(path[i] * tree.Width)..((path[i] + 1) * tree.Width)]);
    }

    [Fact]
    public void Slots_threads_and_chunks_do_not_change_a_bit()
    {
        Case c = Case.Random(6, 2, 64, 0, 100, [.. Enumerable.Range(-1, 50)], seed: 3);
        float[] expected = c.Run(out _);
        Assert.Equal(expected, c.ShuffleSlots(9).Run(out _));
        Assert.Equal(expected, c.Run(out _, threads: 3));
        for (int row = 0; row < 50; row++)
            Assert.Equal(expected[(row * c.Width)..((row + 1) * c.Width)], c.Chunk(row).Run(out _));
    }

    [Fact]
    public void Positions_with_gaps_stay_where_they_were()
    {
        // Rows 10 to 19 and 70 to 79 of the context are gone; the tiles keep their places.
        Case full = Case.Random(2, 2, 16, 0, 90, [-1, 0, 1], seed: 8);
        Case cut = full.Drop(p => p is (>= 10 and < 20) or (>= 70 and < 80));
        cut.AssertClose(cut.Run(out _));
    }

    [Fact]
    public void Large_scores_do_not_overflow()
    {
        Case c = Case.Random(2, 2, 16, 0, 70, [-1], seed: 4, magnitude: 60);
        float[] actual = c.Run(out _);
        Assert.All(actual, x => Assert.True(float.IsFinite(x)));
        c.AssertClose(actual);
    }

    /// <summary>One sequence with everything attention needs.</summary>
    private sealed record Case(int Heads, int KvHeads, int HeadSize, int Window, int Cached, int[] Parents, int[] Slots, int[] Positions, float[] Queries, float[] Keys, float[] Values)
    {
        public int Width => Heads * HeadSize;

        private int Rows => Parents.Length;

        public static Case Random(int heads, int kvHeads, int headSize, int window, int cached, int[] parents, int seed, float magnitude = 1)
        {
            Random random = new(seed);
            int slots = cached + parents.Length, stride = kvHeads * headSize;
            int[] positions = new int[slots];
            for (int i = 0; i < cached; i++) positions[i] = i;
            for (int i = 0; i < parents.Length; i++) positions[cached + i] = parents[i] < 0 ? cached : positions[cached + parents[i]] + 1;
            float[] Fill(int n) => [.. Enumerable.Range(0, n).Select(_ => magnitude * (float)(random.NextDouble() * 2 - 1))];
            return new Case(heads, kvHeads, headSize, window, cached, parents, [.. Enumerable.Range(0, slots)], positions, Fill(parents.Length * heads * headSize), Fill(slots * stride), Fill(slots * stride));
        }

        public float[] Run(out long bytes, int threads = 1)
        {
            using ComputePool pool = new(threads);
            using NativeBuffer<float> keys = new(Keys.Length), values = new(Values.Length);
            Keys.CopyTo(keys.Span(0, Keys.Length));
            Values.CopyTo(values.Span(0, Values.Length));
            float[] output = new float[Rows * Width];
            AttentionPlan plan = new();
            plan.Begin();
            plan.Add(0, Slots, Positions, Cached, Parents);
            TiledAttention attention = new(plan, new Matrix(Queries, Rows, Width), keys.Region, values.Region, new Matrix(output, Rows, Width), KvHeads, HeadSize, 1f / MathF.Sqrt(HeadSize), Window, pool.Counters);
            pool.For(ref attention, attention.Count);
            bytes = pool.Counters.KvBytes;
            return output;
        }

        public void AssertClose(float[] actual)
        {
            for (int row = 0; row < Rows; row++)
                for (int head = 0; head < Heads; head++)
                {
                    double[] expected = Definition(row, head);
                    for (int d = 0; d < HeadSize; d++) Assert.Equal(expected[d], actual[row * Width + head * HeadSize + d], 2e-5);
                }
        }

        public bool Sees(int row, int index)
        {
            int position = Positions[Cached + row];
            if (Window > 0 && Positions[index] <= position - Window) return false;
            if (index < Cached) return true;
            for (int at = row; at >= 0; at = Parents[at])
                if (at == index - Cached) return true;
            return false;
        }

        /// <summary>Bytes if every row that one of up to sixteen query rows sees is read once for them.</summary>
        public long ExpectedBytes()
        {
            long rows = 0;
            for (int first = 0; first < Rows; first += 16)
                rows += Enumerable.Range(0, Cached + Rows).Count(i => Enumerable.Range(first, Math.Min(16, Rows - first)).Any(r => Sees(r, i)));
            return rows * KvHeads * HeadSize * 2 * sizeof(float);
        }

        public Case ShuffleSlots(int seed)
        {
            int[] slots = [.. Slots];
            new Random(seed).Shuffle(slots);
            return this with { Slots = slots, Keys = Move(Keys, slots), Values = Move(Values, slots) };
        }

        /// <summary>The single row <paramref name="row"/> of a chain, with those before it cached.</summary>
        public Case Chunk(int row) => this with
        {
            Cached = Cached + row, Parents = [-1], Slots = Slots[..(Cached + row + 1)], Positions = Positions[..(Cached + row + 1)], Queries = Queries[(row * Width)..((row + 1) * Width)],
        };

        /// <summary>The rows of one path as a chain.</summary>
        public Case Restrict(int[] path) => this with
        {
            Parents = [.. Enumerable.Range(-1, path.Length)],
            Slots = [.. Slots[..Cached], .. path.Select(p => Slots[Cached + p])],
            Positions = [.. Positions[..Cached], .. path.Select(p => Positions[Cached + p])],
            Queries = [.. path.SelectMany(p => Queries[(p * Width)..((p + 1) * Width)])],
        };

        public Case Drop(Func<int, bool> dropped)
        {
            int[] kept = [.. Enumerable.Range(0, Cached).Where(i => !dropped(Positions[i]))], all = [.. kept, .. Enumerable.Range(Cached, Rows)];
            return this with { Cached = kept.Length, Slots = [.. all.Select(i => Slots[i])], Positions = [.. all.Select(i => Positions[i])] };
        }

        private float[] Move(float[] rows, int[] slots)
        {
            int stride = KvHeads * HeadSize;
            float[] moved = new float[rows.Length];
            for (int i = 0; i < slots.Length; i++) rows.AsSpan(Slots[i] * stride, stride).CopyTo(moved.AsSpan(slots[i] * stride));
            return moved;
        }

        private double[] Definition(int row, int head)
        {
            int stride = KvHeads * HeadSize, kv = head / (Heads / KvHeads) * HeadSize;
            List<(int Slot, double Score)> seen = [];
            for (int i = 0; i < Cached + Rows; i++)
            {
                if (!Sees(row, i)) continue;
                double score = 0;
                for (int d = 0; d < HeadSize; d++) score += (double)Queries[row * Width + head * HeadSize + d] * Keys[Slots[i] * stride + kv + d];
                seen.Add((Slots[i], score / Math.Sqrt(HeadSize)));
            }
            double max = seen.Max(s => s.Score), sum = seen.Sum(s => Math.Exp(s.Score - max));
            double[] result = new double[HeadSize];
            foreach ((int slot, double score) in seen)
                for (int d = 0; d < HeadSize; d++) result[d] += Math.Exp(score - max) / sum * Values[slot * stride + kv + d];
            return result;
        }
    }
}
