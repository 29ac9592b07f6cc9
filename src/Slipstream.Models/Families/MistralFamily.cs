namespace Slipstream.Models;

/// <summary>Mistral 7B (arXiv:2310.06825): Llama with a sliding window where <c>sliding_window</c> is set. GGUF files of it call themselves <c>llama</c>.</summary>
public sealed class MistralFamily : DecoderFamily
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Names { get; } = ["mistral"];

    private protected override TensorNames TensorNamesOf(Checkpoint checkpoint)
        => checkpoint.Kind == CheckpointKind.Gguf ? TensorNames.Gguf : TensorNames.HuggingFace;

    private protected override ModelConfig ReadHuggingFace(ConfigReader config)
    {
        ModelConfig shape = ReadLlamaLike("mistral", config);
        return shape with { Windows = Windows(config.Has("sliding_window") ? config.Int32("sliding_window") : 0, shape.Layers) };
    }

    private protected override ModelConfig ReadGguf(Checkpoint checkpoint) => ReadGgufLike("mistral", checkpoint, RotaryPairing.Interleaved);
}
