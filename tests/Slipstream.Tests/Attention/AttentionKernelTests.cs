using System.Runtime.Intrinsics;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;
using Slipstream.Numerics.Kernels.Emitted;
using Slipstream.Tests.Kernels.Emitted;

namespace Slipstream.Tests.Attention;

public sealed unsafe class AttentionKernelTests
{
    [Fact]
    public void The_exponential_is_exact_at_its_ends_and_close_between()
    {
        Span<float> ends = [0f, -0f, float.NegativeInfinity, -88f, -1000f, float.NaN];
        Assert.Equal([1f, 1f, 0f, 0f, 0f, float.NaN], Wide(ends));
        Random random = new(1);
        for (int i = 0; i < 4096; i++)
        {
            float[] x = [.. Enumerable.Range(0, 16).Select(_ => -(float)(random.NextDouble() * random.NextDouble() * 87.3))];
            float[] y = Wide(x);
            for (int j = 0; j < x.Length; j++)
            {
                double expected = Math.Exp(x[j]);
                Assert.InRange(Math.Abs(y[j] - expected) / expected, 0, 2e-7);
                Assert.Equal(y[j], Exponential.NonPositive(x[j]));
            }
            Assert.Equal(y[..8], Half(x));
        }
    }

    [Fact]
    public void Weighted_values_have_the_bits_of_their_definition()
    {
        Random random = new(2);
        foreach (int width in (ReadOnlySpan<int>)[16, 32, 48, 64, 80, 128, 208])
            for (int rows = 1; rows <= AttentionScores.MaxRows; rows++)
                foreach (int count in (ReadOnlySpan<int>)[0, 1, 5, 64])
                    foreach (int asked in (ReadOnlySpan<int>)[0, 3, 64])
                    {
                        float[] a = Fill(random, rows * 70), b = Fill(random, 64 * 208), keep = Fill(random, rows), c = Fill(random, rows * 208), expected = [.. c];
                        int[] index = new int[64];
                        long[] offset = new long[64];
                        for (int i = 0; i < 64; i++) (index[i], offset[i]) = (i * 7 % 64, i * 5 % 64 * 208 * sizeof(float));
                        // SAFETY: every index is below 70, every offset leaves a row of 208, and the arrays are fixed.
                        fixed (float* pa = a, pb = b, pc = c, pe = expected, pk = keep)
                        fixed (int* pi = index)
                        fixed (long* po = offset)
                        {
                            WeightedValues.Add(rows, width, pa, 70, pi, (byte*)pb, po, count, pc, 208, pk, new RowsAhead((byte*)pb, po, asked, 300));
                            WeightedValues.Reference(rows, width, pa, 70, pi, (byte*)pb, po, count, pe, 208, pk);
                        }
                        Assert.Equal(expected, c);
                    }
    }

    [Fact]
    public void Scores_have_the_bits_of_their_definition()
    {
        Random random = new(6);
        foreach (int width in (ReadOnlySpan<int>)[16, 32, 48, 64, 80, 128, 208])
            for (int rows = 1; rows <= AttentionScores.MaxRows; rows++)
                foreach (int count in (ReadOnlySpan<int>)[16, 32, 48, 64])
                    foreach (int asked in (ReadOnlySpan<int>)[0, 3, 64])
                    {
                        float[] q = Fill(random, rows * width), k = Fill(random, 64 * 208), scores = new float[rows * 64];
                        long[] offset = [.. Enumerable.Range(0, 64).Select(i => i * 5L % 64 * 208 * sizeof(float))];
                        // SAFETY: every offset leaves a row of 208, and the arrays are fixed.
                        fixed (float* pq = q, pk = k, ps = scores)
                        fixed (long* po = offset)
                            AttentionScores.Multiply(rows, pq, (byte*)pk, po, count, width, ps, new RowsAhead((byte*)pk, po, asked, 300));
                        for (int r = 0; r < rows; r++)
                            for (int j = 0; j < count; j++)
                                Assert.Equal(AttentionScores.Reference(q.AsSpan(r * width, width), k.AsSpan((int)offset[j] / sizeof(float), width)), scores[r * 64 + j]);
                    }
    }

