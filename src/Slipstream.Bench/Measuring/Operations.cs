using Slipstream.Models;
using Slipstream.Numerics;

namespace Slipstream.Bench;

/// <summary>How many operations a forward pass takes (a multiplication and an addition are two), by the formula: matrix products by the arithmetic they run in, and attention.</summary>
internal sealed class Operations
{
    private readonly ModelConfig _config;
    private readonly long _bodyInt8, _bodyBf16, _bodyF32, _headInt8, _headBf16, _headF32;
    private readonly bool _attentionRounds;

    /// <summary>Counts the weights of a model.</summary>
    /// <param name="config">Its shape.</param>
    /// <param name="tensors">Its tensors.</param>
    /// <param name="precision">How activations enter products.</param>
    /// <param name="cacheType">How the cache stores its rows; null for what the model takes by itself.</param>
    public Operations(ModelConfig config, IEnumerable<TensorInfo> tensors, ActivationPrecision precision, CacheType? cacheType = null)
    {
        _config = config;
        TensorInfo[] matrices = [.. tensors.Where(t => t.Shape.Length == 2)];
        bool hasHead = Array.Exists(matrices, IsHead);
        foreach (TensorInfo tensor in matrices)
        {
            // The embedding and learned positions are looked up; where there is no head, the embedding is it.
            bool isEmbedding = IsNamed(tensor, "token_embd.weight", "embed_tokens.weight", "wte.weight"), isHead = IsHead(tensor) || (isEmbedding && !hasHead);
            if ((isEmbedding && !isHead) || IsNamed(tensor, "position_embd.weight", "wpe.weight")) continue;
            bool int8 = precision != ActivationPrecision.F32 && WeightFormats.TryGet(tensor.Format, out WeightFormat? format) && format.BlockLength > 1;
            bool bf16 = precision == ActivationPrecision.Bf16 && tensor.Format == BF16.Name;
            ref long body = ref int8 ? ref _bodyInt8 : ref bf16 ? ref _bodyBf16 : ref _bodyF32;
            ref long head = ref int8 ? ref _headInt8 : ref bf16 ? ref _headBf16 : ref _headF32;
            (isHead ? ref head : ref body) += 2 * tensor.Elements;
        }
        _attentionRounds = cacheType == CacheType.Bf16 || config.AttendsInBfloat16(precision);
    }

    /// <summary>The least time a pass can take by its operations, in seconds.</summary>
    /// <param name="work">The pass.</param>
    /// <param name="int8PerSecond">The machine's peak on 8-bit integers.</param>
    /// <param name="bf16PerSecond">The machine's peak on 16-bit floats.</param>
    /// <param name="f32PerSecond">The machine's peak on 32-bit floats.</param>
    public double Seconds(Workload work, double int8PerSecond, double bf16PerSecond, double f32PerSecond)
        => (_bodyInt8 * (double)work.Rows + _headInt8 * (double)work.Outputs) / int8PerSecond
            + (_bodyBf16 * (double)work.Rows + _headBf16 * (double)work.Outputs) / bf16PerSecond
            + (_bodyF32 * (double)work.Rows + _headF32 * (double)work.Outputs) / f32PerSecond
            + Attention(work) / (_attentionRounds ? bf16PerSecond : f32PerSecond);

    /// <summary>Multiplications and additions of a pass.</summary>
    public double Count(Workload work) => (_bodyInt8 + _bodyBf16 + _bodyF32) * (double)work.Rows + (_headInt8 + _headBf16 + _headF32) * (double)work.Outputs + Attention(work);

    /// <summary>Operations of attention: two products with each visible row's key and value, for each query head.</summary>
    private double Attention(Workload work)
    {
        double visible = work.RowsOfEach == 1
            ? work.Rows * (work.Depth + (work.Steps + 1) / 2.0)
            : work.Rows * (work.Depth + (work.RowsOfEach + 1) / 2.0);
        return 4.0 * _config.Layers * _config.Heads * _config.HeadSize * visible;
    }

    private static bool IsHead(TensorInfo tensor) => tensor.Name is "output.weight" or "lm_head.weight";

    private static bool IsNamed(TensorInfo tensor, params ReadOnlySpan<string> ends)
    {
        foreach (string end in ends)
            if (tensor.Name.EndsWith(end, StringComparison.Ordinal)) return true;
        return false;
    }
}
