using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Tests.Caching;

public sealed class KvTableTests
{
    private static readonly KvLayout Layout = new(2, 1, 4);

    [Theory]
    [InlineData(1), InlineData(3), InlineData(16)]
    public void Random_edits_match_a_list(int blockRows)
    {
        using KvStore store = new(Layout, 400 / blockRows + 40, blockRows);
        Random random = new(blockRows);
        KvTable[] tables = [new(store), new(store), new(store)];
        List<(int Position, float Mark)>[] models = [[], [], []];
        float mark = 0;
        for (int step = 0; step < 2000; step++)
        {
            int t = random.Next(3);
            if (random.Next(3) > 0 && models[t].Count < 100)
            {
                int position = models[t].Count == 0 ? 0 : models[t][^1].Position + 1;
                Write(store, tables[t].Append(position), ++mark);
                models[t].Add((position, mark));
            }
            else if (random.Next(2) == 0)
            {
                int keep = random.Next(models[t].Count + 1);
                tables[t].Truncate(keep);
                models[t].RemoveRange(keep, models[t].Count - keep);
            }
            else
            {
                bool[] keep = [.. models[t].Select(_ => random.Next(4) > 0)];
                tables[t].Retain(keep);
                models[t] = [.. models[t].Where((_, i) => keep[i])];
            }
            Assert.Equal(models[t].Select(m => m.Position), tables[t].Positions.ToArray());
            for (int row = 0; row < models[t].Count; row++) Assert.Equal(models[t][row].Mark, Read(store, tables[t].Slots[row]));
        }
        foreach (KvTable table in tables) table.Truncate(0);
        Assert.Equal(store.Blocks, store.FreeBlocks);
    }

    [Fact]
    public void Blocks_for_rows_is_what_append_takes()
    {
        using KvStore store = new(Layout, 10, 4);
        KvTable table = new(store);
        for (int rows = 0; rows < 20; rows++)
        {
            int free = store.FreeBlocks, expected = table.BlocksFor(1);
            table.Append(rows);
            Assert.Equal(expected, free - store.FreeBlocks);
        }
        Assert.Equal(5, table.BlocksFor(20));
        Assert.Throws<InvalidOperationException>(() =>
        {
            for (int i = 0; i < 100; i++) table.Append(20 + i);
        });
    }

    [Theory]
    [InlineData(CacheType.F32, 24 * 4), InlineData(CacheType.F16, 24 * 2), InlineData(CacheType.Q8, 24 + 2), InlineData(CacheType.Bf16, 32 * 2)]
    public void A_row_comes_back_from_its_own_place(CacheType type, int headBytes)
    {
        KvLayout layout = new(2, 3, 24, type);
        Assert.Equal(2 * 2 * 3 * headBytes, layout.BytesPerRow);
        using KvStore store = new(layout, 3, 5);
        Assert.Equal((type == CacheType.Bf16 ? 16 : 15) * layout.BytesPerRow, store.Bytes); // Of bfloat16 whole groups.
        // Powers of two have no rounding error in any type.
        float Number(int layer, int slot, int part) => MathF.ScaleB(1 + part, (layer * 15 + slot) % 14);
        for (int layer = 0; layer < 2; layer++)
            for (int slot = 0; slot < 15; slot++)
                store.Write(layer, slot, Filled(Number(layer, slot, 0), 72), Filled(Number(layer, slot, 1), 72));
        float[] key = new float[72], value = new float[72];
        for (int layer = 0; layer < 2; layer++)
            for (int slot = 0; slot < 15; slot++)
            {
                store.Read(layer, slot, key, value);
                float tolerance = type == CacheType.Q8 ? 1e-3f : 0;
                Assert.All(key, x => Assert.Equal(1, x / Number(layer, slot, 0), tolerance));
                Assert.All(value, x => Assert.Equal(1, x / Number(layer, slot, 1), tolerance));
            }
        Assert.Throws<ArgumentException>(() => store.Write(0, 0, key, value.AsSpan(1)));
        Assert.Throws<ArgumentException>(() => store.Read(0, 0, key.AsSpan(1), value));
    }