    [Theory]
    [InlineData(KernelTier.Intrinsics), InlineData(KernelTier.EmittedVectors), InlineData(KernelTier.Emitted)]
    public void Weights_of_pairs_have_the_bits_of_their_definition(KernelTier kernels)
    {
        AttentionUnit unit = UnitOf(kernels);
        Random random = new(7);
        uint** b = stackalloc uint*[4];
        foreach (int width in (ReadOnlySpan<int>)[16, 32, 48, 64, 208])
            for (int rows = 1; rows <= MaxRows(unit); rows++)
                for (int groups = 1; groups <= 4; groups++)
                    foreach (int asks in (ReadOnlySpan<int>)[0, 1, 2, 4])
                    {
                        // Keys that are far apart, so that some weights vanish; the groups need not follow each other.
                        float[] q = Fill(random, rows * width, 4), k = Fill(random, 64 * width, asks * asks + 1), room = new float[rows * 64], keep = new float[rows];
                        float[] max = [.. Enumerable.Range(0, rows).Select(i => asks == 0 || i == 2 ? float.NegativeInfinity : 20 * i - 10)], sum = [.. max.Select(m => float.IsNegativeInfinity(m) ? 0 : 1.5f)];
                        ulong[] masks = [.. Enumerable.Range(0, rows).Select(i => (i == 3 ? 0 : asks == 1 ? ulong.MaxValue : (ulong)random.NextInt64() | 1) & (ulong.MaxValue >> (64 - 16 * groups)))];
                        ushort[] weights = new ushort[rows * 64];
                        uint[] left = [.. Enumerable.Range(0, q.Length / 2).Select(i => Pair(q[2 * i], q[2 * i + 1]))], right = new uint[32 * width];
                        for (int j = 0; j < 64; j++)
                            for (int i = 0; i < width / 2; i++) right[(j / 16 * width / 2 + i) * 16 + j % 16] = Pair(k[j * width + 2 * i], k[j * width + 2 * i + 1]);
                        float[] beforeMax = [.. max], beforeSum = [.. sum];
                        // SAFETY: the arrays hold the rows and groups that the call names, and are fixed.
                        fixed (uint* pl = left, pr = right)
                        fixed (float* ps = room, pm = max, pt = sum, pk = keep)
                        fixed (ulong* pb = masks)
                        fixed (ushort* pw = weights)
                        {
                            for (int g = 0; g < 4; g++) b[g] = pr + (3 - g) * 8 * width;
                            ScoreCall call = new() { Queries = pl, QueryBytes = width * 2, Keys = b, Pairs = width / 2, Ask = (byte*)ps, Masks = pb, Max = pm, Sum = pt, Keep = pk, Weights = pw, Scores = ps };
                            using TileShape shape = new(unit, rows, width);
                            AttentionPairs.Weigh(rows, groups, call, unit, asks);
                        }
                        for (int r = 0; r < rows; r++)
                        {
                            float[] e = new float[64];
                            for (int j = 0; j < 64; j++) e[j] = (masks[r] >> j & 1) != 0 ? AttentionPairs.Reference(0, q.AsSpan(r * width, width), k.AsSpan(((3 - j / 16) * 16 + j % 16) * width, width), unit == AttentionUnit.Tiles) : float.NegativeInfinity;
                            float top = MathF.Max(beforeMax[r], e.Max()), factor = masks[r] == 0 ? 1 : PowerOfTwo.NonPositive(beforeMax[r] - top);
                            for (int j = 0; j < 64; j++) e[j] = masks[r] == 0 ? 0 : PowerOfTwo.NonPositive(e[j] - top);
                            // Rounded weights are added up: pairs of the first 32 and then of the others, of each the odd one first.
                            float Rounded(int j) => BitConverter.UInt32BitsToSingle((uint)BF16.FromSingle(e[j]) << 16);
                            Vector512<float> all = Vector512.Create([.. Enumerable.Range(0, 16).Select(i => Rounded(2 * i + 1) + Rounded(2 * i) + Rounded(33 + 2 * i) + Rounded(32 + 2 * i))]);
                            Assert.Equal(top, max[r]);
                            Assert.Equal(factor, keep[r]);
                            Assert.Equal(MathF.FusedMultiplyAdd(beforeSum[r], factor, Lanes.Sum(all)), sum[r]);
                            for (int j = 0; j < 16 * groups; j++) Assert.Equal(BF16.FromSingle(e[j]), weights[r * 64 + j]);
                        }
                    }
    }

