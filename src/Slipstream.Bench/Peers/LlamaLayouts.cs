namespace Slipstream.Bench;

/// <summary>
/// Where the fields of llama.cpp's parameter structs are, told by their default values: the structs changed in 2026 and have no version field.
/// Source: <c>include/llama.h</c> of the versions named below.
/// </summary>
internal static class LlamaLayouts
{
    private const int FlashAttentionEnabled = 1;

    /// <summary>Switches memory mapping off in <c>llama_model_params</c>.</summary>
    /// <returns>Whether the layout is a known one.</returns>
    public static bool DisableMemoryMap(ref ParameterBlock parameters)
    {
        Span<int> words = parameters.Words;
        Span<byte> bytes = parameters.Bytes;
        // Before: devices, tensor_buft_overrides (8 bytes each), n_gpu_layers, split_mode (layer = 1).
        if (words[5] != 1) return false;
        // v0.5: load_mode (auto = -1), lazy_mode (1), main_gpu. Before it: load_mode, main_gpu.
        if (words[6] is -1 or 1 && words[7] is 0 or 1)
        {
            words[6] = 0;
            return true;
        }
        // Until mid-2026: main_gpu, tensor_split, callbacks, and vocab_only, use_mmap, use_direct_io, … from byte 64 on.
        if (words[6] == 0 && bytes[64] == 0 && bytes[65] == 1)
        {
            bytes[65] = 0;
            return true;
        }
        return false;
    }

    /// <summary>Sets the fields of <c>llama_context_params</c>.</summary>
    /// <exception cref="SlipstreamException">The layout is not a known one.</exception>
    public static void SetContext(ref ParameterBlock parameters, string folder, int context, int batch, int microBatch, int sequences, int outputs, int threads)
    {
        Span<int> words = parameters.Words;
        // n_ctx, n_batch, n_ubatch, n_seq_max, n_rs_seq, n_outputs_max, and since v0.5 n_outputs_max_per_seq (1); then n_threads twice (4).
        bool perSequence = words[6] == 1 && words[7] == words[8] && words[7] > 1, without = words[6] == words[7] && words[6] > 1;
        if (words[0] != 512 || words[2] != 512 || words[3] != 1 || !(perSequence || without))
            throw new SlipstreamException($"The llama_context_params of the llama.cpp in '{folder}' have a layout that is not known; take @node-llama-cpp/linux-x64 3.22.1 (llama.cpp v0.5.0).");
        int first = perSequence ? 7 : 6;
        (words[0], words[1], words[2], words[3]) = (context, batch, microBatch, sequences);
        words[5] = outputs;
        // 0: as many as n_outputs_max.
        if (perSequence) words[6] = 0;
        words[first] = words[first + 1] = threads;
        // ctx_type, rope_scaling_type, pooling_type and attention_type come before flash_attn_type.
        words[first + 6] = FlashAttentionEnabled;
    }
}
