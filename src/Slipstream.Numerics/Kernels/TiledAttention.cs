using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>
/// Attention over tiles of 64 original positions with an online softmax (Dao et al., arXiv:2205.14135; Milakov and Gimelshein, arXiv:1805.02867),
/// for multi-head, grouped-query (arXiv:2305.13245) and multi-query attention, windows and draft trees.
/// </summary>
/// <remarks>
/// The order of accumulation depends on positions alone: a tile is the positions [64 t, 64 t + 64), a row sits in its tile at position mod 64,
/// tiles are merged in ascending order and a tile with no visible row is skipped. So block size, chunking, batching and threads cannot change a bit.
/// Cached rows are read where they lie.
/// </remarks>
internal readonly unsafe ref struct TiledAttention : IRangeJob
{
    /// <summary>Positions in a tile.</summary>
    public const int Tile = 64;

    private readonly AttentionPlan _plan;
    private readonly ReadOnlySpan<float> _queries;
    private readonly Span<float> _output;
    private readonly float* _keys, _values;
    private readonly int _group, _kvHeads, _headSize, _stride, _queryStride, _outputStride, _window;
    private readonly float _scale;
    private readonly ComputeCounters _counters;

    /// <summary>Describes one layer's attention.</summary>
    /// <param name="plan">Who sees whom.</param>
    /// <param name="queries"><c>[rows, heads · headSize]</c>, rotated.</param>
    /// <param name="keys">The layer's keys, <c>[slots, kvHeads · headSize]</c>.</param>
    /// <param name="values">The layer's values, the same shape.</param>
    /// <param name="output"><c>[rows, heads · headSize]</c>, overwritten.</param>
    /// <param name="kvHeads">Key-value heads.</param>
    /// <param name="headSize">Floats in a head, at most 1024.</param>
    /// <param name="scale">Factor of the scores, usually 1 / √headSize.</param>
    /// <param name="window">Positions a row sees, itself included; 0 for all.</param>
    /// <param name="counters">Receives the bytes read.</param>
    public TiledAttention(AttentionPlan plan, Matrix queries, ByteRegion keys, ByteRegion values, Matrix output, int kvHeads, int headSize, float scale, int window, ComputeCounters counters)
    {
        _plan = plan;
        _queries = queries.Data;
        _output = output.Data;
        _keys = (float*)keys.Pointer;
        _values = (float*)values.Pointer;
        _kvHeads = kvHeads;
        _group = queries.Columns / headSize / kvHeads;
        _headSize = headSize;
        _stride = kvHeads * headSize;
        _queryStride = queries.Stride;
        _outputStride = output.Stride;
        _scale = scale;
        _window = window;
        _counters = counters;
    }

    /// <summary>Items of work: one for each item of the plan and key-value head.</summary>
    public int Count => _plan.ItemCount * _kvHeads;

    /// <inheritdoc/>
    [SkipLocalsInit]
    public void Execute(int from, int to, int worker)
    {
        int* slots = stackalloc int[Tile + 4];
        int* lanes = stackalloc int[Tile + 4];
        float* scratch = stackalloc float[Tile + _headSize + 32];
        float* states = stackalloc float[2 * AttentionPlan.RowsPerItem * _group];
        // SAFETY: the spans' memory cannot move or go while it is fixed; every index below comes from the plan, whose slots the store gave out.
        fixed (float* queries = _queries)
        fixed (float* output = _output)
            for (int i = from; i < to; i++)
            {
                (int sequence, int row) = _plan.Item(i / _kvHeads);
                Attend(in _plan.Sequence(sequence), row, i % _kvHeads, queries, output, slots, lanes, (float*)(((nuint)scratch + 63) & ~(nuint)63), states);
            }
    }

    private void Attend(in AttentionSequence s, int firstRow, int kvHead, float* queries, float* output, int* slots, int* lanes, float* scratch, float* states)
    {
        int rows = Math.Min(AttentionPlan.RowsPerItem, s.Rows - firstRow), head0 = kvHead * _group;
        int least = int.MaxValue, most = 0;
        for (int r = 0; r < rows; r++)
        {
            int position = s.Positions[s.Cached + firstRow + r];
            least = Math.Min(least, position);
            most = Math.Max(most, position);
            float* target = output + (long)(s.FirstRow + firstRow + r) * _outputStride + (long)head0 * _headSize;
            new Span<float>(target, _group * _headSize).Clear();
        }
        for (int i = 0; i < rows * _group; i++) (states[2 * i], states[2 * i + 1]) = (float.NegativeInfinity, 0);
        float* keys = _keys + (long)kvHead * _headSize, values = _values + (long)kvHead * _headSize;
        long read = 0;
        for (int tile = WindowStart(least) / Tile; tile <= most / Tile; tile++)
        {
            int begin = tile * Tile, end = begin + Tile;
            (int cached0, int cached1) = CachedRange(in s, begin, end);
            (int new0, int new1) = NewRange(in s, begin, end, firstRow + rows);
            read += cached1 - Math.Max(cached0, CachedRange(in s, begin, Math.Max(begin, WindowStart(least))).To);
            read += CountVisible(in s, firstRow, rows, new0, new1, begin, end, WindowStart(least));
            bool shared = new0 >= new1 && WindowStart(most) <= begin;
            int n = shared ? Collect(in s, 0, cached0, cached1, 0, 0, begin, end, 0, slots, lanes) : 0;
            for (int r = 0; r < rows; r++)
            {
                int row = firstRow + r;
                if (!shared) n = Collect(in s, row, cached0, cached1, new0, new1, begin, end, WindowStart(s.Positions[s.Cached + row]), slots, lanes);
                if (n == 0) continue;
                long at = (long)(s.FirstRow + row);
                for (int h = 0; h < _group; h++)
                    AttendTile(queries + at * _queryStride + (long)(head0 + h) * _headSize, keys, values, slots, lanes, n,
                        output + at * _outputStride + (long)(head0 + h) * _headSize, states + 2 * (r * _group + h), scratch);
            }
        }
        for (int r = 0; r < rows; r++)
            for (int h = 0; h < _group; h++)
            {
                float* target = output + (long)(s.FirstRow + firstRow + r) * _outputStride + (long)(head0 + h) * _headSize;
                float sum = states[2 * (r * _group + h) + 1];
                for (int d = 0; d < _headSize; d++) target[d] /= sum;
            }
        _counters.AddKv(read * _headSize * 2 * sizeof(float));
    }

    private int WindowStart(int position) => _window == 0 ? 0 : Math.Max(0, position - _window + 1);

    private static (int From, int To) CachedRange(in AttentionSequence s, int begin, int end)
        => (LowerBound(s.Positions, s.Cached, begin), LowerBound(s.Positions, s.Cached, end));

    private static int LowerBound(int[] positions, int count, int position)
    {
        // Without evictions a row's index is its position.
        if (position >= 0 && position < count && positions[position] == position) return position;
        int low = 0, high = count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (positions[middle] < position) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    private static (int From, int To) NewRange(in AttentionSequence s, int begin, int end, int limit)
    {
        if (end <= s.FirstPosition) return (0, 0);
        if (!s.IsChain) return (0, limit);
        int from = Math.Max(0, begin - s.FirstPosition), to = Math.Min(limit, end - s.FirstPosition);
        return from < to ? (from, to) : (0, 0);
    }

    /// <summary>Rows of the batch in the tile that at least one row of the item sees: each is read once.</summary>
    private int CountVisible(in AttentionSequence s, int firstRow, int rows, int new0, int new1, int begin, int end, int windowStart)
    {
        int count = 0;
        for (int j = new0; j < new1; j++)
        {
            int position = s.Positions[s.Cached + j];
            if (position < begin || position >= end || position < windowStart) continue;
            for (int r = Math.Max(0, j - firstRow); r < rows; r++)
                if (Sees(in s, firstRow + r, j))
                {
                    count++;
                    break;
                }
        }
        return count;
    }

    private bool Sees(in AttentionSequence s, int row, int other) => (_plan.Ancestors(in s, row)[other / 64] >> (other % 64) & 1) != 0;

    /// <summary>Lists the slots in the tile that a row sees, with their places in it, in ascending position.</summary>
    private int Collect(in AttentionSequence s, int row, int cached0, int cached1, int new0, int new1, int begin, int end, int windowStart, int* slots, int* lanes)
    {
        int n = 0;
        for (int c = cached0; c < cached1; c++)
        {
            int position = s.Positions[c];
            if (position < windowStart) continue;
            (slots[n], lanes[n]) = (s.Slots[c], position - begin);
            n++;
        }
        for (int j = new0; j < new1 && j <= row; j++)
        {
            int position = s.Positions[s.Cached + j];
            if (position < begin || position >= end || position < windowStart || !Sees(in s, row, j)) continue;
            (slots[n], lanes[n]) = (s.Slots[s.Cached + j], position - begin);
            n++;
        }
        return n;
    }

    /// <summary>Adds one tile to one query head's running maximum, sum and weighted values.</summary>
    /// <remarks>Compiled at once and on its own: profile-guided inlining into the caller spends the compiler's budget and leaves vector helpers as calls.</remarks>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private void AttendTile(float* query, float* keys, float* values, int* slots, int* lanes, int n, float* output, float* state, float* scratch)
    {
        float* scores = scratch, sums = scratch + Tile;
        Vector512<float> absent = Vector512.Create(float.NegativeInfinity);
        for (int i = 0; i < Tile; i += 16) absent.Store(scores + i);
        for (int pad = n; pad < ((n + 3) & ~3); pad++) slots[pad] = slots[n - 1];
        for (int i = 0; i < n; i += 4)
        {
            Vector128<float> four = Dot4(query, keys + (long)slots[i] * _stride, keys + (long)slots[i + 1] * _stride, keys + (long)slots[i + 2] * _stride, keys + (long)slots[i + 3] * _stride) * _scale;
            scores[lanes[i]] = four[0];
            if (i + 1 < n) scores[lanes[i + 1]] = four[1];
            if (i + 2 < n) scores[lanes[i + 2]] = four[2];
            if (i + 3 < n) scores[lanes[i + 3]] = four[3];
        }
        Vector512<float> s0 = Vector512.Load(scores), s1 = Vector512.Load(scores + 16), s2 = Vector512.Load(scores + 32), s3 = Vector512.Load(scores + 48);
        float tileMax = Maximum(Vector512.Max(Vector512.Max(s0, s1), Vector512.Max(s2, s3)));
        Vector512<float> max = Vector512.Create(tileMax);
        s0 = Vector512.Exp(s0 - max);
        s1 = Vector512.Exp(s1 - max);
        s2 = Vector512.Exp(s2 - max);
        s3 = Vector512.Exp(s3 - max);
        s0.Store(scores);
        s1.Store(scores + 16);
        s2.Store(scores + 32);
        s3.Store(scores + 48);
        float tileSum = Vector512.Sum((s0 + s1) + (s2 + s3));
        WeightedValues(scores, values, slots, lanes, n, sums);
        float newMax = MathF.Max(state[0], tileMax), keep = MathF.Exp(state[0] - newMax), add = MathF.Exp(tileMax - newMax);
        (state[0], state[1]) = (newMax, MathF.FusedMultiplyAdd(state[1], keep, tileSum * add));
        int d = 0;
        for (; d + 16 <= _headSize; d += 16)
            Vector512.FusedMultiplyAdd(Vector512.Load(output + d), Vector512.Create(keep), Vector512.Load(sums + d) * add).Store(output + d);
        for (; d < _headSize; d++) output[d] = MathF.FusedMultiplyAdd(output[d], keep, sums[d] * add);
    }

    private static float Maximum(Vector512<float> v)
    {
        Vector256<float> a = Vector256.Max(v.GetLower(), v.GetUpper());
        Vector128<float> b = Vector128.Max(a.GetLower(), a.GetUpper());
        return MathF.Max(MathF.Max(b[0], b[1]), MathF.Max(b[2], b[3]));
    }

    /// <summary>Four dot products of one query; each has the same order of accumulation as it would have alone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector128<float> Dot4(float* q, float* k0, float* k1, float* k2, float* k3)
    {
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        int d = 0;
        for (; d + 16 <= _headSize; d += 16)
        {
            Vector512<float> x = Vector512.Load(q + d);
            a0 = Vector512.FusedMultiplyAdd(x, Vector512.Load(k0 + d), a0);
            a1 = Vector512.FusedMultiplyAdd(x, Vector512.Load(k1 + d), a1);
            a2 = Vector512.FusedMultiplyAdd(x, Vector512.Load(k2 + d), a2);
            a3 = Vector512.FusedMultiplyAdd(x, Vector512.Load(k3 + d), a3);
        }
        Vector128<float> sum = SumEach(Fold(a0), Fold(a1), Fold(a2), Fold(a3));
        if (d == _headSize) return sum;
        float t0 = sum[0], t1 = sum[1], t2 = sum[2], t3 = sum[3];
        for (; d < _headSize; d++)
        {
            t0 = MathF.FusedMultiplyAdd(q[d], k0[d], t0);
            t1 = MathF.FusedMultiplyAdd(q[d], k1[d], t1);
            t2 = MathF.FusedMultiplyAdd(q[d], k2[d], t2);
            t3 = MathF.FusedMultiplyAdd(q[d], k3[d], t3);
        }
        return Vector128.Create(t0, t1, t2, t3);
    }

    private static Vector128<float> Fold(Vector512<float> v)
    {
        Vector256<float> half = v.GetLower() + v.GetUpper();
        return half.GetLower() + half.GetUpper();
    }

    /// <summary>The sum of each of four vectors, always as (0 + 1) + (2 + 3).</summary>
    private static Vector128<float> SumEach(Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d)
        => Sse3.IsSupported
            ? Sse3.HorizontalAdd(Sse3.HorizontalAdd(a, b), Sse3.HorizontalAdd(c, d))
            : Vector128.Create((a[0] + a[1]) + (a[2] + a[3]), (b[0] + b[1]) + (b[2] + b[3]), (c[0] + c[1]) + (c[2] + c[3]), (d[0] + d[1]) + (d[2] + d[3]));

    /// <summary><c>sums = Σ p[lane] · value</c>, in ascending position.</summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private void WeightedValues(float* p, float* values, int* slots, int* lanes, int n, float* sums)
    {
        int d = 0;
        for (; d + 64 <= _headSize; d += 64)
        {
            Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
            for (int i = 0; i < n; i++)
            {
                float* v = values + (long)slots[i] * _stride + d;
                Vector512<float> w = Vector512.Create(p[lanes[i]]);
                a0 = Vector512.FusedMultiplyAdd(w, Vector512.Load(v), a0);
                a1 = Vector512.FusedMultiplyAdd(w, Vector512.Load(v + 16), a1);
                a2 = Vector512.FusedMultiplyAdd(w, Vector512.Load(v + 32), a2);
                a3 = Vector512.FusedMultiplyAdd(w, Vector512.Load(v + 48), a3);
            }
            a0.Store(sums + d);
            a1.Store(sums + d + 16);
            a2.Store(sums + d + 32);
            a3.Store(sums + d + 48);
        }
        for (; d + 16 <= _headSize; d += 16)
        {
            Vector512<float> a = default;
            for (int i = 0; i < n; i++)
                a = Vector512.FusedMultiplyAdd(Vector512.Create(p[lanes[i]]), Vector512.Load(values + (long)slots[i] * _stride + d), a);
            a.Store(sums + d);
        }
        for (; d < _headSize; d++)
        {
            float a = 0;
            for (int i = 0; i < n; i++) a = MathF.FusedMultiplyAdd(p[lanes[i]], values[(long)slots[i] * _stride + d], a);
            sums[d] = a;
        }
    }
}
