using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Slipstream.Sampling;

namespace Slipstream.Distillation.Drafts;

/// <summary>The most likely tokens of a row of logits, and the probability of the rest.</summary>
internal static class TeacherRow
{
    private const int Lanes = 16;

    /// <summary>Keys that <see cref="Select"/> needs room for.</summary>
    public static int KeysFor(int best) => 4 * best + 8 * Lanes;

    /// <summary>Selects the best tokens, best first, the lower token first on ties. Allocates nothing.</summary>
    /// <param name="logits"><c>[vocabulary]</c>, finite; divided by the temperature where that is not 1.</param>
    /// <param name="temperature">Over 0.</param>
    /// <param name="tokens">The ids, <c>[k]</c>, k at most the vocabulary.</param>
    /// <param name="logProbabilities">Their log-probabilities, <c>[k]</c>.</param>
    /// <param name="keys">Scratch, <see cref="KeysFor"/>.</param>
    /// <returns>The probability of all other tokens together; exactly 0 where there are none.</returns>
    public static double Select(Span<float> logits, double temperature, Span<int> tokens, Span<float> logProbabilities, Span<ulong> keys)
    {
        int best = tokens.Length;
        float max = temperature == 1 ? RowMath.Max(logits) : RowMath.Divide(logits, 0, (float)temperature);
        double logTotal = Math.Log(RowMath.SumExp(logits, max));
        int count = Collect(logits, best, keys);
        Selection.TakeLargest(keys[..count], best);
        keys[..best].Sort();
        double mass = 0;
        for (int i = 0; i < best; i++)
        {
            int token = (int)~(uint)keys[best - 1 - i];
            double logProbability = logits[token] - max - logTotal;
            (tokens[i], logProbabilities[i]) = (token, (float)logProbability);
            mass += Math.Exp(logProbability);
        }
        return best == logits.Length ? 0 : Math.Max(0, 1 - mass);
    }

    /// <summary>The definition, by sorting the whole row.</summary>
    internal static double Reference(ReadOnlySpan<float> logits, double temperature, Span<int> tokens, Span<float> logProbabilities)
    {
        double[] scaled = new double[logits.Length];
        for (int i = 0; i < scaled.Length; i++) scaled[i] = logits[i] / temperature;
        double max = scaled.Max(), total = scaled.Sum(x => Math.Exp(x - max)), mass = 0;
        int[] order = [.. Enumerable.Range(0, scaled.Length).OrderByDescending(i => scaled[i]).ThenBy(i => i)];
        for (int i = 0; i < tokens.Length; i++)
        {
            tokens[i] = order[i];
            logProbabilities[i] = (float)(scaled[order[i]] - max - Math.Log(total));
            mass += Math.Exp(scaled[order[i]] - max) / total;
        }
        return Math.Max(0, 1 - mass);
    }

    /// <summary>Fills <paramref name="keys"/> with all that can be among the best: what is over a threshold that rises each time the room is full.</summary>
    private static int Collect(ReadOnlySpan<float> row, int best, Span<ulong> keys)
    {
        ref float r = ref MemoryMarshal.GetReference(row);
        float threshold = float.NegativeInfinity;
        Vector512<float> limit = Vector512.Create(threshold);
        int count = 0, i = 0;
        for (; i + Lanes <= row.Length; i += Lanes)
        {
            ulong over = Vector512.GreaterThan(Vector512.LoadUnsafe(ref r, (nuint)i), limit).ExtractMostSignificantBits();
            if (over == 0) continue;
            for (; over != 0; over &= over - 1)
            {
                int token = i + BitOperations.TrailingZeroCount(over);
                keys[count++] = Key(row[token], token);
            }
            if (count + Lanes <= keys.Length) continue;
            Selection.TakeLargest(keys[..count], best);
            count = best;
            // Later tokens of the same logit lose the tie, so only what is over it matters.
            threshold = row[(int)~(uint)keys[best - 1]];
            limit = Vector512.Create(threshold);
        }
        for (; i < row.Length; i++)
            if (row[i] > threshold) keys[count++] = Key(row[i], i);
        return count;
    }

    // Floats in their order as unsigned numbers; of equal ones the lower token is the larger key.
    private static ulong Key(float value, int token)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value + 0f);
        uint ordered = (bits & 0x8000_0000) != 0 ? ~bits : bits | 0x8000_0000;
        return ((ulong)ordered << 32) | ~(uint)token;
    }
}