    [Theory]
    [InlineData(CacheType.F32, 24), InlineData(CacheType.F16, 64), InlineData(CacheType.Q8, 40), InlineData(CacheType.Bf16, 24), InlineData(CacheType.Bf16, 64), InlineData(CacheType.Bf16, 72)]
    public void Rows_written_together_are_those_written_one_by_one(CacheType type, int headSize)
    {
        KvLayout layout = new(2, 3, headSize, type);
        using KvStore together = new(layout, 8, 5), alone = new(layout, 8, 5);
        Random random = new(headSize);
        int width = layout.Width;
        for (int round = 0; round < 300; round++)
        {
            // Runs that begin and end anywhere in a group, over its end, and with gaps.
            int first = random.Next(together.Slots);
            int[] slots = [.. Enumerable.Range(first, random.Next(1, 24)).Where(slot => slot < together.Slots && (slot == first || random.Next(12) > 0))];
            if (random.Next(4) == 0) random.Shuffle(slots);
            float[] keys = Noise(slots.Length * width), values = Noise(slots.Length * width);
            together.Write(1, slots, new Matrix(keys, slots.Length, width), new Matrix(values, slots.Length, width));
            for (int i = 0; i < slots.Length; i++) alone.Write(1, slots[i], keys.AsSpan(i * width, width), values.AsSpan(i * width, width));
            for (int layer = 0; layer < 2; layer++)
            {
                Assert.Equal(Bytes(alone.Keys(layer)), Bytes(together.Keys(layer)));
                Assert.Equal(Bytes(alone.Values(layer)), Bytes(together.Values(layer)));
            }
        }
        Assert.Throws<ArgumentException>(() => together.Write(0, [0], new Matrix(new float[width + 1], 1, width + 1), new Matrix(new float[width], 1, width)));

        float[] Noise(int length) => [.. Enumerable.Range(0, length).Select(_ => random.NextSingle() - 0.5f)];

        static byte[] Bytes(ByteRegion region) => region.Span(0, (int)region.Length).ToArray();
    }

    [Theory]
    [InlineData(CacheType.F32), InlineData(CacheType.Bf16)]
    public void Few_rows_of_a_large_cache_lie_together(CacheType type)
    {
        KvLayout layout = new(16, 16, 128, type);
        using KvStore store = new(layout, 60, 10);
        CacheChunks chunks = store.Chunks;
        Assert.InRange(chunks.Rows, 64, 128);
        Assert.True(store.Slots > 3 * chunks.Rows);
        Assert.Equal(chunks.Rows * layout.BytesPerRow, chunks.Bytes);
        Assert.InRange(store.Bytes, store.Slots * layout.BytesPerRow, store.Slots * layout.BytesPerRow + chunks.Bytes);
        // The last values of the first rows end where the first chunk ends.
        Assert.Equal(chunks.Bytes - 16 * chunks.Rows * layout.HeadBytes, store.Bytes - store.Values(15).Length);
        int[] slots = [0, 1, 63, 64, chunks.Rows - 1, chunks.Rows, 2 * chunks.Rows + 17, store.Slots - 1];
        float[] key = new float[layout.Width], value = new float[layout.Width];
        foreach (int layer in (ReadOnlySpan<int>)[0, 7, 15])
            foreach (int slot in slots) store.Write(layer, slot, Filled(layer * 8 + slot % 8, layout.Width), Filled(-slot % 16, layout.Width));
        foreach (int layer in (ReadOnlySpan<int>)[0, 7, 15])
            foreach (int slot in slots)
            {
                store.Read(layer, slot, key, value);
                Assert.All(key, x => Assert.Equal(layer * 8 + slot % 8, x));
                Assert.All(value, x => Assert.Equal(-slot % 16, x));
            }
    }

    [Fact]
    public void A_small_cache_is_in_one_piece()
    {
        using KvStore store = new(new KvLayout(2, 3, 64, CacheType.Bf16), 8, 5);
        Assert.Equal(default, store.Chunks);
        Assert.Equal(48 * store.Layout.BytesPerRow, store.Bytes);
    }

    private static float[] Filled(float number, int length)
    {
        float[] row = new float[length];
        Array.Fill(row, number);
        return row;
    }

    private static void Write(KvStore store, int slot, float mark) => store.Write(1, slot, [mark, mark, mark, mark], [0, 0, 0, 0]);

    private static float Read(KvStore store, int slot)
    {
        Span<float> key = stackalloc float[4], value = stackalloc float[4];
        store.Read(1, slot, key, value);
        return key[0];
    }

    [Fact]
    public void Wrong_flag_counts_and_lengths_are_refused()
    {
        using KvStore store = new(Layout, 2, 4);
        KvTable table = new(store);
        table.Append(0);
        Assert.Throws<ArgumentException>(() => table.Retain([]));
        Assert.Throws<ArgumentOutOfRangeException>(() => table.Truncate(2));
    }
}
