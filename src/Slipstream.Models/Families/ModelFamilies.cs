namespace Slipstream.Models;

/// <summary>The families known, by the names checkpoints give them.</summary>
public static class ModelFamilies
{
    /// <summary>All of them.</summary>
    public static IReadOnlyList<IModelFamily> All { get; } = [new LlamaFamily(), new MistralFamily(), new Qwen2Family(), new Qwen3Family(), new Gpt2Family()];

    /// <summary>The family of a checkpoint.</summary>
    /// <exception cref="SlipstreamException">There is none.</exception>
    public static IModelFamily For(Checkpoint checkpoint)
        => All.FirstOrDefault(family => family.Names.Contains(checkpoint.Architecture))
        ?? throw new SlipstreamException($"'{checkpoint.Path}': the model family '{checkpoint.Architecture}' is not supported; supported are {string.Join(", ", All.SelectMany(family => family.Names))}.");

    /// <summary>Reads the configuration and builds the model over the checkpoint, which must outlive it.</summary>
    /// <exception cref="SlipstreamException">The checkpoint is of no known family, incomplete or inconsistent.</exception>
    public static ILanguageModel Build(Checkpoint checkpoint, ModelRuntime runtime)
    {
        IModelFamily family = For(checkpoint);
        return family.Build(family.ReadConfig(checkpoint), checkpoint, runtime);
    }
}
