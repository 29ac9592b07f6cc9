namespace Slipstream.Models;

/// <summary>A model architecture: how its configuration reads and how its tensors are named.</summary>
public interface IModelFamily
{
    /// <summary>The values of <c>model_type</c> (Hugging Face) or <c>general.architecture</c> (GGUF) it answers to.</summary>
    IReadOnlyList<string> Names { get; }

    /// <summary>Reads the shape.</summary>
    /// <exception cref="SlipstreamException">A field is missing, impossible or asks for something not supported.</exception>
    ModelConfig ReadConfig(Checkpoint checkpoint);

    /// <summary>Builds the model over the checkpoint, which must outlive it.</summary>
    /// <exception cref="SlipstreamException">A tensor is missing or does not fit.</exception>
    ILanguageModel Build(ModelConfig config, Checkpoint checkpoint, ModelRuntime runtime);
}
