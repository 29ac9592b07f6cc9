using System.Runtime.InteropServices;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;
using Slipstream.Numerics.Kernels.Emitted;
using Slipstream.Tests.Kernels.Emitted;

namespace Slipstream.Tests.Attention;

/// <summary>The kernel for blocks of query rows and whole tiles against the two kernels for one block and one tile, which are tested against the definition.</summary>
public sealed unsafe class SpanKernelTests
{
    private const int Tile = TiledAttention.Tile, Groups = 4, Lanes = 16;

    [Theory]
    [InlineData(32), InlineData(64), InlineData(96), InlineData(128), InlineData(256)]
    public void Blocks_and_tiles_together_have_the_bits_of_one_after_another(int columns)
    {
        Assert.SkipUnless(EmittedKernels.IsAvailable && EmittedKernels.HasAmx, "no matrix unit can be used");
        Random random = new(columns);
        for (int rows = 1; rows <= AttentionPairs.MaxTileRows; rows++)
            foreach ((int blocks, int tiles) in ((int, int)[])[(1, 1), (1, 4), (2, 3), (3, 1), (8, 2)])
            {
                int all = rows * blocks, room = Tile * columns;
                using NativeBuffer<ushort> queries = Bits(random, all * columns, 3), keys = Bits(random, (tiles + 2) * room, 2), values = Bits(random, (tiles + 2) * room, 1);
                // Some rows begin a span; others have such a maximum that nothing changes it, or only later tiles do.
                float[] max = [.. Enumerable.Range(0, all).Select(i => i % 3 == 0 ? float.NegativeInfinity : i % 3 == 1 ? 500 : 12)], sum = [.. max.Select(m => float.IsNegativeInfinity(m) ? 0 : 1.5f)];
                float[] results = [.. Enumerable.Range(0, all * columns).Select(i => float.IsNegativeInfinity(max[i / columns]) ? 0 : (float)random.NextDouble() - 0.5f)];
                // Tiles lie anywhere.
                int[] places = [.. Enumerable.Range(0, tiles + 2)];
                random.Shuffle(places);
                State expected = new(max, sum, results), actual = new(max, sum, results);
                AmxAttentionKernels.Configure(rows, columns);
                try
                {
                    OneAfterAnother(rows, columns, blocks, [.. places[..tiles]], queries, keys, values, expected);
                    Together(rows, columns, blocks, [.. places[..tiles]], queries, keys, values, [actual]);
                }
                finally
                {
                    AmxTiles.Release();
                }
                Assert.Equal(expected.Max, actual.Max);
                Assert.Equal(expected.Sum, actual.Sum);
                Assert.Equal(expected.Results.Select(BitConverter.SingleToUInt32Bits), actual.Results.Select(BitConverter.SingleToUInt32Bits));
                Assert.Contains(Enumerable.Range(0, all), i => max[i] != actual.Max[i]);
                Assert.All(actual.Results, x => Assert.True(float.IsFinite(x)));
            }
    }

    [Theory]
    [InlineData(32), InlineData(64), InlineData(160)]
    public void A_span_in_the_same_call_begins_anew(int columns)
    {
        Assert.SkipUnless(EmittedKernels.IsAvailable && EmittedKernels.HasAmx, "no matrix unit can be used");
        const int Spans = 3, Each = 2;
        Random random = new(columns);
        foreach (int rows in (ReadOnlySpan<int>)[1, 3, 8, 13, 16])
            foreach (int blocks in (ReadOnlySpan<int>)[1, 3])
            {
                int all = rows * blocks;
                using NativeBuffer<ushort> queries = Bits(random, all * columns, 3), keys = Bits(random, Spans * Each * Tile * columns, 2), values = Bits(random, Spans * Each * Tile * columns, 1);
                float[] max = [.. Enumerable.Repeat(float.NegativeInfinity, all)], sum = new float[all];
                // What results hold before is no number: it must not be read.
                State[] expected = [.. Enumerable.Range(0, Spans).Select(_ => new State(max, sum, new float[all * columns]))];
                State[] actual = [.. Enumerable.Range(0, Spans).Select(_ => new State(max, sum, [.. Enumerable.Repeat(float.NaN, all * columns)]))];
                AmxAttentionKernels.Configure(rows, columns);
                try
                {
                    for (int span = 0; span < Spans; span++) OneAfterAnother(rows, columns, blocks, [.. Enumerable.Range(span * Each, Each)], queries, keys, values, expected[span]);
                    Together(rows, columns, blocks, [.. Enumerable.Range(0, Spans * Each)], queries, keys, values, actual, areFirst: true);
                }
                finally
                {
                    AmxTiles.Release();
                }
                foreach ((State e, State a) in expected.Zip(actual))
                {
                    Assert.Equal(e.Max, a.Max);
                    Assert.Equal(e.Sum, a.Sum);
                    Assert.Equal(e.Results.Select(BitConverter.SingleToUInt32Bits), a.Results.Select(BitConverter.SingleToUInt32Bits));
                    Assert.All(a.Results, x => Assert.True(float.IsFinite(x)));
                }
            }
    }

