using System.Runtime.InteropServices;
using Slipstream.Sampling;

namespace Slipstream.Speculation;

/// <summary>Draws from a row of probabilities by the inverse of its cumulative distribution.</summary>
internal static class Drawing
{
    private const int Block = 1024;

    /// <summary>
    /// The token at which the cumulative weight passes <paramref name="u"/> times the whole; never one of weight 0. The weights need not sum to 1.
    /// </summary>
    /// <param name="weights"><c>[vocabulary]</c>, not negative, not all 0.</param>
    /// <param name="u">In [0, 1).</param>
    public static int InverseCdf(ReadOnlySpan<float> weights, double u)
    {
        int blocks = (weights.Length + Block - 1) / Block;
        // Summing twice is cheaper than a memory of block sums, and needs none whatever the vocabulary.
        double total = 0;
        for (int b = 0; b < blocks; b++) total += BlockSum(weights, b);
        double target = u * total, below = 0;
        int last = 0;
        for (int b = 0; b < blocks; b++)
        {
            double sum = BlockSum(weights, b);
            if (sum == 0) continue;
            last = b;
            if (below + sum > target) break;
            below += sum;
        }
        int token = last * Block;
        ReadOnlySpan<float> block = weights.Slice(token, Math.Min(Block, weights.Length - token));
        int chosen = -1;
        // Most of a block often is zero, all but one of it where the choice was greedy.
        for (int i = Math.Max(0, MemoryMarshal.Cast<float, int>(block).IndexOfAnyExcept(0)); i < block.Length; i++)
        {
            if (!(block[i] > 0)) continue;
            chosen = i;
            below += block[i];
            if (below > target) break;
        }
        return token + Math.Max(0, chosen);
    }

    private static double BlockSum(ReadOnlySpan<float> weights, int block) =>
        RowMath.Sum(weights.Slice(block * Block, Math.Min(Block, weights.Length - block * Block)));
}
