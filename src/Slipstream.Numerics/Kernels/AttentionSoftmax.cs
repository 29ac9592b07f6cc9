using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>The online softmax of one query row over one tile of 64 scores (Milakov and Gimelshein, arXiv:1805.02867).</summary>
internal static unsafe class AttentionSoftmax
{
    /// <summary>Turns the scores of seen places into the power of (score − the new maximum), all others into 0, and updates maximum and sum of each row; a row that sees nothing is left alone.</summary>
    /// <typeparam name="TExponential">The power.</typeparam>
    /// <param name="rows">Rows.</param>
    /// <param name="scores"><c>[rows, 64]</c>; places that are not seen may hold anything.</param>
    /// <param name="masks">For each row: bit j is set if place j is seen.</param>
    /// <param name="max">For each row the maximum so far, −∞ at first.</param>
    /// <param name="sum">For each row the sum so far.</param>
    /// <param name="keep">Receives for each row what its sum and weighted values so far are worth under the new maximum.</param>
    /// <param name="bits">Null; or receives the results as bfloat16, <c>[rows, 64]</c>, zero in a row that sees nothing; then these are what is added up, so that a row's weights sum up to one, and what the scores hold afterwards is undefined.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void Step<TExponential>(int rows, float* scores, ulong* masks, float* max, float* sum, float* keep, ushort* bits = null) where TExponential : IExponential
    {
        // SAFETY: the caller's scores hold a tile a row, all else one element a row.
        for (int row = 0; row < rows; row++, scores += TiledAttention.Tile)
        {
            ulong mask = masks[row];
            float top = max[row], factor = 1, tileSum;
            if (mask == 0)
            {
                keep[row] = 1;
                if (bits != null) new Span<ushort>(bits + row * TiledAttention.Tile, TiledAttention.Tile).Clear();
                continue;
            }
            if (Vector512.IsHardwareAccelerated)
            {
                Vector512<float> s0 = Vector512.Load(scores), s1 = Vector512.Load(scores + 16), s2 = Vector512.Load(scores + 32), s3 = Vector512.Load(scores + 48);
                if (mask != ulong.MaxValue)
                {
                    s0 = Seen(s0, (int)(mask & 0xFFFF));
                    s1 = Seen(s1, (int)(mask >> 16 & 0xFFFF));
                    s2 = Seen(s2, (int)(mask >> 32 & 0xFFFF));
                    s3 = Seen(s3, (int)(mask >> 48));
                }
                Vector512<float> m = Vector512.MaxNative(Vector512.MaxNative(s0, s1), Vector512.MaxNative(s2, s3));
                Raise<TExponential>(Maximum(Vector256.MaxNative(m.GetLower(), m.GetUpper())), ref top, ref factor);
                Vector512<float> shift = Vector512.Create(top);
                s0 = TExponential.NonPositive(s0 - shift);
                s1 = TExponential.NonPositive(s1 - shift);
                s2 = TExponential.NonPositive(s2 - shift);
                s3 = TExponential.NonPositive(s3 - shift);
                if (bits != null)
                {
                    Vector512<ushort> low = Narrow(s0, s1), high = Narrow(s2, s3);
                    low.Store(bits + row * TiledAttention.Tile);
                    high.Store(bits + row * TiledAttention.Tile + 32);
                    tileSum = Lanes.Sum(((Odd(low) + Even(low)) + Odd(high)) + Even(high));
                }
                else
                {
                    s0.Store(scores);
                    s1.Store(scores + 16);
                    s2.Store(scores + 32);
                    s3.Store(scores + 48);
                    tileSum = Lanes.Sum((s0 + s1) + (s2 + s3));
                }
            }
            else
            {
                Vector256<float> m = Vector256.Create(float.NegativeInfinity);
                for (int i = 0; i < TiledAttention.Tile; i += 8)
                {
                    Vector256<float> s = Seen(Vector256.Load(scores + i), (int)(mask >> i & 0xFF));
                    m = Vector256.MaxNative(m, s);
                    s.Store(scores + i);
                }
                Raise<TExponential>(Maximum(m), ref top, ref factor);
                Vector256<float> shift = Vector256.Create(top);
                for (int i = 0; i < TiledAttention.Tile; i += 8) TExponential.NonPositive(Vector256.Load(scores + i) - shift).Store(scores + i);
                if (bits != null)
                {
                    ushort* to = bits + row * TiledAttention.Tile;
                    BF16.Encode(new ReadOnlySpan<float>(scores, TiledAttention.Tile), MemoryMarshal.AsBytes(new Span<ushort>(to, TiledAttention.Tile)));
                    Vector512<ushort> low = Vector512.Load(to), high = Vector512.Load(to + 32);
                    tileSum = Lanes.Sum(((Odd(low) + Even(low)) + Odd(high)) + Even(high));
                }
                else
                {
                    Vector256<float> low = (Vector256.Load(scores) + Vector256.Load(scores + 16)) + (Vector256.Load(scores + 32) + Vector256.Load(scores + 48));
                    Vector256<float> high = (Vector256.Load(scores + 8) + Vector256.Load(scores + 24)) + (Vector256.Load(scores + 40) + Vector256.Load(scores + 56));
                    tileSum = Lanes.Sum(Vector512.Create(low, high));
                }
            }
            max[row] = top;
            sum[row] = MathF.FusedMultiplyAdd(sum[row], factor, tileSum);
            keep[row] = factor;
        }
    }

