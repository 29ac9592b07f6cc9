namespace Slipstream.TestSupport;

/// <summary>A covering array of strength two: every pair of values of every two axes stands in some row. Greedy and deterministic.</summary>
internal static class Pairwise
{
    public static List<int[]> Cover(int[] levels)
    {
        HashSet<(int A, int X, int B, int Y)> open = [];
        for (int a = 0; a < levels.Length; a++)
            for (int b = a + 1; b < levels.Length; b++)
                for (int x = 0; x < levels[a]; x++)
                    for (int y = 0; y < levels[b]; y++) open.Add((a, x, b, y));
        List<int[]> rows = [];
        Random random = new(7);
        while (open.Count > 0)
        {
            int[] best = [];
            int most = -1;
            for (int attempt = 0; attempt < 60; attempt++)
            {
                int[] row = [.. levels.Select(n => random.Next(n))];
                int covered = Pairs(row).Count(open.Contains);
                if (covered > most) (best, most) = (row, covered);
            }
            if (most == 0)
            {
                (int a, int x, int b, int y) = open.First();
                (best[a], best[b]) = (x, y);
            }
            foreach (var pair in Pairs(best)) open.Remove(pair);
            rows.Add(best);
        }
        return rows;
    }

    private static IEnumerable<(int A, int X, int B, int Y)> Pairs(int[] row)
    {
        for (int a = 0; a < row.Length; a++)
            for (int b = a + 1; b < row.Length; b++) yield return (a, row[a], b, row[b]);
    }
}