    [Fact]
    public void The_power_of_two_is_exact_at_its_ends_and_close_between()
    {
        foreach ((float x, float expected) in (ReadOnlySpan<(float, float)>)[(0, 1), (-0f, 1), (-1, 0.5f), (-125, MathF.ScaleB(1, -125)), (-125.5f, 0), (float.NegativeInfinity, 0), (-1e30f, 0), (float.NaN, float.NaN)])
            Assert.Equal(expected, PowerOfTwo.NonPositive(x));
        Random random = new(1);
        for (int i = 0; i < 4096; i++)
        {
            float[] x = [.. Enumerable.Range(0, 16).Select(_ => -(float)(random.NextDouble() * random.NextDouble() * 125))];
            Vector512<float> y = PowerOfTwo.NonPositive(Vector512.Create(x));
            Assert.Equal(y.GetLower(), PowerOfTwo.NonPositive(Vector256.Create(x)));
            for (int j = 0; j < 16; j++) Assert.InRange(Math.Abs(y[j] / Math.Pow(2, x[j]) - 1), 0, 3e-6);
        }
    }

    [Theory]
    [InlineData(KernelTier.Intrinsics), InlineData(KernelTier.EmittedVectors), InlineData(KernelTier.Emitted)]
    public void Values_of_pairs_have_the_bits_of_their_definition(KernelTier kernels)
    {
        AttentionUnit unit = UnitOf(kernels);
        const int stride = 144;
        Random random = new(9);
        uint** lists = stackalloc uint*[4];
        foreach (int columns in (ReadOnlySpan<int>)[16, 32, 48, 64, 80, 128])
            for (int rows = 1; rows <= MaxRows(unit); rows++)
                foreach (int groups in unit == AttentionUnit.Tiles ? [2, 4] : (ReadOnlySpan<int>)[1, 2, 4])
                    foreach (int asks in (ReadOnlySpan<int>)[0, 1, 2, 4])
                    {
                        int pairs = 8 * groups;
                        float[] a = Fill(random, rows * 2 * pairs), b = Fill(random, 2 * pairs * stride), keep = Fill(random, rows), before = Fill(random, rows * stride), c = [.. before];
                        uint[] left = [.. Enumerable.Range(0, a.Length / 2).Select(i => Pair(a[2 * i], a[2 * i + 1]))];
                        uint[] right = [.. Enumerable.Range(0, pairs * stride).Select(i => Pair(b[2 * (i / stride) * stride + i % stride], b[(2 * (i / stride) + 1) * stride + i % stride]))];
                        // SAFETY: the arrays hold the rows, columns and groups that the call names, and are fixed.
                        fixed (uint* pl = left, pr = right)
                        fixed (float* pk = keep, pc = c)
                        {
                            for (int g = 0; g < groups; g++) lists[g] = pr + 8 * g * stride;
                            ValueCall call = new() { Weights = pl, WeightBytes = pairs * 4, Values = lists, RowBytes = stride * 4, Groups = groups, Results = pc, ResultBytes = stride * 4, Keep = pk, Ask = (byte*)pc };
                            using TileShape shape = new(unit, rows, columns);
                            AttentionPairs.AddValues(rows, columns, call, unit, asks);
                        }
                        for (int r = 0; r < rows; r++)
                            for (int j = 0; j < stride; j++)
                            {
                                float from = before[r * stride + j] * keep[r];
                                float[] column = [.. Enumerable.Range(0, 2 * pairs).Select(i => b[i * stride + j])];
                                Assert.Equal(j < columns ? AttentionPairs.Reference(from, a.AsSpan(r * 2 * pairs, 2 * pairs), column, unit == AttentionUnit.Tiles) : before[r * stride + j], c[r * stride + j]);
                            }
                    }
    }

