using Slipstream.Models;

namespace Slipstream.Cli.Commands;

/// <summary>Opens the tokenizer of a model without the model.</summary>
internal static class TokenizerSource
{
    /// <summary>The tokenizer of a folder (which may hold nothing else), a <c>tokenizer.json</c> or a GGUF file.</summary>
    /// <exception cref="SlipstreamException">There is none, or it is not supported.</exception>
    public static Tokenizer Open(string path)
    {
        if (Directory.Exists(path)) return TokenizerLoader.FromFolder(path);
        if (path.EndsWith(".json", StringComparison.OrdinalIgnoreCase)) return TokenizerLoader.FromJson(path);
        using Checkpoint checkpoint = Checkpoint.Open(path);
        return CheckpointText.Tokenizer(checkpoint);
    }
}
