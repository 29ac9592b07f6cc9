using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Xml;

namespace Slipstream.Bench;

/// <summary>
/// An OpenVINO graph of a shape, <c>openvino_model.xml</c>, and the weights made for it: random where they are weights, as given (<c>constants.bin</c>) where the graph's meaning hangs on them.
/// </summary>
internal static class OpenVinoModel
{
    private const string Graph = "openvino_model.xml", Weights = "openvino_model.bin", Constants = "constants.json", Small = "constants.bin";

    /// <summary>The graph with its weights, made once in a cache folder.</summary>
    /// <param name="name">Such as <c>tinyllama-1.1b-int8</c>.</param>
    /// <param name="folders">Where to look for <c>openvino-{name}</c>: in these, in the folders in them, and in <c>peers</c> there.</param>
    /// <param name="cacheFolder">Where the weights are kept.</param>
    /// <exception cref="SlipstreamException">There is no such graph.</exception>
    public static string Get(string name, IReadOnlyList<string> folders, string cacheFolder)
    {
        string wanted = "openvino-" + name;
        IEnumerable<string> roots = folders.Count == 0 ? [Environment.CurrentDirectory] : folders.Select(Path.GetFullPath);
        string source = roots.SelectMany(PeerFiles.WithSubfolders).Select(f => Path.GetFileName(f) == wanted ? f : Path.Combine(f, wanted)).FirstOrDefault(Directory.Exists)
            ?? throw new SlipstreamException($"OpenVINO has no graph of this shape and format: looked for a folder '{wanted}' with {Graph} (or {Graph}.xz) and its weights (or {Constants} and {Small}) in {PeerFiles.Describe(folders)} and the folders in them; name the folder with --peer-path.");
        if (File.Exists(Path.Combine(source, Graph)) && File.Exists(Path.Combine(source, Weights))) return Path.Combine(source, Graph);
        string target = Path.Combine(cacheFolder, wanted);
        PeerFiles.MakeFolder(target, partial => Make(source, partial));
        return Path.Combine(target, Graph);
    }

    private static void Make(string source, string target)
    {
        string packed = Path.Combine(source, Graph + ".xz"), xml = PeerFiles.ReadText(File.Exists(packed) ? packed : Path.Combine(source, Graph));
        File.WriteAllText(Path.Combine(target, Graph), xml);
        using JsonDocument constants = JsonDocument.Parse(File.ReadAllText(Path.Combine(source, Constants)));
        byte[] small = File.ReadAllBytes(Path.Combine(source, Small));
        using FileStream weights = new(Path.Combine(target, Weights), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 20);
        weights.SetLength(constants.RootElement.GetProperty("total_bytes").GetInt64());
        List<(string Type, long Offset, long Size)> parts = [.. Parts(xml)];
        bool quantized = parts.Exists(p => IsInteger(p.Type));
        byte[] random = new byte[8 << 20], halves = Halves(quantized);
        new Random(1).NextBytes(random);
        foreach ((string type, long offset, long size) in parts)
            if (IsInteger(type) || type == "f16") Fill(weights, offset, size, type == "f16" ? halves : random);
        foreach (JsonElement one in constants.RootElement.GetProperty("small").EnumerateArray())
        {
            weights.Position = one[0].GetInt64();
            weights.Write(small, one[2].GetInt32(), one[1].GetInt32());
        }
    }

    private static bool IsInteger(string type) => type is "i8" or "i4" or "u8" or "u4";

    // Scales of quantised weights; else weights themselves: small, of both signs.
    private static byte[] Halves(bool quantized)
    {
        ushort[] pattern = quantized ? [0x1000] : [0x2000, 0xA000, 0x1C00, 0x9800];
        ushort[] values = new ushort[1 << 20];
        for (int i = 0; i < values.Length; i++) values[i] = pattern[i % pattern.Length];
        return MemoryMarshal.AsBytes<ushort>(values).ToArray();
    }

    private static void Fill(FileStream file, long offset, long size, byte[] pattern)
    {
        file.Position = offset;
        for (long left = size; left > 0; left -= pattern.Length) file.Write(pattern, 0, (int)Math.Min(left, pattern.Length));
    }

    /// <summary>The constants of a graph.</summary>
    private static IEnumerable<(string Type, long Offset, long Size)> Parts(string xml)
    {
        using XmlReader reader = XmlReader.Create(new StringReader(xml));
        bool isConstant = false;
        while (reader.Read())
        {
            if (reader.NodeType != XmlNodeType.Element) continue;
            if (reader.Name == "layer") isConstant = reader.GetAttribute("type") == "Const";
            else if (isConstant && reader.Name == "data") yield return (reader.GetAttribute("element_type") ?? "", Number(reader, "offset"), Number(reader, "size"));
        }
    }

    private static long Number(XmlReader reader, string attribute) => long.Parse(reader.GetAttribute(attribute)!, CultureInfo.InvariantCulture);
}