    /// <summary>The first and the second of each two weights, in 32 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Even(Vector512<ushort> weights) => (weights.AsUInt32() << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Odd(Vector512<ushort> weights) => (weights.AsUInt32() & Vector512.Create(0xFFFF_0000u)).AsSingle();

    /// <summary>As <see cref="BF16"/> rounds. Scores are sums of bfloat16, so no NaN of theirs has low bits that rounding could carry into the sign.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ushort> Narrow(Vector512<float> low, Vector512<float> high)
    {
        return Vector512.Narrow(Rounded(low.AsUInt32()), Rounded(high.AsUInt32()));

        static Vector512<uint> Rounded(Vector512<uint> x) => (x + Vector512.Create(0x7FFFu) + (x >> 16 & Vector512<uint>.One)) >> 16;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Raise<TExponential>(float tileTop, ref float top, ref float factor) where TExponential : IExponential
    {
        if (tileTop <= top) return;
        factor = TExponential.NonPositive(top - tileTop);
        top = tileTop;
    }

    /// <summary>The definition, with the exponential and the sum in double precision.</summary>
    internal static float Reference(Span<float> scores, ulong mask, ref float max, ref float sum)
    {
        float top = max;
        for (int i = 0; i < scores.Length; i++)
            if ((mask >> i & 1) != 0) top = MathF.Max(top, scores[i]);
        double keep = Math.Exp((double)max - top), all = sum * keep;
        for (int i = 0; i < scores.Length; i++)
        {
            double e = (mask >> i & 1) != 0 ? Math.Exp((double)scores[i] - top) : 0;
            scores[i] = (float)e;
            all += e;
        }
        (max, sum) = (top, (float)all);
        return (float)keep;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Seen(Vector512<float> scores, int mask)
    {
        Vector512<int> bits = Vector512.Create(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768);
        return Vector512.ConditionalSelect(Vector512.Equals(Vector512.Create(mask) & bits, bits).AsSingle(), scores, Vector512.Create(float.NegativeInfinity));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Seen(Vector256<float> scores, int mask)
    {
        Vector256<int> bits = Vector256.Create(1, 2, 4, 8, 16, 32, 64, 128);
        return Vector256.ConditionalSelect(Vector256.Equals(Vector256.Create(mask) & bits, bits).AsSingle(), scores, Vector256.Create(float.NegativeInfinity));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Maximum(Vector256<float> m)
    {
        Vector128<float> four = Vector128.MaxNative(m.GetLower(), m.GetUpper());
        Vector128<float> two = Vector128.MaxNative(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return Vector128.MaxNative(two, Vector128.Shuffle(two, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }
}
