using System.Globalization;
using System.Text.RegularExpressions;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>The weights of a GGUF model: one file, or all parts of a split one.</summary>
/// <remarks>Source: the naming and the <c>split.*</c> keys of llama.cpp's gguf-split.</remarks>
public sealed partial class GgufSource : ITensorSource
{
    private readonly GgufFile[] _parts;
    private readonly Dictionary<string, GgufFile> _owners = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TensorInfo> _tensors = new(StringComparer.Ordinal);

    private GgufSource(string path, GgufFile[] parts)
    {
        Path = path;
        _parts = parts;
        foreach (GgufFile part in parts)
            foreach (TensorInfo tensor in part.Tensors.Values)
            {
                if (!_owners.TryAdd(tensor.Name, part))
                    throw new SlipstreamException($"'{_owners[tensor.Name].Path}' and '{part.Path}' both have the tensor '{MessageText.Clip(tensor.Name)}'; download all parts again.");
                _tensors.Add(tensor.Name, tensor);
            }
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <summary>The metadata; of a split model, that of its first part.</summary>
    public GgufMetadata Metadata => _parts[0].Metadata;

    /// <summary>The files, first part first.</summary>
    public IReadOnlyList<GgufFile> Parts => _parts;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors => _tensors;

    /// <summary>Maps a model.</summary>
    /// <param name="path">A GGUF file; of a split model, any part: the others are found by their names.</param>
    /// <exception cref="SlipstreamException">A file is missing or not valid, or the parts do not belong together.</exception>
    public static GgufSource Open(string path)
    {
        List<GgufFile> opened = [new GgufFile(path)];
        try
        {
            GgufMetadata metadata = opened[0].Metadata;
            int count = metadata.Int32("split.count", fallback: 0, min: 0, max: ushort.MaxValue);
            if (count <= 1) return new GgufSource(path, [opened[0]]);

            GgufFile?[] parts = new GgufFile?[count];
            int given = metadata.Int32("split.no", min: 0, max: count - 1);
            parts[given] = opened[0];
            if (SplitName.Match(System.IO.Path.GetFileName(path)) is not { Success: true } name
                || Number(name, "part") != given + 1 || Number(name, "count") != count)
                throw new SlipstreamException($"'{path}' is part {given + 1} of {count}, but its name does not end in '-{given + 1:D5}-of-{count:D5}.gguf'; give all parts their original names.");
            for (int i = 0; i < count; i++)
            {
                if (i == given) continue;
                string file = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(path) ?? "", $"{name.Groups["model"].Value}-{i + 1:D5}-of-{count:D5}.gguf");
                if (!File.Exists(file))
                    throw new SlipstreamException($"'{file}', part {i + 1} of {count} of the model, is missing; download it too.");
                GgufFile part = new(file);
                opened.Add(part);
                parts[i] = part;
                CheckPart(part, i, count);
            }
            GgufSource source = new(path, parts!);
            CheckTotal(source);
            return source;
        }
        catch
        {
            foreach (GgufFile file in opened) file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="SlipstreamException">Slipstream has no codec for the format of the tensor.</exception>
    public ByteRegion Data(string name) => _owners[name].Data(name);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (GgufFile part in _parts) part.Dispose();
    }

    /// <summary>Whether a file name is that of a part other than the first.</summary>
    internal static bool IsLaterPart(string fileName) => SplitName.Match(fileName) is { Success: true } name && Number(name, "part") != 1;

    private static void CheckPart(GgufFile part, int number, int count)
    {
        int saysCount = part.Metadata.Int32("split.count", min: 0), says = part.Metadata.Int32("split.no", min: 0);
        if (saysCount != count || says != number)
            throw new SlipstreamException($"'{part.Path}' says that it is part {says + 1L} of {saysCount}, not {number + 1} of {count}; download all parts again.");
    }

    private static void CheckTotal(GgufSource source)
    {
        int total = source.Metadata.Int32("split.tensors.count", min: 0);
        if (total != source.Tensors.Count)
            throw new SlipstreamException($"'{source.Parts[0].Path}' promises {total} tensors in all parts, but they have {source.Tensors.Count}; download all parts again.");
    }

    private static int Number(Match name, string group) => int.Parse(name.Groups[group].ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"\A(?<model>.*)-(?<part>[0-9]{5})-of-(?<count>[0-9]{5})\.gguf\z", RegexOptions.CultureInvariant | RegexOptions.Singleline)]
    private static partial Regex SplitName { get; }
}
