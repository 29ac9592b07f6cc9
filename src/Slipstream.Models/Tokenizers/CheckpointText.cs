namespace Slipstream.Models;

/// <summary>The tokenizer and chat template that come with a checkpoint, from the folder's files or from GGUF metadata.</summary>
public static class CheckpointText
{
    /// <summary>Whether a checkpoint comes with a tokenizer, of whatever kind.</summary>
    public static bool HasTokenizer(Checkpoint checkpoint)
        => checkpoint.Gguf is { } metadata ? TokenizerLoader.Exists(metadata) : checkpoint.Folder is { } folder && TokenizerLoader.Exists(folder);

    /// <summary>Reads the checkpoint's tokenizer.</summary>
    /// <exception cref="SlipstreamException">There is none, or it is broken or of a kind that is not supported.</exception>
    public static Tokenizer Tokenizer(Checkpoint checkpoint)
        => checkpoint.Gguf is { } metadata ? TokenizerLoader.FromGguf(metadata) : TokenizerLoader.FromFolder(Folder(checkpoint));

    /// <summary>Reads the checkpoint's chat template.</summary>
    /// <exception cref="SlipstreamException">There is none, or it is not supported.</exception>
    public static ChatTemplate Template(Checkpoint checkpoint)
        => checkpoint.Gguf is { } metadata ? ChatTemplates.FromGguf(metadata) : ChatTemplates.FromFolder(Folder(checkpoint));

    private static string Folder(Checkpoint checkpoint) => checkpoint.Folder ?? Path.GetDirectoryName(checkpoint.Path) ?? ".";
}
