namespace Slipstream;

/// <summary>The model that the package <c>Slipstream.DefaultModel</c> brings: a small target and a draft of it, as GGUF files beside the program.</summary>
/// <remarks>They are looked for in the folder <c>default-model</c> of <see cref="AppContext.BaseDirectory"/>, whatever the working directory, and mapped where they lie.</remarks>
public static class DefaultModel
{
    private const string FolderName = "default-model", TargetName = "target.gguf", DraftName = "draft.gguf";

    // The best of 1 to 5 on the held-out prompts: models/default/MODEL_CARD.md.
    private const int DraftLength = 2;

    /// <summary>The folder they are looked for in.</summary>
    public static string Folder => Path.Combine(AppContext.BaseDirectory, FolderName);

    /// <summary>Whether the model is there.</summary>
    public static bool IsPresent => File.Exists(Path.Combine(Folder, TargetName));

    /// <summary>The model's file.</summary>
    /// <exception cref="SlipstreamException">It is not there; the message says how to get it.</exception>
    public static string TargetPath => Find(Folder, TargetName);

    /// <summary>The file of its draft model.</summary>
    /// <exception cref="SlipstreamException">It is not there; the message says how to get it.</exception>
    public static string DraftPath => Find(Folder, DraftName);

    /// <summary>Its draft model as a drafter, with the number of tokens at once that was measured best for the pair.</summary>
    /// <exception cref="SlipstreamException">It is not there; the message says how to get it.</exception>
    public static DrafterOptions Draft => new DrafterOptions.DraftModel(DraftPath, DraftLength);

    internal static string Find(string folder, string name) => Path.Combine(folder, name) is var path && File.Exists(path)
        ? path
        : throw new SlipstreamException($"The default model is not beside the program ('{path}' does not exist): add the package Slipstream.DefaultModel, or name a model.");
}
