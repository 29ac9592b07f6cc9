namespace Slipstream.Models;

/// <summary>Llama 1 to 3 and everything of its shape (arXiv:2302.13971, 2307.09288, 2407.21783): SmolLM2, TinyLlama, …</summary>
public sealed class LlamaFamily : DecoderFamily
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Names { get; } = ["llama"];

    private protected override TensorNames TensorNamesOf(Checkpoint checkpoint)
        => checkpoint.Kind == CheckpointKind.Gguf ? TensorNames.Gguf : TensorNames.HuggingFace;

    private protected override ModelConfig ReadHuggingFace(ConfigReader config)
    {
        bool bias = config.Flag("attention_bias", false);
        return ReadLlamaLike("llama", config) with { QueryKeyValueBias = bias, OutputBias = bias, FeedForwardBias = config.Flag("mlp_bias", false) };
    }

    /// <remarks>GGUF keeps the query and key rows of this family in the original order, where neighbours turn together.</remarks>
    private protected override ModelConfig ReadGguf(Checkpoint checkpoint) => ReadGgufLike("llama", checkpoint, RotaryPairing.Interleaved);
}
