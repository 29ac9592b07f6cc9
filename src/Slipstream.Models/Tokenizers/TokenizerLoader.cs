namespace Slipstream.Models;

/// <summary>Opens tokenizers.</summary>
public static class TokenizerLoader
{
    /// <summary>The name of the file that Hugging Face models have their tokenizer in.</summary>
    public const string FileName = "tokenizer.json";

    /// <summary>Whether a model folder has a <c>tokenizer.json</c>, of whatever kind.</summary>
    public static bool Exists(string folder) => File.Exists(Path.Combine(folder, FileName));

    /// <summary>Reads the tokenizer of a model folder: <c>tokenizer.json</c>, and the begin and end tokens from the configuration files beside it.</summary>
    /// <exception cref="SlipstreamException">There is none, or it is broken or of a kind that is not supported.</exception>
    public static Tokenizer FromFolder(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            throw new SlipstreamException(File.Exists(Path.Combine(folder, "tokenizer.model"))
                ? $"'{folder}' has its tokenizer in 'tokenizer.model' only, a format that is not supported: convert it to '{FileName}', or give token ids instead of text."
                : $"'{folder}' has no '{FileName}': place the model's own there, or give token ids instead of text.");
        ByteLevelTokenizer tokenizer = ReadFile(path);
        (int? begin, int? end) = SpecialTokenFiles.Read(folder, tokenizer);
        return tokenizer.With(begin, end);
    }

    /// <summary>Reads the tokenizer that belongs to a checkpoint: of its folder, or of its GGUF metadata.</summary>
    /// <exception cref="SlipstreamException">There is none, or it is broken or of a kind that is not supported.</exception>
    public static Tokenizer FromCheckpoint(Checkpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        return checkpoint.Folder is { } folder ? FromFolder(folder) : FromGguf(checkpoint.Config);
    }

    /// <summary>Reads a <c>tokenizer.json</c>. It does not say which tokens begin and end a text, so <see cref="Tokenizer.BeginToken"/> and <see cref="Tokenizer.EndToken"/> are null.</summary>
    /// <exception cref="SlipstreamException">It is absent, broken or of a kind that is not supported.</exception>
    public static Tokenizer FromJson(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return ReadFile(path);
    }

    /// <summary>Reads a <c>tokenizer.json</c> from a stream, which is left open.</summary>
    /// <param name="stream">The file.</param>
    /// <param name="name">What it is called in messages.</param>
    /// <exception cref="SlipstreamException">It is broken or of a kind that is not supported.</exception>
    public static Tokenizer FromJson(Stream stream, string name)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return TokenizerJson.Read(stream, name);
    }

    /// <summary>Whether a GGUF file has a tokenizer, of whatever kind.</summary>
    /// <param name="metadata">The file's metadata by its own keys.</param>
    public static bool Exists(ConfigReader metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        return GgufTokenizer.Exists(metadata);
    }

    /// <summary>Reads the tokenizer of a GGUF file (<c>tokenizer.ggml.*</c>).</summary>
    /// <param name="metadata">The file's metadata by its own keys.</param>
    /// <exception cref="SlipstreamException">There is none, or it is broken or of a kind that is not supported.</exception>
    public static Tokenizer FromGguf(ConfigReader metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        return GgufTokenizer.Read(metadata);
    }

    private static ByteLevelTokenizer ReadFile(string path)
    {
        try
        {
            using FileStream stream = File.OpenRead(path);
            return TokenizerJson.Read(stream, path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new SlipstreamException($"'{path}' cannot be read: {e.Message}", e);
        }
    }
}
