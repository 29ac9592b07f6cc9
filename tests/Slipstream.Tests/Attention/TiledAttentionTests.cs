using System.Runtime.InteropServices;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Tests.Attention;

public sealed class TiledAttentionTests
{
    public static TheoryData<int, int, int, int> Shapes { get; } = new()
    {
        { 4, 4, 16, 0 }, { 4, 2, 24, 0 }, { 6, 1, 64, 0 }, { 3, 3, 7, 0 }, { 4, 2, 80, 9 }, { 9, 3, 64, 70 }, { 2, 1, 130, 1 },
        { 5, 1, 4, 0 }, { 16, 2, 48, 0 }, { 7, 1, 36, 300 }, { 13, 1, 33, 0 }, { 1, 1, 1024, 0 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void A_chain_matches_the_definition(int heads, int kvHeads, int headSize, int window)
    {
        foreach ((int cached, int rows) in ((int, int)[])[(0, 1), (0, 40), (63, 1), (64, 3), (150, 17), (5, 130), (600, 1), (511, 6)])
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

    [Theory]
    [InlineData(CacheType.F32), InlineData(CacheType.F16), InlineData(CacheType.Q8)]
    public void A_tree_row_after_a_deeper_one_sees_its_own_window(CacheType type)
    {
        foreach (int cached in (ReadOnlySpan<int>)[3, 20, 60, 64, 200])
            foreach (int window in (ReadOnlySpan<int>)[2, 4, 7, 70])
            {
                Case c = Case.Random(4, 2, 32, window, cached, [-1, 0, 1, 2, 3, 0, 5, -1], seed: 21 + cached) with { Type = type };
                float[] actual = c.Run(out long bytes);
                c.Rounded().AssertClose(actual);
                Assert.Equal(c.ExpectedBytes(), bytes);
            }
    }

    [Theory]
    [InlineData(false), InlineData(true)]
    public void A_tree_path_has_the_bits_of_the_same_chain(bool rounds)
    {
        int[] parents = [-1, 0, 0, 2, 1, 3, 3, 6];
        int[] path = [0, 2, 3, 6, 7];
        Case tree = Case.Random(4, 2, 48, 0, 61, parents, seed: 5) with { Rounds = rounds }, chain = tree.Restrict(path);
        float[] whole = tree.Run(out _), alone = chain.Run(out _);
        for (int i = 0; i < path.Length; i++)
            Assert.Equal(alone[(i * tree.Width)..((i + 1) * tree.Width)], whole[(path[i] * tree.Width)..((path[i] + 1) * tree.Width)]);
    }

    [Theory]
    [InlineData(false), InlineData(true)]
    public void Slots_threads_and_chunks_do_not_change_a_bit(bool rounds)
    {
        Case c = Case.Random(6, 2, 64, 0, 100, [.. Enumerable.Range(-1, 50)], seed: 3) with { Rounds = rounds };
        float[] expected = c.Run(out _);
        Assert.Equal(expected, c.ShuffleSlots(9).Run(out _));
        Assert.Equal(expected, c.Run(out _, threads: 3));
        for (int row = 0; row < 50; row++)
            Assert.Equal(expected[(row * c.Width)..((row + 1) * c.Width)], c.Chunk(row).Run(out _));
    }

    [Theory]
    [InlineData(CacheType.F32, false), InlineData(CacheType.F16, false), InlineData(CacheType.Q8, false)]
    [InlineData(CacheType.F32, true), InlineData(CacheType.F16, true), InlineData(CacheType.Q8, true), InlineData(CacheType.Bf16, true)]
    public void Positions_shared_out_over_workers_do_not_change_a_bit(CacheType type, bool rounds)
    {
        foreach ((int heads, int kvHeads, int headSize, int window) in ((int, int, int, int)[])[(6, 2, 64, 0), (4, 4, 40, 0), (8, 1, 20, 300), (3, 1, 64, 100)])
            foreach (int[] parents in (int[][])[[-1], [-1, 0, 1, 2, 3, 4, 5], [-1, 0, 0, 2, 1, 3, 3, 6], [.. Enumerable.Range(-1, 70)]])
            {
                Case c = Case.Random(heads, kvHeads, headSize, window, 1020, parents, seed: 7) with { Type = type, Rounds = rounds };
                float[] whole = c.Run(out long bytes, workers: 1, contextLength: 0);
                Assert.Equal(whole, c.Run(out long shared, threads: 2, workers: 100));
                Assert.Equal(bytes, shared);
                Assert.Equal(c.ExpectedBytes(), bytes);
                for (int row = 0; row < parents.Length && parents[^1] == parents.Length - 2; row += 23)
                    Assert.Equal(whole[(row * c.Width)..((row + 1) * c.Width)], c.Chunk(row).Run(out _, workers: 100));
            }
    }

    [Theory]
    [InlineData(CacheType.F16), InlineData(CacheType.Q8)]
    public void A_rounded_cache_matches_the_definition_of_what_it_stores(CacheType type)
    {
        foreach (int headSize in (ReadOnlySpan<int>)[4, 7, 16, 24, 33, 64, 80, 128])
            foreach ((int cached, int rows) in ((int, int)[])[(0, 40), (63, 2), (300, 1), (130, 17)])
            {
                Case c = Case.Random(4, 2, headSize, 0, cached, [.. Enumerable.Range(-1, rows)], seed: headSize + rows) with { Type = type };
                float[] actual = c.Run(out long bytes);
                c.Rounded().AssertClose(actual);
                Assert.Equal(c.ExpectedBytes(), bytes);
                // And near the float cache: keys of up to 1 move scores by their rounding, values move results by theirs.
                double bound = type == CacheType.F16 ? 2e-3 : 2e-2;
                float[] exact = (c with { Type = CacheType.F32 }).Run(out _);
                Assert.All(exact.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, bound));
            }
    }

    [Theory]
    [InlineData(false), InlineData(true)]
    public void What_is_not_seen_takes_no_part_whatever_it_holds(bool rounds)
    {
        // A later row of the chunk that is not finite must not reach the rows before it, in any type.
        foreach (CacheType type in Enum.GetValues<CacheType>())
        {
            Case c = Case.Random(6, 2, 32, 0, 70, [.. Enumerable.Range(-1, 40)], seed: 12) with { Type = type, Rounds = rounds };
            float[] expected = c.Run(out _);
            int poisoned = 31, stride = c.KvHeads * c.HeadSize;
            float[] values = [.. c.Values];
            values.AsSpan(c.Slots[c.Cached + poisoned] * stride, stride).Fill(float.NaN);
            float[] actual = (c with { Values = values }).Run(out _);
            Assert.Equal(expected[..(poisoned * c.Width)], actual[..(poisoned * c.Width)]);
            Assert.All(actual[(poisoned * c.Width)..], x => Assert.True(float.IsNaN(x)));
        }
    }

    [Theory]
    [InlineData(KernelTier.Auto), InlineData(KernelTier.EmittedVectors), InlineData(KernelTier.Intrinsics)]
    public void Rounded_to_bfloat16_it_is_near_the_definition_of_what_was_rounded(KernelTier kernels)
    {
        SkipWithout(kernels);
        foreach ((int heads, int kvHeads, int headSize, int window) in ((int, int, int, int)[])[(9, 3, 64, 0), (4, 1, 80, 9), (6, 2, 7, 0), (8, 1, 128, 70), (3, 1, 48, 0), (1, 1, 33, 0)])
            foreach ((int cached, int rows) in ((int, int)[])[(0, 1), (0, 40), (63, 1), (64, 3), (5, 130), (600, 1), (511, 6)])
                foreach (CacheType type in Enum.GetValues<CacheType>())
                {
                    Case c = Case.Random(heads, kvHeads, headSize, window, cached, [.. Enumerable.Range(-1, rows)], seed: cached + rows) with { Type = type, Rounds = true, Kernels = kernels };
                    float[] actual = c.Run(out long bytes);
                    // Each weight of a value, which is at most 1, is off by half a step of 8 bits.
                    c.Rounded().InBfloat16().AssertClose(actual, 1 / 256.0);
                    Assert.Equal(c.ExpectedBytes(), bytes);
                }
    }

    [Fact]
    public void Rounded_to_bfloat16_a_tree_row_sees_its_ancestors_alone()
    {
        foreach (int cached in (ReadOnlySpan<int>)[0, 3, 62, 64, 200])
            foreach (int window in (ReadOnlySpan<int>)[0, 4])
            {
                Case c = Case.Random(6, 2, 32, window, cached, [-1, 0, 1, 1, 0, -1, 5, 6, 2, 3], seed: 11 + cached) with { Rounds = true };
                c.InBfloat16().AssertClose(c.Run(out _), 1 / 256.0);
                // A sibling that is not finite reaches those after it alone.
                int stride = c.KvHeads * c.HeadSize;
                float[] values = [.. c.Values], expected = c.Run(out _);
                values.AsSpan(c.Slots[c.Cached + 1] * stride, stride).Fill(float.PositiveInfinity);
                float[] actual = (c with { Values = values }).Run(out _);
                for (int row = 0; row < c.Parents.Length; row++)
                    for (int i = 0; i < c.Width; i++)
                        if (c.Sees(row, c.Cached + 1)) Assert.False(float.IsFinite(actual[row * c.Width + i]));
                        else Assert.Equal(expected[row * c.Width + i], actual[row * c.Width + i]);
            }
    }

    [Fact]
    public void Emitted_and_compiled_kernels_round_to_the_same_bits()
    {
        Assert.SkipUnless(EmittedKernels.IsAvailable && AttentionPairs.HasEmitted, $"{EmittedKernels.UnavailableReason ?? "the processor has no AVX512-BF16"}");
        foreach (int headSize in (ReadOnlySpan<int>)[4, 16, 33, 48, 64, 80, 128, 200])
            foreach ((int cached, int rows) in ((int, int)[])[(0, 70), (63, 1), (300, 5)])
                foreach (CacheType type in Enum.GetValues<CacheType>())
                {
                    Case c = Case.Random(6, 2, headSize, 0, cached, [.. Enumerable.Range(-1, rows)], seed: headSize + rows, magnitude: 3) with { Type = type, Rounds = true };
                    Assert.Equal((c with { Kernels = KernelTier.Intrinsics }).Run(out _), (c with { Kernels = KernelTier.EmittedVectors }).Run(out _));
                }
    }

    [Theory]
    [InlineData(KernelTier.Auto), InlineData(KernelTier.EmittedVectors), InlineData(KernelTier.Intrinsics)]
    public void A_cache_of_bfloat16_has_the_bits_of_rounding_when_read(KernelTier kernels)
    {
        SkipWithout(kernels);
        foreach ((int heads, int kvHeads, int headSize, int window) in ((int, int, int, int)[])[(9, 3, 64, 0), (4, 1, 80, 9), (6, 2, 7, 0), (8, 1, 128, 70), (2, 2, 48, 0), (1, 1, 33, 100)])
            foreach ((int cached, int[] parents) in ((int, int[])[])[(0, [-1]), (0, [.. Enumerable.Range(-1, 40)]), (63, [-1]), (70, [-1, 0, 1]), (300, [.. Enumerable.Range(-1, 130)]), (61, [-1, 0, 0, 2, 1, 3, 3, 6]), (200, [-1, 0, 1, 1, 0, -1, 5, 6, 2, 3])])
            {
                Case rounding = Case.Random(heads, kvHeads, headSize, window, cached, parents, seed: cached + headSize) with { Rounds = true, Kernels = kernels };
                float[] expected = rounding.Run(out _);
                Case c = rounding with { Type = CacheType.Bf16, Rounds = false };
                Assert.Equal(expected, c.Run(out long bytes));
                Assert.Equal(c.ExpectedBytes(), bytes);
                Assert.Equal(expected, c.Run(out _, threads: 2, workers: 100));
                // Rows that lie anywhere, one place further than in the tile, in groups in another order.
                Assert.Equal(expected, c.ShuffleSlots(9).Run(out _));
                Assert.Equal(expected, c.MoveSlots(i => i + 1).Run(out _));
                Assert.Equal(expected, c.MoveSlots(i => i + (i / 16 % 3) * 160).Run(out _, workers: 100));
                Case gaps = rounding.Drop(p => p is (>= 10 and < 20) or (>= 64 and < 97));
                Assert.Equal(gaps.Run(out _), (gaps with { Type = CacheType.Bf16 }).Run(out _));
            }
    }

    [Theory]
    [InlineData(KernelTier.Auto), InlineData(KernelTier.EmittedVectors), InlineData(KernelTier.Intrinsics)]
    public void Many_spans_have_the_bits_of_rounding_when_read(KernelTier kernels)
    {
        SkipWithout(kernels);
        // Spans that end with the cache and that do not; more of them than go together; so many rows that one span alone has room; a window that leaves whole spans and cuts one; slots that part a span.
        foreach ((int heads, int kvHeads, int headSize, int window) in ((int, int, int, int)[])[(8, 1, 64, 0), (3, 1, 64, 0), (4, 2, 32, 1300), (2, 1, 48, 0), (2, 1, 160, 0)])
            foreach ((int cached, int rows) in ((int, int)[])[(512, 1), (767, 1), (700, 3), (2600, 1), (1290, 40), (4100, 2)])
            {
                Case rounding = Case.Random(heads, kvHeads, headSize, window, cached, [.. Enumerable.Range(-1, rows)], seed: cached + headSize) with { Rounds = true, Kernels = kernels };
                float[] expected = rounding.Run(out _);
                Case c = rounding with { Type = CacheType.Bf16, Rounds = false };
                Assert.Equal(expected, c.Run(out long bytes));
                Assert.Equal(c.ExpectedBytes(), bytes);
                Assert.Equal(expected, c.Run(out _, workers: 1, contextLength: 0));
                Assert.Equal(expected, c.Run(out _, workers: 100));
                Assert.Equal(expected, c.Run(out _, threads: 2, workers: 100));
                Assert.Equal(expected, c.MoveSlots(i => i + i / 576 * 640).Run(out _, workers: 100));
            }
    }

    [Theory]
    [InlineData(KernelTier.Auto), InlineData(KernelTier.EmittedVectors), InlineData(KernelTier.Intrinsics)]
    public void A_cache_in_chunks_has_the_bits_of_one_in_a_piece(KernelTier kernels)
    {
        SkipWithout(kernels);
        foreach ((int heads, int kvHeads, int headSize, int window) in ((int, int, int, int)[])[(9, 3, 64, 0), (4, 2, 24, 300), (1, 1, 33, 0)])
            foreach ((int cached, int[] parents) in ((int, int[])[])[(700, [-1]), (250, [.. Enumerable.Range(-1, 90)]), (190, [-1, 0, 0, 2, 1, 3, 3, 6])])
                foreach (CacheType type in Enum.GetValues<CacheType>())
                    foreach (bool rounds in (ReadOnlySpan<bool>)[false, true])
                    {
                        Case whole = Case.Random(heads, kvHeads, headSize, window, cached, parents, seed: cached + headSize) with { Type = type, Rounds = rounds, Kernels = kernels };
                        foreach (Case c in (ReadOnlySpan<Case>)[whole, whole.MoveSlots(i => i + 16), whole.MoveSlots(i => i + i / 48 * 16), whole.ShuffleSlots(5)])
                        {
                            float[] expected = c.Run(out long bytes);
                            foreach (int rows in (ReadOnlySpan<int>)[64, 256])
                            {
                                Assert.Equal(expected, (c with { ChunkRows = rows }).Run(out long read));
                                Assert.Equal(bytes, read);
                                Assert.Equal(expected, (c with { ChunkRows = rows }).Run(out _, threads: 2, workers: 100));
                            }
                        }
                    }
    }

    [Theory]
    [InlineData(KernelTier.Auto), InlineData(KernelTier.EmittedVectors), InlineData(KernelTier.Intrinsics)]
    public void Rows_together_have_the_bits_of_each_alone_in_every_tier(KernelTier kernels)
    {
        SkipWithout(kernels);
        // Query rows that fill tiles, that leave some of one, and that are many tiles; heads of whole and of half steps; windows that begin in a second group.
        foreach ((int heads, int kvHeads, int headSize, int window) in ((int, int, int, int)[])[(8, 1, 64, 0), (9, 3, 80, 0), (5, 1, 16, 20), (32, 1, 33, 40), (3, 3, 128, 0), (7, 1, 144, 9)])
            foreach ((int cached, int rows) in ((int, int)[])[(0, 19), (37, 6), (250, 40)])
            {
                Case c = Case.Random(heads, kvHeads, headSize, window, cached, [.. Enumerable.Range(-1, rows)], seed: cached + rows, magnitude: 2) with { Type = CacheType.Bf16, Kernels = kernels };
                float[] whole = c.Run(out _);
                Assert.Equal(whole, c.Run(out _, threads: 2, workers: 100));
                for (int row = 0; row < rows; row++)
                    Assert.Equal(whole[(row * c.Width)..((row + 1) * c.Width)], c.Chunk(row).Run(out _));
            }
    }

    [Theory]
    [InlineData(KernelTier.Auto), InlineData(KernelTier.EmittedVectors), InlineData(KernelTier.Intrinsics)]
    public void Groups_that_no_row_sees_may_hold_anything(KernelTier kernels)
    {
        SkipWithout(kernels);
        // What lies beside a group that is seen: rows of the cache before a window or after the last row, in the other half of a step of tiles.
        foreach ((int cached, int window) in ((int, int)[])[(5, 0), (70, 0), (130, 20), (190, 9), (60, 9)])
        {
            Case c = Case.Random(8, 2, 32, window, cached, [-1, 0, 1], seed: cached) with { Type = CacheType.Bf16, Kernels = kernels };
            Case wide = c.MoveSlots(i => i + 64);
            float[] values = [.. wide.Values], expected = c.Run(out _);
            int stride = c.KvHeads * c.HeadSize;
            for (int slot = 0; slot < values.Length / stride; slot++)
                if (!Enumerable.Range(0, cached + 3).Any(i => wide.Slots[i] == slot && Enumerable.Range(0, 3).Any(row => wide.Sees(row, i)))) values.AsSpan(slot * stride, stride).Fill(slot % 2 == 0 ? float.NaN : float.PositiveInfinity);
            Assert.Equal(expected, (wide with { Values = values }).Run(out _));
        }
    }

    [Fact]
    public void What_a_group_held_before_takes_no_part()
    {
        Case c = Case.Random(6, 2, 32, 0, 70, [-1, 0, 1], seed: 13) with { Type = CacheType.Bf16 };
        Case spread = c.MoveSlots(i => i + (i / 16 % 2) * 160);
        float[] expected = c.Run(out _), values = [.. spread.Values];
        int stride = c.KvHeads * c.HeadSize;
        for (int slot = 0; slot < values.Length / stride; slot++)
            if (!spread.Slots.Contains(slot)) values.AsSpan(slot * stride, stride).Fill(slot % 2 == 0 ? float.NaN : float.PositiveInfinity);
        Assert.Equal(expected, (spread with { Values = values }).Run(out _));
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

    private static void SkipWithout(KernelTier kernels) => Assert.SkipWhen(kernels == KernelTier.EmittedVectors && !EmittedKernels.IsAvailable, $"{EmittedKernels.UnavailableReason}");

    /// <summary>One sequence with everything attention needs.</summary>
    private sealed record Case(int Heads, int KvHeads, int HeadSize, int Window, int Cached, int[] Parents, int[] Slots, int[] Positions, float[] Queries, float[] Keys, float[] Values)
    {
        public CacheType Type { get; init; }

        /// <summary>Rows of a chunk of the cache; 0 for a cache in one piece.</summary>
        public int ChunkRows { get; init; }

        public bool Rounds { get; init; }

        public KernelTier Kernels { get; init; }

        public int Width => Heads * HeadSize;

        private int Bytes => CacheRows.HeadBytes(Type, HeadSize);

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

        /// <summary>More workers than an eighth of the items share positions out; a context of nothing leaves no room for that.</summary>
        public float[] Run(out long bytes, int threads = 1, int? workers = null, int contextLength = 65536)
        {
            using ComputePool pool = new(threads);
            using NativeBuffer<byte> keys = Stored(Keys, keys: true), values = Stored(Values, keys: false);
            float[] output = new float[Rows * Width];
            using AttentionScratch scratch = new(workers ?? threads, Heads, KvHeads, HeadSize, contextLength, Kernels);
            AttentionPlan plan = new(scratch.RowsPerItem, KvHeads, threads);
            plan.Begin(1);
            plan.Add(0, Slots, Positions, Cached, Parents);
            TiledAttention attention = new(plan, scratch, new Matrix(Queries, Rows, Width), keys.Region, values.Region, Type, new Matrix(output, Rows, Width), KvHeads, 1f / MathF.Sqrt(HeadSize), Window, pool.Counters, Rounds,
                new CacheChunks(ChunkRows, (long)ChunkRows * KvHeads * Bytes));
            if (workers > 1 && Positions.Max() >= AttentionPlan.SpanPositions) Assert.Equal(plan.SpanCount * KvHeads, attention.Count);
            if (contextLength == 0) Assert.Equal(plan.ItemCount * KvHeads, attention.Count);
            pool.For(ref attention, attention.Count);
            bytes = pool.Counters.KvBytes;
            return output;
        }

        public void AssertClose(float[] actual, double bound = 2e-5)
        {
            for (int row = 0; row < Rows; row++)
                for (int head = 0; head < Heads; head++)
                {
                    double[] expected = Definition(row, head);
                    for (int d = 0; d < HeadSize; d++) Assert.Equal(expected[d], actual[row * Width + head * HeadSize + d], bound);
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

        /// <summary>Bytes if every row that one of the rows of an item sees is read once for them.</summary>
        public long ExpectedBytes()
        {
            long rows = 0;
            int together = AttentionPlan.RowsFor(Heads / KvHeads);
            for (int first = 0; first < Rows; first += together)
                rows += Enumerable.Range(0, Cached + Rows).Count(i => Enumerable.Range(first, Math.Min(together, Rows - first)).Any(r => Sees(r, i)));
            return rows * KvHeads * Bytes * 2;
        }

        /// <summary>The same with the keys and values that the cache gives back.</summary>
        public Case Rounded() => this with { Keys = Round(Keys), Values = Round(Values), Type = CacheType.F32 };

        /// <summary>The same with bfloat16 for what attention rounds: scaled queries, keys and values.</summary>
        public Case InBfloat16()
        {
            float scale = 1 / MathF.Sqrt(HeadSize) * PowerOfTwo.Log2E;
            return this with { Queries = [.. Queries.Select(q => InBits(q * scale) / scale)], Keys = [.. Keys.Select(InBits)], Values = [.. Values.Select(InBits)] };
        }

        private static float InBits(float x) => BitConverter.UInt32BitsToSingle((uint)BF16.FromSingle(x) << 16);

        private float[] Round(float[] rows)
        {
            float[] rounded = new float[rows.Length];
            if (Type == CacheType.Bf16) return [.. rows.Select(InBits)];
            byte[] bytes = new byte[Bytes];
            for (int at = 0; at < rows.Length; at += HeadSize)
            {
                CacheRows.Store(Type, rows.AsSpan(at, HeadSize), bytes);
                CacheRows.Load(Type, bytes, rounded.AsSpan(at, HeadSize));
            }
            return rounded;
        }

        private NativeBuffer<byte> Stored(float[] rows, bool keys)
        {
            int slots = rows.Length / (KvHeads * HeadSize), together = CacheRows.GroupRows(Type), room = (slots + together - 1) / together * together;
            int chunks = ChunkRows == 0 ? 1 : (slots + ChunkRows - 1) / ChunkRows;
            if (ChunkRows > 0) room = ChunkRows;
            NativeBuffer<byte> stored = new((long)chunks * room * KvHeads * Bytes);
            // What no row was written to may hold anything finite.
            if (Type == CacheType.Bf16) MemoryMarshal.Cast<byte, ushort>(stored.Span(0, (int)stored.Length)).Fill(BF16.FromSingle(-3));
            for (int slot = 0; slot < slots; slot++)
                for (int head = 0; head < KvHeads; head++)
                {
                    ReadOnlySpan<float> row = rows.AsSpan((slot * KvHeads + head) * HeadSize, HeadSize);
                    Span<byte> group = stored.Span(((long)(slot / room * KvHeads + head) * room + slot % room - slot % together) * Bytes, together * Bytes);
                    if (keys) CacheRows.StoreKey(Type, row, group, slot % together);
                    else CacheRows.StoreValue(Type, row, group, slot % together);
                }
            return stored;
        }

        public Case ShuffleSlots(int seed)
        {
            int[] slots = [.. Slots];
            new Random(seed).Shuffle(slots);
            return this with { Slots = slots, Keys = Move(Keys, slots), Values = Move(Values, slots) };
        }

        /// <summary>The same rows in other slots.</summary>
        public Case MoveSlots(Func<int, int> to)
        {
            int[] slots = [.. Slots.Select(to)];
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
            float[] moved = new float[(slots.Max() + 1) * stride];
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