    [Theory]
    [InlineData(false), InlineData(true)]
    public void Rows_of_a_tile_become_pairs(bool emitted)
    {
        Assert.SkipWhen(emitted && !(EmittedKernels.IsAvailable && AttentionPairs.HasEmitted), $"{EmittedKernels.UnavailableReason ?? "the processor has no AVX512-BF16"}");
        Random random = new(8);
        foreach (int columns in (ReadOnlySpan<int>)[16, 32, 48, 64, 80, 128])
            foreach ((int first, int end) in ((int, int)[])[(0, 64), (16, 32), (48, 64)])
            {
                float[] rows = Fill(random, 64 * columns, 100);
                (rows[3], rows[17 * columns + 5], rows[50 * columns]) = (float.NaN, float.NegativeInfinity, float.MaxValue);
                long[] offset = [.. Enumerable.Range(0, 64).Select(i => i * 7L % 64 * columns * sizeof(float))];
                ushort[] bits = new ushort[64 * columns];
                uint[] byColumns = new uint[32 * columns], byRows = new uint[32 * columns];
                Array.Fill(byColumns, 7u);
                Array.Fill(byRows, 7u);
                // SAFETY: 64 rows, room for them in bfloat16 and for their pairs, all fixed.
                fixed (float* from = rows)
                fixed (long* o = offset)
                fixed (ushort* room = bits)
                fixed (uint* pc = byColumns, pr = byRows)
                {
                    AttentionPairs.PairColumns((byte*)from, o, first, end, columns, room, pc, emitted);
                    AttentionPairs.PairRows((byte*)from, o, first, end, columns, room, pr, emitted);
                }
                float At(int row, int column) => rows[row * 7 % 64 * columns + column];
                for (int i = 0; i < columns / 2; i++)
                    for (int j = 0; j < 64; j++)
                        Assert.Equal(j >= first && j < end ? Pair(At(j, 2 * i), At(j, 2 * i + 1)) : 7u, byColumns[(j / 16 * columns / 2 + i) * 16 + j % 16]);
                for (int i = 0; i < 32; i++)
                    for (int j = 0; j < columns; j++)
                        Assert.Equal(2 * i >= first && 2 * i < end ? Pair(At(2 * i, j), At(2 * i + 1, j)) : 7u, byRows[i * columns + j]);
            }
    }

    [Fact]
    public void The_softmax_of_a_tile_matches_its_definition()
    {
        Random random = new(3);
        foreach (ulong seen in (ReadOnlySpan<ulong>)[ulong.MaxValue, 1, 1UL << 63, 0xF0F0_1234_8000_0001, 0xFFFF])
            foreach (float before in (ReadOnlySpan<float>)[float.NegativeInfinity, -3, 40])
            {
                ulong mask = seen;
                float[] scores = [.. Fill(random, 64).Select(s => 20 * s)], expected = [.. scores];
                for (int i = 0; i < 64; i++)
                    if ((mask >> i & 1) == 0) scores[i] = i % 2 == 0 ? float.NaN : 1e30f; // What is not seen may be anything.
                float max = before, sum = float.IsNegativeInfinity(before) ? 0 : 2.5f, expectedMax = max, expectedSum = sum, keep;
                // SAFETY: the tile has 64 scores and is fixed.
                fixed (float* s = scores) AttentionSoftmax.Step<Exponential>(1, s, &mask, &max, &sum, &keep);
                float expectedKeep = AttentionSoftmax.Reference(expected, mask, ref expectedMax, ref expectedSum);
                Assert.Equal(expectedMax, max);
                Assert.Equal(expectedSum, sum, 1e-5f * expectedSum);
                Assert.Equal(expectedKeep, keep, 1e-6f);
                for (int i = 0; i < 64; i++) Assert.Equal(expected[i], scores[i], (mask >> i & 1) == 0 ? 0 : 1e-6f);
            }
    }

