namespace Slipstream.Models;

/// <summary>How a checkpoint is stored.</summary>
public enum CheckpointKind
{
    /// <summary>A folder with <c>config.json</c> and safetensors.</summary>
    HuggingFace,

    /// <summary>One GGUF file, or the parts of a split one.</summary>
    Gguf,
}
