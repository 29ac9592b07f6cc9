using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <content>What the spans of an item leave, their merging in ascending order, and the result.</content>
internal readonly unsafe ref partial struct TiledAttention
{
    // SAFETY: (all below) states lie in the scratch, which was made for as many queries as an item has; outputs are fixed by the caller.
    private AttentionState Partial(int span, int kvHead, int count)
    {
        float* at = _scratch.Partials + ((long)span * _kvHeads + kvHead) * _partialStride;
        return new AttentionState(at + (long)count * _stride, at + (long)count * (_stride + 1), at);
    }

    private void Begin(in AttentionState state, int count)
    {
        new Span<float>(state.Max, count).Fill(float.NegativeInfinity);
        new Span<float>(state.Sum, count).Clear();
        new Span<float>(state.Values, count * _stride).Clear();
    }

    /// <summary>Adds a span to the spans before it.</summary>
    [MethodImpl(KernelCode)]
    private void Merge(in AttentionState total, in AttentionState span, int count)
    {
        for (int q = 0; q < count; q++)
        {
            if (float.IsNegativeInfinity(span.Max[q])) continue;
            float old = total.Max[q], max = MathF.Max(old, span.Max[q]), keep = Exponential.NonPositive(old - max), add = Exponential.NonPositive(span.Max[q] - max);
            total.Max[q] = max;
            total.Sum[q] = MathF.FusedMultiplyAdd(total.Sum[q], keep, span.Sum[q] * add);
            Scale(total.Values + (long)q * _stride, keep, span.Values + (long)q * _stride, add);
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

    private void Finish(in AttentionItem item, int kvHead, in AttentionState total, float* output)
    {
        long first = _plan.Sequence(item.Sequence).FirstRow + item.First;
        for (int q = 0; q < item.Rows * _group; q++)
        {
            float* values = total.Values + (long)q * _stride, target = output + (first + q / _group) * _outputStride + (long)(kvHead * _group + q % _group) * _headSize;
            Vector256<float> sum = Vector256.Create(total.Sum[q]);
            int d = 0;
            for (; d + 8 <= _headSize; d += 8) (Vector256.Load(values + d) / sum).Store(target + d);
            for (; d < _headSize; d++) target[d] = values[d] / total.Sum[q];
        }
    }
}