    [Fact]
    public void Kernels_are_sound_machine_code()
    {
        foreach (bool windows in (ReadOnlySpan<bool>)[false, true])
            for (int rows = 1; rows <= AttentionPairs.MaxTileRows; rows++)
                for (int columns = AmxTiles.Columns; columns <= AmxSpanKernels.MaxColumns; columns += AmxTiles.Columns)
                    foreach (int blocks in (ReadOnlySpan<int>)[1, 3, 16, 100])
                        Assert.InRange(MachineCode.Check(AmxSpanKernels.Attend(rows, columns, blocks).Assemble(windows), windows).Count, 250, 700 + 6 * columns);
    }

    [Fact]
    public void Only_heads_of_whole_steps_are_taken()
    {
        foreach (int columns in (ReadOnlySpan<int>)[32, 64, 96, 128, 160, 256]) Assert.True(AmxSpanKernels.Takes(columns));
        foreach (int columns in (ReadOnlySpan<int>)[16, 48, 80, 144, 288, 512]) Assert.False(AmxSpanKernels.Takes(columns));
    }

    // SAFETY: (both) the buffers hold the rows, columns and tiles that the calls name, and are fixed; the tiles are configured.
    private static void OneAfterAnother(int rows, int columns, int blocks, int[] places, NativeBuffer<ushort> queries, NativeBuffer<ushort> keys, NativeBuffer<ushort> values, State state)
    {
        ulong* masks = stackalloc ulong[rows];
        new Span<ulong>(masks, rows).Fill(ulong.MaxValue);
        uint** keyGroups = stackalloc uint*[Groups], valueGroups = stackalloc uint*[Groups];
        float* keep = stackalloc float[Lanes];
        using NativeBuffer<float> scores = new(rows * Tile);
        using NativeBuffer<ushort> weights = new(rows * Tile);
        fixed (float* max = state.Max, sum = state.Sum, results = state.Results)
            foreach (int place in places)
                for (int block = 0; block < blocks; block++)
                {
                    for (int g = 0; g < Groups; g++) keyGroups[g] = (uint*)(keys.Pointer + (place * Tile + g * Lanes) * columns);
                    for (int g = 0; g < Groups; g++) valueGroups[g] = (uint*)(values.Pointer + (place * Tile + g * Lanes) * columns);
                    int first = block * rows;
                    AttentionPairs.Weigh(rows, Groups, new ScoreCall
                    {
                        Queries = (uint*)(queries.Pointer + first * columns), QueryBytes = columns * 2, Keys = keyGroups, Pairs = columns / 2, Masks = masks, Max = max + first, Sum = sum + first, Keep = keep,
                        Weights = weights.Pointer, Scores = scores.Pointer,
                    }, AttentionUnit.Tiles);
                    AttentionPairs.AddValues(rows, columns, new ValueCall
                    {
                        Weights = (uint*)weights.Pointer, WeightBytes = Tile * 2, Values = valueGroups, RowBytes = columns * 4, Groups = Groups, Results = results + first * columns, ResultBytes = columns * 4, Keep = keep,
                    }, AttentionUnit.Tiles);
                }
    }

    private static void Together(int rows, int columns, int blocks, int[] places, NativeBuffer<ushort> queries, NativeBuffer<ushort> keys, NativeBuffer<ushort> values, State[] spans, bool areFirst = false)
    {
        WholeTiles room = default;
        SpanTile* tiles = (SpanTile*)&room;
        GCHandle[] held = [.. spans.SelectMany(s => (float[][])[s.Max, s.Sum, s.Results]).Select(x => GCHandle.Alloc(x, GCHandleType.Pinned))];
        int each = places.Length / spans.Length;
        for (int i = 0; i < places.Length; i++)
        {
            byte* k = (byte*)(keys.Pointer + places[i] * Tile * columns), v = (byte*)(values.Pointer + places[i] * Tile * columns);
            float* Of(int field) => (float*)held[i / each * 3 + field].AddrOfPinnedObject();
            tiles[i] = new SpanTile { Keys = k, Values = v, AskKeys = k, AskValues = v };
            tiles[i].PutIn(new AttentionState(Of(0), Of(1), Of(2)), areFirst && i % each == 0);
        }
        float* keep = stackalloc float[Lanes];
        using NativeBuffer<float> scores = new(rows * Tile);
        using NativeBuffer<ushort> weights = new(rows * Tile);
        SpanCall call = new()
        {
            Queries = queries.Pointer, Scores = scores.Pointer, Keep = keep, Weights = weights.Pointer, Blocks = blocks, Left = blocks * places.Length, NextTile = tiles, Tile = tiles, NextBlocks = blocks, BlocksLeft = blocks,
        };
        AmxSpanKernels.Attend(rows, columns, blocks).Entry(&call);
        foreach (GCHandle handle in held) handle.Free();
    }

    private static NativeBuffer<ushort> Bits(Random random, int length, float magnitude)
    {
        NativeBuffer<ushort> bits = new(length);
        foreach (ref ushort x in bits.Span(0, length)) x = BF16.FromSingle(magnitude * (float)(random.NextDouble() * 2 - 1));
        return bits;
    }

    /// <summary>Copies of what a span begins with.</summary>
    private sealed class State(float[] max, float[] sum, float[] results)
    {
        public float[] Max { get; } = [.. max];

        public float[] Sum { get; } = [.. sum];

        public float[] Results { get; } = [.. results];
    }
}
