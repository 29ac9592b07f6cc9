using Slipstream.Models;

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
                store.Key(1, tables[t].Append(position)).Fill(++mark);
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
            for (int row = 0; row < models[t].Count; row++) Assert.Equal(models[t][row].Mark, store.Key(1, tables[t].Slots[row])[0]);
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
