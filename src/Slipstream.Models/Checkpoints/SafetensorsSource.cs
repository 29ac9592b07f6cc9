using System.Text.Json;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>The weights of a Hugging Face folder: <c>model.safetensors</c>, or the shards that <c>model.safetensors.index.json</c> names.</summary>
public sealed class SafetensorsSource : ITensorSource
{
    internal const string SingleName = "model.safetensors";
    internal const string IndexName = "model.safetensors.index.json";
    private const int LongestIndex = 100_000_000;

    private readonly Dictionary<string, SafetensorsFile> _owners;
    private readonly SafetensorsFile[] _files;

    private SafetensorsSource(string path, SafetensorsFile[] files, Dictionary<string, SafetensorsFile> owners)
    {
        Path = path;
        _files = files;
        _owners = owners;
        Tensors = owners.ToDictionary(o => o.Key, o => o.Value.Tensors[o.Key], StringComparer.Ordinal);
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>Maps the weights of a folder. As in transformers, <c>model.safetensors</c> comes before the index.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="SlipstreamException">The folder has no safetensors weights, a shard is missing, or a file is not valid.</exception>
    public static SafetensorsSource Open(string folder)
    {
        string single = System.IO.Path.Combine(folder, SingleName);
        if (File.Exists(single)) return OpenFile(single, folder);
        string index = System.IO.Path.Combine(folder, IndexName);
        if (File.Exists(index)) return OpenIndex(folder, index);
        throw NoWeights(folder);
    }

    /// <summary>Maps one file, whatever its name.</summary>
    /// <param name="file">A safetensors file.</param>
    /// <exception cref="SlipstreamException">The file is not valid.</exception>
    public static SafetensorsSource OpenFile(string file) => OpenFile(file, file);

    /// <inheritdoc/>
    /// <exception cref="SlipstreamException">The tensor has a dtype other than F32, F16 and BF16.</exception>
    public ByteRegion Data(string name) => _owners[name].Data(name);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SafetensorsFile file in _files) file.Dispose();
    }

    private static SafetensorsSource OpenFile(string file, string path)
    {
        SafetensorsFile opened = new(file);
        return new SafetensorsSource(path, [opened], opened.Tensors.Keys.ToDictionary(name => name, _ => opened, StringComparer.Ordinal));
    }

    private static SafetensorsSource OpenIndex(string folder, string index)
    {
        JsonElement root = JsonFile.ReadObject(index, LongestIndex, duplicates: false);
        if (!root.TryGetProperty("weight_map", out JsonElement map) || map.ValueKind != JsonValueKind.Object)
            throw new SlipstreamException($"'{index}': the field 'weight_map' is missing or not an object; download the file again.");
        Dictionary<string, SafetensorsFile> shards = new(StringComparer.Ordinal);
        Dictionary<string, SafetensorsFile> owners = new(StringComparer.Ordinal);
        try
        {
            foreach (JsonProperty entry in map.EnumerateObject())
            {
                (string tensor, string shard) = ReadEntry(index, entry);
                if (!shards.TryGetValue(shard, out SafetensorsFile? file))
                {
                    string path = System.IO.Path.Combine(folder, shard);
                    if (!File.Exists(path))
                        throw new SlipstreamException($"'{folder}' lacks the shard '{MessageText.Clip(shard)}' that '{IndexName}' names; download it too.");
                    shards.Add(shard, file = new SafetensorsFile(path));
                }
                if (!file.Tensors.ContainsKey(tensor))
                    throw new SlipstreamException($"'{file.Path}' lacks the tensor '{MessageText.Clip(tensor)}' that '{IndexName}' promises in it; download both again.");
                owners.Add(tensor, file);
            }
            if (owners.Count == 0)
                throw new SlipstreamException($"'{index}' names no tensor; download the file again.");
            return new SafetensorsSource(folder, [.. shards.Values], owners);
        }
        catch
        {
            foreach (SafetensorsFile file in shards.Values) file.Dispose();
            throw;
        }
    }

    private static (string Tensor, string Shard) ReadEntry(string index, JsonProperty entry)
    {
        string tensor, shard;
        try
        {
            tensor = entry.Name;
            shard = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString()! : "";
        }
        catch (InvalidOperationException e)
        {
            throw new SlipstreamException($"'{index}' has half a surrogate pair in a name; download the file again.", e);
        }
        // A shard is a plain file name: an index must not reach outside its folder. The separators of all systems are refused on all systems.
        if (shard.Length == 0 || shard is "." or ".." || shard.AsSpan().ContainsAny("/\\:\0"))
            throw new SlipstreamException($"'{index}' places the tensor '{MessageText.Clip(tensor)}' in '{MessageText.Clip(shard)}', which is not the name of a file in the same folder; download the index again.");
        return (tensor, shard);
    }

    private static SlipstreamException NoWeights(string folder)
    {
        string[] others = [.. Directory.EnumerateFiles(folder, "*.safetensors").Select(System.IO.Path.GetFileName).OfType<string>().Order(StringComparer.Ordinal)];
        if (others.Length > 0)
            return new($"'{folder}' has neither '{SingleName}' nor '{IndexName}'; name the file to open, such as '{System.IO.Path.Combine(folder, others[0])}'.");
        if (Directory.EnumerateFiles(folder, "*.gguf").Order(StringComparer.Ordinal).FirstOrDefault() is { } gguf)
            return new($"'{folder}' has no safetensors weights beside its 'config.json'; name its GGUF file, such as '{gguf}'.");
        if (File.Exists(System.IO.Path.Combine(folder, "pytorch_model.bin")) || File.Exists(System.IO.Path.Combine(folder, "pytorch_model.bin.index.json")))
            return new($"'{folder}' has its weights only as 'pytorch_model.bin', a format that can run code when opened; convert them to safetensors.");
        return new($"'{folder}' has no weights: neither '{SingleName}' nor '{IndexName}' is in it; download one of them too.");
    }
}
