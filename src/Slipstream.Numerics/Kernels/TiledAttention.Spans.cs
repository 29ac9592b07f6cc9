using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <content>What the spans of an item leave, their merging in ascending order, and the result.</content>
internal readonly unsafe ref partial struct TiledAttention
{
    // SAFETY: (all below) states lie in the scratch, which was made for as many queries as an item has; outputs are fixed by the caller.
    private AttentionState Partial(int span, int kvHead, int count) => StateAt(_scratch.Partials + ((long)span * _kvHeads + kvHead) * _partialStride, count);

    private AttentionState StateAt(float* at, int count) => new(at + (long)count * _stride, at + (long)count * (_stride + 1), at);

    private static void BeginSums(in AttentionState state, int count)
    {
        new Span<float>(state.Max, count).Fill(float.NegativeInfinity);
        new Span<float>(state.Sum, count).Clear();
    }

    private void Begin(in AttentionState state, int count)
    {
        BeginSums(in state, count);
        new Span<float>(state.Values, count * _stride).Clear();
    }

    /// <summary>Copies a span's results to where whoever merges them looks.</summary>
    private void Leave(in AttentionState to, in AttentionState state, int count)
    {
        new Span<float>(state.Max, count).CopyTo(new Span<float>(to.Max, count));
        new Span<float>(state.Sum, count).CopyTo(new Span<float>(to.Sum, count));
        new Span<float>(state.Values, count * _stride).CopyTo(new Span<float>(to.Values, count * _stride));
    }

    // Nothing was seen: nothing is merged.
    private static void LeaveNothing(in AttentionState to, int count) => new Span<float>(to.Max, count).Fill(float.NegativeInfinity);

    /// <summary>Adds a span to the spans before it.</summary>
    [MethodImpl(KernelCode)]
    private void Merge(in AttentionState total, in AttentionState span, int count)
    {
        const int Together = 8;
        float* keep = stackalloc float[Together], add = stackalloc float[Together];
        for (int first = 0; first < count; first += Together)
        {
            // The scratch has room for whole vectors of maxima; what stands beyond the last row is not used.
            Vector256<float> old = Vector256.Load(total.Max + first), own = Vector256.Load(span.Max + first), max = Vector256.Max(old, own);
            (_rounds ? PowerOfTwo.NonPositive(old - max) : Exponential.NonPositive(old - max)).Store(keep);
            (_rounds ? PowerOfTwo.NonPositive(own - max) : Exponential.NonPositive(own - max)).Store(add);
            for (int i = 0; i < Math.Min(Together, count - first); i++)
            {
                int q = first + i;
                if (float.IsNegativeInfinity(span.Max[q])) continue;
                total.Max[q] = max[i];
                total.Sum[q] = MathF.FusedMultiplyAdd(total.Sum[q], keep[i], span.Sum[q] * add[i]);
                Scale(total.Values + (long)q * _stride, keep[i], span.Values + (long)q * _stride, add[i]);
            }
        }
    }

    [MethodImpl(KernelCode)]
    private void Scale(float* total, float keep, float* span, float add)
    {
        if (Vector512.IsHardwareAccelerated)
            for (int d = 0; d < _stride; d += 16)
                Vector512.FusedMultiplyAdd(Vector512.Load(total + d), Vector512.Create(keep), Vector512.Load(span + d) * add).Store(total + d);
        else
            for (int d = 0; d < _stride; d += 8)
                Vector256.FusedMultiplyAdd(Vector256.Load(total + d), Vector256.Create(keep), Vector256.Load(span + d) * add).Store(total + d);
    }

    /// <summary>Writes the results; tells whether all of them are finite.</summary>
    private bool Finish(in AttentionItem item, int kvHead, in AttentionState total, float* output)
    {
        Vector256<float> most = default;
        float mostLeft = 0;
        long first = _plan.Sequence(item.Sequence).FirstRow + item.First;
        for (int q = 0; q < item.Rows * _group; q++)
        {
            float* values = total.Values + (long)q * _stride, target = output + (first + q / _group) * _outputStride + (long)(kvHead * _group + q % _group) * _headSize;
            Vector256<float> sum = Vector256.Create(total.Sum[q]);
            int d = 0;
            for (; d + 8 <= _headSize; d += 8)
            {
                Vector256<float> result = Vector256.Load(values + d) / sum;
                result.Store(target + d);
                most = Vector256.Max(most, Vector256.Abs(result));
            }
            for (; d < _headSize; d++) mostLeft = MathF.Max(mostLeft, MathF.Abs(target[d] = values[d] / total.Sum[q]));
        }
        return float.IsFinite(mostLeft) && Vector256.LessThanAll(most, Vector256.Create(float.PositiveInfinity));
    }
}
