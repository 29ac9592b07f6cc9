using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Xml.Linq;

namespace Slipstream.Bench;

/// <summary>
/// An OpenVINO graph of a shape, <c>openvino_model.xml</c>, and the weights made for it: random where they are weights, as given (<c>constants.bin</c>) where the graph's meaning hangs on them.
/// </summary>
internal static class OpenVinoModel
{
    private const string Graph = "openvino_model.xml", LastRow = "openvino_model.last.xml", Weights = "openvino_model.bin", Constants = "constants.json", Small = "constants.bin";

    /// <summary>A graph with its weights, made once in a cache folder.</summary>
    /// <param name="name">Such as <c>tinyllama-1.1b-int8</c>.</param>
    /// <param name="folders">Where to look for <c>openvino-{name}</c>: in these and in the folders in them.</param>
    /// <param name="cacheFolder">Where the weights are kept.</param>
    /// <returns>The graph; the same with the head on the last row only, as its own generation library makes it for prompts; their weights.</returns>
    /// <exception cref="SlipstreamException">There is no such graph.</exception>
    public static (string Graph, string LastRow, string Weights) Get(string name, IReadOnlyList<string> folders, string cacheFolder)
    {
        string wanted = "openvino-" + name;
        IEnumerable<string> roots = folders.Count == 0 ? [Environment.CurrentDirectory] : folders.Select(Path.GetFullPath);
        string source = roots.SelectMany(PeerFiles.WithSubfolders).Select(f => Path.GetFileName(f) == wanted ? f : Path.Combine(f, wanted)).FirstOrDefault(Directory.Exists)
            ?? throw new SlipstreamException($"OpenVINO has no graph of this shape and format: looked for a folder '{wanted}' with {Graph}.xz, {Constants} and {Small} in {PeerFiles.Describe(folders)} and the folders in them; name the folder with --peer-path.");
        string target = Path.Combine(cacheFolder, wanted);
        PeerFiles.MakeFolder(target, partial => Make(source, partial));
        return (Path.Combine(target, Graph), Path.Combine(target, LastRow), Path.Combine(target, Weights));
    }

    private static void Make(string source, string target)
    {
        string packed = Path.Combine(source, Graph + ".xz");
        XDocument graph = XDocument.Parse(PeerFiles.ReadText(File.Exists(packed) ? packed : Path.Combine(source, Graph)));
        using JsonDocument constants = JsonDocument.Parse(File.ReadAllText(Path.Combine(source, Constants)));
        byte[] small = File.ReadAllBytes(Path.Combine(source, Small));
        long total = constants.RootElement.GetProperty("total_bytes").GetInt64();
        using FileStream weights = new(Path.Combine(target, Weights), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 20);
        weights.SetLength(total);
        List<(string Type, long Offset, long Size)> parts = [.. Parts(graph)];
        byte[] random = new byte[8 << 20], halves = Halves(quantized: parts.Exists(p => IsInteger(p.Type)));
        new Random(1).NextBytes(random);
        foreach ((string type, long offset, long size) in parts)
            if (IsInteger(type) || type == "f16") Fill(weights, offset, size, type == "f16" ? halves : random);
        foreach (JsonElement one in constants.RootElement.GetProperty("small").EnumerateArray())
        {
            weights.Position = one[0].GetInt64();
            weights.Write(small, one[2].GetInt32(), one[1].GetInt32());
        }
        weights.Position = total;
        weights.Write(BitConverter.GetBytes(-1L));
        weights.Write(BitConverter.GetBytes(1L));
        graph.Save(Path.Combine(target, Graph));
        TakeLastRow(graph, total);
        graph.Save(Path.Combine(target, LastRow));
    }

    /// <summary>Puts a selection of the last row before the head's product; the index (−1) and the axis (1) lie at the end of the weights.</summary>
    private static void TakeLastRow(XDocument graph, long offset)
    {
        XElement layers = graph.Root!.Element("layers")!, edges = graph.Root.Element("edges")!;
        string result = Id(layers.Elements().First(l => (string?)l.Attribute("type") == "Result" && (string?)l.Attribute("output_names") is null or "logits"));
        string head = (string)Into(edges, result, 0).Attribute("from-layer")!;
        XElement edge = Into(edges, head, 0);
        int next = layers.Elements().Max(l => int.Parse(Id(l), CultureInfo.InvariantCulture)) + 1;
        layers.Add(
            Constant(next, "last_row", "1", offset), Constant(next + 1, "row_axis", "", offset + sizeof(long)),
            new XElement("layer", new XAttribute("id", next + 2), new XAttribute("name", "take_last_row"), new XAttribute("type", "Gather"), new XAttribute("version", "opset8"),
                new XElement("data", new XAttribute("batch_dims", 0)),
                new XElement("input", Port(0, "FP32", 3), Port(1, "I64", 1, 1), Port(2, "I64", 0)),
                new XElement("output", Port(3, "FP32", 3))));
        edges.Add(Edge((string)edge.Attribute("from-layer")!, (string)edge.Attribute("from-port")!, next + 2, 0), Edge($"{next}", "0", next + 2, 1), Edge($"{next + 1}", "0", next + 2, 2));
        edge.SetAttributeValue("from-layer", next + 2);
        edge.SetAttributeValue("from-port", 3);

        static XElement Constant(int id, string name, string shape, long at) => new("layer",
            new XAttribute("id", id), new XAttribute("name", name), new XAttribute("type", "Const"), new XAttribute("version", "opset1"),
            new XElement("data", new XAttribute("element_type", "i64"), new XAttribute("shape", shape), new XAttribute("offset", at), new XAttribute("size", sizeof(long))),
            new XElement("output", Port(0, "I64", shape.Length, 1)));
        static XElement Port(int id, string precision, int rank, int dimension = -1) => new("port",
            new XAttribute("id", id), new XAttribute("precision", precision), Enumerable.Repeat(dimension, rank).Select(d => new XElement("dim", d)));
        static XElement Edge(string from, string port, int to, int toPort) => new("edge",
            new XAttribute("from-layer", from), new XAttribute("from-port", port), new XAttribute("to-layer", to), new XAttribute("to-port", toPort));
        static XElement Into(XElement edges, string layer, int port) => edges.Elements().First(e => (string?)e.Attribute("to-layer") == layer && (string?)e.Attribute("to-port") == $"{port}");
        static string Id(XElement layer) => (string)layer.Attribute("id")!;
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

    /// <summary>The constants of a graph, those of inner graphs among them.</summary>
    private static IEnumerable<(string Type, long Offset, long Size)> Parts(XDocument graph) => graph.Descendants("layer")
        .Where(l => (string?)l.Attribute("type") == "Const")
        .Select(l => l.Element("data")!)
        .Select(d => ((string)d.Attribute("element_type")!, (long)d.Attribute("offset")!, (long)d.Attribute("size")!));
}
