using Slipstream.Sampling;

namespace Slipstream.Speculation;

/// <summary>Draws from a row of probabilities by the inverse of its cumulative distribution.</summary>
internal static class Drawing
{
    // Elements whose sum is a float's, and those of a block that are gone through one by one.
    private const int Block = 1024, Few = 64;

    /// <summary>
    /// The token at which the cumulative weight passes <paramref name="u"/> times the whole; never one of weight 0. The weights need not sum to 1.
    /// </summary>
    /// <param name="weights"><c>[vocabulary]</c>, not negative, not all 0.</param>
    /// <param name="u">In [0, 1).</param>
    public static int InverseCdf(ReadOnlySpan<float> weights, double u)
    {
        // Summing twice is cheaper than a memory of block sums, and needs none whatever the vocabulary.
        double total = 0;
        for (int at = 0; at < weights.Length; at += Block) total += RowMath.Sum(Piece(weights, at, Block));
        double target = u * total, below = 0;
        int block = Narrow(weights, Block, target, ref below), few = block + Narrow(Piece(weights, block, Block), Few, target, ref below), chosen = 0;
        ReadOnlySpan<float> rest = Piece(weights, few, Few);
        for (int i = 0; i < rest.Length; i++)
        {
            if (!(rest[i] > 0)) continue;
            chosen = i;
            below += rest[i];
            if (below > target) break;
        }
        return few + chosen;
    }

    /// <summary>The first piece of <paramref name="size"/> in which the cumulative weight passes the target, or the last that has any; adds what lies before it.</summary>
    private static int Narrow(ReadOnlySpan<float> weights, int size, double target, ref double below)
    {
        int last = 0;
        double before = below;
        for (int at = 0; at < weights.Length; at += size)
        {
            double sum = RowMath.Sum(Piece(weights, at, size));
            if (sum == 0) continue;
            (last, below) = (at, before);
            before += sum;
            if (before > target) break;
        }
        return last;
    }

    private static ReadOnlySpan<float> Piece(ReadOnlySpan<float> weights, int at, int size) => weights.Slice(at, Math.Min(size, weights.Length - at));
}