    [Theory]
    [InlineData(CacheType.F32, false), InlineData(CacheType.F16, false), InlineData(CacheType.F16, true), InlineData(CacheType.Q8, false)]
    public void Widened_rows_are_what_was_stored(CacheType type, bool emitted)
    {
        Assert.SkipWhen(emitted && !EmittedKernels.IsAvailable, $"{EmittedKernels.UnavailableReason}");
        const int rows = 5;
        Random random = new(4);
        foreach (int headSize in (ReadOnlySpan<int>)[1, 3, 4, 7, 8, 16, 17, 24, 31, 32, 33, 48, 64, 80, 96, 130])
        {
            int bytes = CacheRows.HeadBytes(type, headSize), stride = (headSize + 15) / 16 * 16;
            byte[] stored = new byte[rows * bytes];
            float[] expected = new float[headSize], widened = new float[rows * stride];
            int[] place = [3, 0, 4, 2];
            long[] offset = [.. Enumerable.Range(0, place.Length).Select(i => (i * 2 + 1) % rows * (long)bytes)];
            for (int row = 0; row < rows; row++)
            {
                float[] x = Fill(random, headSize, 100);
                x[row % headSize] = row == 1 ? float.NaN : 1e-6f; // A small number is no normal half.
                CacheRows.Store(type, x, stored.AsSpan(row * bytes, bytes));
            }
            Array.Fill(widened, -1);
            // SAFETY: the rows and the room have the sizes that the packing asks for, and are fixed.
            fixed (byte* s = stored)
            fixed (float* w = widened)
            fixed (long* o = offset)
            fixed (int* p = place)
                AttentionPacking.Unpack(type, s, o, p, place.Length, headSize, w, emitted);
            for (int i = 0; i < place.Length; i++)
            {
                CacheRows.Load(type, stored.AsSpan((int)offset[i], bytes), expected);
                Assert.Equal(expected.Select(BitConverter.SingleToUInt32Bits), widened.AsSpan(place[i] * stride, headSize).ToArray().Select(BitConverter.SingleToUInt32Bits));
                Assert.All(widened.AsSpan(place[i] * stride + headSize, stride - headSize).ToArray(), x => Assert.Equal(0, x));
            }
            Assert.All(widened.AsSpan(stride, stride).ToArray(), x => Assert.Equal(-1, x)); // Nobody asked for place 1.
        }
    }

    [Fact]
    public void Every_half_is_widened_alike_by_emitted_and_compiled_kernels()
    {
        Assert.SkipUnless(EmittedKernels.IsAvailable, $"{EmittedKernels.UnavailableReason}");
        ushort[] halves = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        float[] emitted = new float[halves.Length];
        const int width = 1024;
        long[] offset = [.. Enumerable.Range(0, 64).Select(i => i * width * 2L)];
        int[] place = [.. Enumerable.Range(0, 64)];
        // SAFETY: 64 rows of 1024 halves and floats, fixed.
        fixed (ushort* h = halves)
        fixed (float* e = emitted)
        fixed (long* o = offset)
        fixed (int* p = place)
            AttentionPacking.Unpack(CacheType.F16, (byte*)h, o, p, 64, width, e, emitted: true);
        for (int i = 0; i < halves.Length; i++)
        {
            // The instruction makes a signalling NaN a quiet one; no cache holds one.
            if ((i & 0x7C00) == 0x7C00 && (i & 0x3FF) != 0) Assert.True(float.IsNaN(emitted[i]));
            else Assert.Equal(BitConverter.SingleToUInt32Bits(HalfBits.ToSingle(halves[i])), BitConverter.SingleToUInt32Bits(emitted[i]));
        }
    }

    [Fact]
    public void Emitted_kernels_of_attention_are_sound_machine_code()
    {
        foreach (bool windows in (ReadOnlySpan<bool>)[false, true])
        {
            Assert.InRange(MachineCode.Check(HalfRows.Kernel.Assemble(windows), windows).Count, 30, 100);
            foreach (bool asks in (ReadOnlySpan<bool>)[false, true])
            {
                Assert.InRange(MachineCode.Check(TileKernels.PairColumns(asks).Assemble(windows), windows).Count, 200, 500);
                Assert.InRange(MachineCode.Check(TileKernels.PairRows(asks).Assemble(windows), windows).Count, 30, 100);
            }
            for (int rows = 1; rows <= AttentionPairs.MaxRows; rows++)
                for (int vectors = 1; vectors <= AttentionPairs.Columns / 16; vectors++)
                    foreach (int asks in (ReadOnlySpan<int>)[0, 1, 2, 4])
                    {
                        Assert.InRange(MachineCode.Check(PairKernels.Weigh(rows, vectors, asks).Assemble(windows), windows).Count, 100, 600);
                        Assert.InRange(MachineCode.Check(PairKernels.AddValues(rows, vectors, asks).Assemble(windows), windows).Count, 40, 180);
                    }
            Assert.InRange(MachineCode.Check(AmxTiles.Frame.Configure.Assemble(windows), windows).Count, 15, 60);
            Assert.InRange(MachineCode.Check(AmxTiles.Frame.Release.Assemble(windows), windows).Count, 15, 60);
            for (int rows = 1; rows <= AttentionPairs.MaxTileRows; rows++)
                for (int vectors = 1; vectors <= AttentionPairs.Columns / 16; vectors++)
                    foreach (int asks in (ReadOnlySpan<int>)[0, 1, 2, 4])
                    {
                        Assert.InRange(MachineCode.Check(AmxAttentionKernels.Weigh(rows, vectors, asks).Assemble(windows), windows).Count, 100, 900);
                        Assert.InRange(MachineCode.Check(AmxAttentionKernels.AddValues(rows, vectors, asks).Assemble(windows), windows).Count, 40, 320);
                    }
        }
    }

