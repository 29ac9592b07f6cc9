using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>
/// A model as it lies on disk: its configuration and its mapped weights. It owns the mapping: what was read from <see cref="Weights"/>
/// must not be used after disposal. Reading is safe from several threads.
/// </summary>
public sealed class Checkpoint : IDisposable
{
    private const string ConfigName = "config.json";

    private Checkpoint(string path, CheckpointKind kind, ConfigReader config, ITensorSource weights, string architecture)
    {
        Path = path;
        Kind = kind;
        Config = config;
        Weights = weights;
        Architecture = architecture;
    }

    /// <summary>The path as given to <see cref="Open"/>.</summary>
    public string Path { get; }

    /// <summary>How the checkpoint is stored.</summary>
    public CheckpointKind Kind { get; }

    /// <summary>The configuration: <c>config.json</c>, or the metadata of the GGUF.</summary>
    public ConfigReader Config { get; }

    /// <summary>The weights.</summary>
    public ITensorSource Weights { get; }

    /// <summary><c>generation_config.json</c>, or null where there is none.</summary>
    public ConfigReader? Generation { get; private init; }

    /// <summary>The metadata of a GGUF with its lists, or null for other kinds.</summary>
    public GgufMetadata? Gguf => Config as GgufMetadata;

    /// <summary>The folder of a Hugging Face checkpoint, where its tokenizer is too; null for GGUF, which is complete in itself.</summary>
    public string? Folder { get; private init; }

    /// <summary>The architecture: <c>model_type</c>, or <c>general.architecture</c>.</summary>
    public string Architecture { get; }

    /// <summary>Opens a Hugging Face folder, a GGUF file, or a safetensors file beside its <c>config.json</c>.</summary>
    /// <param name="path">A folder, a <c>.gguf</c> file (any part of a split one) or a <c>.safetensors</c> file.</param>
    /// <exception cref="SlipstreamException">There is nothing there, it is no checkpoint, or it is not valid.</exception>
    public static Checkpoint Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        try
        {
            if (Directory.Exists(path)) return OpenFolder(path);
            if (!File.Exists(path))
                throw new SlipstreamException($"'{MessageText.Clip(path)}' does not exist; name a folder with 'config.json', a '.gguf' file or a '.safetensors' file.");
            return OpenSingleFile(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"'{path}' cannot be read: {e.Message.TrimEnd('.')}.", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Weights.Dispose();

    private static Checkpoint OpenSingleFile(string path)
    {
        if (path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) || IsGguf(path)) return OpenGguf(path, path);
        if (!path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase))
            throw new SlipstreamException($"'{path}' is not a checkpoint; name a folder with 'config.json', a '.gguf' file or a '.safetensors' file.");
        string folder = System.IO.Path.GetDirectoryName(path) is { Length: > 0 } parent ? parent : ".";
        if (!File.Exists(System.IO.Path.Combine(folder, ConfigName)))
            throw new SlipstreamException($"'{path}' has no '{ConfigName}' beside it; place the model's '{ConfigName}' in the same folder.");
        // A shard alone is no model: the folder's index says which files belong together.
        bool whole = System.IO.Path.GetFileName(path) == SafetensorsSource.SingleName || IsShard(path, folder);
        return OpenHuggingFace(path, folder, whole ? SafetensorsSource.Open : _ => SafetensorsSource.OpenFile(path));
    }

    private static bool IsShard(string path, string folder) =>
        File.Exists(System.IO.Path.Combine(folder, SafetensorsSource.IndexName))
        && System.IO.Path.GetFileName(path).StartsWith("model-", StringComparison.Ordinal)
        && path.Contains("-of-", StringComparison.Ordinal);

    // Model stores name files by their hash, without an extension.
    private static bool IsGguf(string path)
    {
        using MappedFile file = new(path);
        return file.Length >= 4 && file.Region.Span(0, 4).SequenceEqual("GGUF"u8);
    }

    private static Checkpoint OpenFolder(string folder)
    {
        if (File.Exists(System.IO.Path.Combine(folder, ConfigName)))
            return OpenHuggingFace(folder, folder, SafetensorsSource.Open);
        string[] ggufs = [.. Directory.EnumerateFiles(folder, "*.gguf").Where(file => !GgufSource.IsLaterPart(System.IO.Path.GetFileName(file))).Order(StringComparer.Ordinal)];
        if (ggufs.Length == 1) return OpenGguf(folder, ggufs[0]);
        if (ggufs.Length > 1)
            throw new SlipstreamException($"'{folder}' holds {ggufs.Length} GGUF models; name one of them, such as '{ggufs[0]}'.");
        if (File.Exists(System.IO.Path.Combine(folder, "adapter_config.json")))
            throw new SlipstreamException($"'{folder}' is an adapter, not a whole model; merge it into its base model first.");
        if (File.Exists(System.IO.Path.Combine(folder, "tokenizer.json")))
            throw new SlipstreamException($"'{folder}' is not a checkpoint: it has a tokenizer but no '{ConfigName}' and no weights; name the folder of a model.");
        throw new SlipstreamException($"'{folder}' is not a checkpoint: it has no '{ConfigName}' and no '.gguf' file; name the folder of a model.");
    }

    private static Checkpoint OpenGguf(string path, string file)
    {
        GgufSource source = GgufSource.Open(file);
        try
        {
            string architecture = source.Metadata.Text("general.architecture") is { Length: > 0 } named
                ? named
                : throw source.Metadata.Invalid("general.architecture", ConfigProblem.Missing);
            return new Checkpoint(path, CheckpointKind.Gguf, source.Metadata, source, architecture);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    private static Checkpoint OpenHuggingFace(string path, string folder, Func<string, SafetensorsSource> open)
    {
        JsonConfig config = JsonConfig.Open(System.IO.Path.Combine(folder, ConfigName));
        string architecture = config.Text("model_type") is { Length: > 0 } named ? named : throw config.Invalid("model_type", ConfigProblem.Missing);
        string generation = System.IO.Path.Combine(folder, "generation_config.json");
        JsonConfig? generationConfig = File.Exists(generation) ? JsonConfig.Open(generation) : null;
        return new Checkpoint(path, CheckpointKind.HuggingFace, config, open(folder), architecture) { Generation = generationConfig, Folder = folder };
    }
}
