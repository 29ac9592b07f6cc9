using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Sampling;

/// <summary>Vector arithmetic over one row of logits or probabilities. Allocates nothing.</summary>
/// <remarks>
/// Always 16 lanes, in hardware or not, and the tail goes through the same lanes, padded: equal logits get equal weights wherever they
/// stand, and a seed draws the same tokens on machines with other vector widths. Sums are floats within 1,024 elements and doubles beyond.
/// </remarks>
internal static class RowMath
{
    private const int Lanes = 16;
    private const int Block = 64 * Lanes;

    /// <summary>The largest element; −∞ for an empty row.</summary>
    public static float Max(ReadOnlySpan<float> row)
    {
        ref float r = ref MemoryMarshal.GetReference(row);
        // Four chains: one would wait for itself.
        Vector512<float> best = Vector512.Create(float.NegativeInfinity), b = best, c = best, d = best;
        int i = 0;
        for (; i + 4 * Lanes <= row.Length; i += 4 * Lanes)
        {
            best = Vector512.Max(best, Vector512.LoadUnsafe(ref r, (nuint)i));
            b = Vector512.Max(b, Vector512.LoadUnsafe(ref r, (nuint)i + Lanes));
            c = Vector512.Max(c, Vector512.LoadUnsafe(ref r, (nuint)i + 2 * Lanes));
            d = Vector512.Max(d, Vector512.LoadUnsafe(ref r, (nuint)i + 3 * Lanes));
        }
        best = Vector512.Max(Vector512.Max(best, b), Vector512.Max(c, d));
        for (; i + Lanes <= row.Length; i += Lanes) best = Vector512.Max(best, Vector512.LoadUnsafe(ref r, (nuint)i));
        if (i < row.Length) best = Vector512.Max(best, LoadTail(row[i..], float.NegativeInfinity));
        return Reduce(best);
    }

    /// <summary>The lowest index of the largest element.</summary>
    public static int ArgMax(ReadOnlySpan<float> row)
    {
        float max = Max(row);
        ref float r = ref MemoryMarshal.GetReference(row);
        Vector512<float> wanted = Vector512.Create(max);
        int i = 0;
        for (; i + Lanes <= row.Length; i += Lanes)
        {
            ulong found = Vector512.Equals(Vector512.LoadUnsafe(ref r, (nuint)i), wanted).ExtractMostSignificantBits();
            if (found != 0) return i + BitOperations.TrailingZeroCount(found);
        }
        while (i < row.Length - 1 && row[i] != max) i++;
        return i;
    }

    /// <summary><c>row[i] = (row[i] − shift) / divisor</c>, true division, as the reference library rounds; returns the largest result.</summary>
    public static float Divide(Span<float> row, float shift, float divisor)
    {
        ref float r = ref MemoryMarshal.GetReference(row);
        Vector512<float> best = Vector512.Create(float.NegativeInfinity), by = Vector512.Create(divisor), less = Vector512.Create(shift);
        int i = 0;
        for (; i + Lanes <= row.Length; i += Lanes)
        {
            Vector512<float> y = (Vector512.LoadUnsafe(ref r, (nuint)i) - less) / by;
            y.StoreUnsafe(ref r, (nuint)i);
            best = Vector512.Max(best, y);
        }
        float max = Reduce(best);
        for (; i < row.Length; i++) max = MathF.Max(max, row[i] = (row[i] - shift) / divisor);
        return max;
    }

    /// <summary>The sum of <c>exp(row[i] − max)</c>; no element is above <paramref name="max"/>.</summary>
    public static double SumExp(ReadOnlySpan<float> row, float max)
    {
        ref float r = ref MemoryMarshal.GetReference(row);
        Vector512<float> shift = Vector512.Create(max);
        double total = 0;
        int i = 0;
        while (i + Lanes <= row.Length)
        {
            Vector512<float> sum = Vector512<float>.Zero;
            for (int end = Math.Min(row.Length, i + Block); i + Lanes <= end; i += Lanes)
                sum += Exponential.NonPositive(Vector512.LoadUnsafe(ref r, (nuint)i) - shift);
            total += Vector512.Sum(sum);
        }
        if (i < row.Length) total += Vector512.Sum(Exponential.NonPositive(LoadTail(row[i..], float.NegativeInfinity) - shift));
        return total;
    }