    [Theory]
    [InlineData(CacheType.F32, 0, 0), InlineData(CacheType.F16, 1 / 2048.0, 6e-8), InlineData(CacheType.Q8, 0, 0.5 / 127 * 1.001)]
    public void A_stored_row_errs_by_no_more_than_its_type(CacheType type, double relative, double absolute)
    {
        Random random = new(5);
        foreach (int headSize in (ReadOnlySpan<int>)[1, 7, 32, 64, 100])
        {
            float[] row = Fill(random, headSize), back = new float[headSize];
            byte[] bytes = new byte[CacheRows.HeadBytes(type, headSize)];
            CacheRows.Store(type, row, bytes);
            CacheRows.Load(type, bytes, back);
            for (int i = 0; i < headSize; i++) Assert.InRange(Math.Abs((double)row[i] - back[i]), 0, relative * Math.Abs(row[i]) + absolute);
        }
    }

    [Fact]
    public void What_a_half_cannot_hold_is_stored_as_the_largest_and_a_NaN_stays_one()
    {
        foreach (int at in (ReadOnlySpan<int>)[0, 9])
            foreach (CacheType type in (ReadOnlySpan<CacheType>)[CacheType.F16, CacheType.Q8])
            {
                float[] row = new float[10], back = new float[10];
                byte[] bytes = new byte[CacheRows.HeadBytes(type, 10)];
                foreach ((float x, float expected) in (ReadOnlySpan<(float, float)>)[(float.NaN, float.NaN), (1e30f, type == CacheType.F16 ? 65504f : 65504f * 127), (-1e30f, type == CacheType.F16 ? -65504f : -65504f * 127), (0, 0)])
                {
                    row[at] = x;
                    CacheRows.Store(type, row, bytes);
                    CacheRows.Load(type, bytes, back);
                    Assert.Equal(expected, back[at]);
                }
            }
    }

    private static int MaxRows(AttentionUnit unit) => unit == AttentionUnit.Tiles ? AttentionPairs.MaxTileRows : AttentionPairs.MaxRows;

    private static AttentionUnit UnitOf(KernelTier kernels)
    {
        AttentionUnit unit = kernels switch { KernelTier.Intrinsics => AttentionUnit.Compiled, KernelTier.EmittedVectors => AttentionUnit.Vectors, _ => AttentionUnit.Tiles };
        Assert.SkipWhen(unit != AttentionUnit.Compiled && !(EmittedKernels.IsAvailable && AttentionPairs.HasEmitted), $"{EmittedKernels.UnavailableReason ?? "the processor has no AVX512-BF16"}");
        Assert.SkipWhen(unit == AttentionUnit.Tiles && !EmittedKernels.HasAmx, "no matrix unit can be used");
        return unit;
    }

    /// <summary>Tiles that are configured for a number of rows, where they are what multiplies.</summary>
    private readonly ref struct TileShape : IDisposable
    {
        private readonly bool _isConfigured;

        public TileShape(AttentionUnit unit, int rows, int columns)
        {
            if (_isConfigured = unit == AttentionUnit.Tiles) AmxAttentionKernels.Configure(rows, columns);
        }

        public void Dispose()
        {
            if (_isConfigured) AmxTiles.Release();
        }
    }

    private static float[] Wide(ReadOnlySpan<float> x)
    {
        float[] padded = new float[16], y = new float[16];
        x.CopyTo(padded);
        Vector512.CopyTo(Exponential.NonPositive(Vector512.Create(padded)), y);
        return y[..x.Length];
    }

    private static float[] Half(ReadOnlySpan<float> x)
    {
        float[] y = new float[8];
        Vector256.CopyTo(Exponential.NonPositive(Vector256.Create(x[..8])), y);
        return y;
    }

    private static uint Pair(float even, float odd) => BF16.FromSingle(even) | (uint)BF16.FromSingle(odd) << 16;

    private static float[] Fill(Random random, int length, float magnitude = 1)
        => [.. Enumerable.Range(0, length).Select(_ => magnitude * (float)(random.NextDouble() * 2 - 1))];
}