    /// <summary><c>row[i] = exp(row[i] − max)</c>; returns the sum. No element is above <paramref name="max"/>.</summary>
    public static double Exp(Span<float> row, float max)
    {
        ref float r = ref MemoryMarshal.GetReference(row);
        Vector512<float> shift = Vector512.Create(max);
        double total = 0;
        int i = 0;
        while (i + Lanes <= row.Length)
        {
            Vector512<float> sum = Vector512<float>.Zero;
            for (int end = Math.Min(row.Length, i + Block); i + Lanes <= end; i += Lanes)
            {
                Vector512<float> e = Exponential.NonPositive(Vector512.LoadUnsafe(ref r, (nuint)i) - shift);
                e.StoreUnsafe(ref r, (nuint)i);
                sum += e;
            }
            total += Vector512.Sum(sum);
        }
        if (i < row.Length)
        {
            Vector512<float> e = Exponential.NonPositive(LoadTail(row[i..], float.NegativeInfinity) - shift);
            StoreTail(e, row[i..]);
            total += Vector512.Sum(e);
        }
        return total;
    }

    /// <summary><c>row[i] *= factor</c>.</summary>
    public static void Scale(Span<float> row, float factor)
    {
        ref float r = ref MemoryMarshal.GetReference(row);
        Vector512<float> by = Vector512.Create(factor);
        int i = 0;
        for (; i + Lanes <= row.Length; i += Lanes) (Vector512.LoadUnsafe(ref r, (nuint)i) * by).StoreUnsafe(ref r, (nuint)i);
        for (; i < row.Length; i++) row[i] *= factor;
    }

    /// <summary>The sum of the row.</summary>
    public static double Sum(ReadOnlySpan<float> row)
    {
        ref float r = ref MemoryMarshal.GetReference(row);
        double total = 0;
        int i = 0;
        while (i + Lanes <= row.Length)
        {
            Vector512<float> sum = Vector512<float>.Zero;
            for (int end = Math.Min(row.Length, i + Block); i + Lanes <= end; i += Lanes) sum += Vector512.LoadUnsafe(ref r, (nuint)i);
            total += Vector512.Sum(sum);
        }
        if (i < row.Length) total += Vector512.Sum(LoadTail(row[i..], 0));
        return total;
    }

    /// <summary>The sum of <c>max(0, p[i] − q[i])</c>: the mass that a rejection leaves.</summary>
    public static double SumExcess(ReadOnlySpan<float> p, ReadOnlySpan<float> q)
    {
        ref float a = ref MemoryMarshal.GetReference(p);
        ref float b = ref MemoryMarshal.GetReference(q);
        double total = 0;
        int i = 0;
        while (i + Lanes <= p.Length)
        {
            Vector512<float> sum = Vector512<float>.Zero;
            for (int end = Math.Min(p.Length, i + Block); i + Lanes <= end; i += Lanes)
                sum += Vector512.Max(Vector512<float>.Zero, Vector512.LoadUnsafe(ref a, (nuint)i) - Vector512.LoadUnsafe(ref b, (nuint)i));
            total += Vector512.Sum(sum);
        }
        for (; i < p.Length; i++) total += MathF.Max(0, p[i] - q[i]);
        return total;
    }

    /// <summary><c>p[i] = max(0, p[i] − q[i]) · factor</c>.</summary>
    public static void Excess(Span<float> p, ReadOnlySpan<float> q, float factor)
    {
        ref float a = ref MemoryMarshal.GetReference(p);
        ref float b = ref MemoryMarshal.GetReference(q);
        Vector512<float> by = Vector512.Create(factor);
        int i = 0;
        for (; i + Lanes <= p.Length; i += Lanes)
            (Vector512.Max(Vector512<float>.Zero, Vector512.LoadUnsafe(ref a, (nuint)i) - Vector512.LoadUnsafe(ref b, (nuint)i)) * by).StoreUnsafe(ref a, (nuint)i);
        for (; i < p.Length; i++) p[i] = MathF.Max(0, p[i] - q[i]) * factor;
    }

    private static float Reduce(Vector512<float> v)
    {
        Vector256<float> half = Vector256.Max(v.GetLower(), v.GetUpper());
        Vector128<float> quarter = Vector128.Max(half.GetLower(), half.GetUpper());
        return MathF.Max(MathF.Max(quarter[0], quarter[1]), MathF.Max(quarter[2], quarter[3]));
    }

    private static Vector512<float> LoadTail(ReadOnlySpan<float> tail, float padding)
    {
        Span<float> lanes = stackalloc float[Lanes];
        lanes.Fill(padding);
        tail.CopyTo(lanes);
        return Vector512.Create<float>(lanes);
    }

    private static void StoreTail(Vector512<float> v, Span<float> tail)
    {
        Span<float> lanes = stackalloc float[Lanes];
        v.CopyTo(lanes);
        lanes[..tail.Length].CopyTo(tail);
    }
}
