using System.Xml.Linq;
using Slipstream.Bench;
using Slipstream.Models;
using Slipstream.Tests.Checkpoints;

namespace Slipstream.Tests.Bench;

public sealed class PeerTests
{
    private const string Graph = """
        <net name="m" version="11"><layers>
          <layer id="0" name="states" type="Parameter" version="opset1"><data shape="?,?,8" element_type="f32" /><output><port id="0" precision="FP32" /></output></layer>
          <layer id="1" name="weights" type="Const" version="opset1"><data element_type="i8" shape="4,8" offset="8" size="32" /><output><port id="0" precision="I8" /></output></layer>
          <layer id="2" name="scales" type="Const" version="opset1"><data element_type="f16" shape="4,1" offset="40" size="8" /><output><port id="0" precision="FP16" /></output></layer>
          <layer id="3" name="axis" type="Const" version="opset1"><data element_type="i64" shape="" offset="0" size="8" /><output><port id="0" precision="I64" /></output></layer>
          <layer id="5" name="head" type="MatMul" version="opset1"><data transpose_a="false" transpose_b="true" /></layer>
          <layer id="9" name="r" type="Result" version="opset1" output_names="logits" />
        </layers><edges>
          <edge from-layer="0" from-port="0" to-layer="5" to-port="0" /><edge from-layer="1" from-port="0" to-layer="5" to-port="1" /><edge from-layer="5" from-port="2" to-layer="9" to-port="0" />
        </edges></net>
        """;

    [Fact]
    public void The_weights_of_a_graph_are_made_once()
    {
        using TempFolder folder = new();
        string source = folder.File("openvino-x-int8"), cache = folder.File("cache");
        Directory.CreateDirectory(source);
        File.WriteAllText(Path.Combine(source, "openvino_model.xml"), Graph);
        File.WriteAllText(Path.Combine(source, "constants.json"), """{"total_bytes": 48, "small": [[0, 8, 2]]}""");
        File.WriteAllBytes(Path.Combine(source, "constants.bin"), [0xEE, 0xEE, 1, 2, 3, 4, 5, 6, 7, 8]);

        (string graph, string lastRow, string weights) = OpenVinoModel.Get("x-int8", [folder.Path], cache);
        byte[] bytes = File.ReadAllBytes(weights);
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], bytes[..8]);
        Assert.True(bytes[8..40].Distinct().Count() > 8);
        Assert.Equal([0, 0x10, 0, 0x10, 0, 0x10, 0, 0x10], bytes[40..48]);
        Assert.Equal([.. BitConverter.GetBytes(-1L), .. BitConverter.GetBytes(1L)], bytes[48..]);
        Assert.Equal(XDocument.Parse(Graph).ToString(), XDocument.Load(graph).ToString());

        XElement root = XDocument.Load(lastRow).Root!;
        XElement gather = Assert.Single(root.Element("layers")!.Elements(), l => (string?)l.Attribute("type") == "Gather");
        string id = (string)gather.Attribute("id")!;
        Assert.Equal(["0>" + id, id + ">5", "1>5", "5>9"], Edges("0>" + id, id + ">5", "1>5", "5>9"));
        Assert.Equal([48L, 56L], root.Element("layers")!.Elements().Where(l => (string?)l.Attribute("name") is "last_row" or "row_axis").Select(l => (long)l.Element("data")!.Attribute("offset")!));

        Directory.Delete(source, recursive: true);
        Directory.CreateDirectory(source);
        Assert.Equal(graph, OpenVinoModel.Get("x-int8", [folder.Path], cache).Graph);

        IEnumerable<string> Edges(params string[] wanted) => wanted.Where(root.Element("edges")!.Elements().Select(e => $"{(string?)e.Attribute("from-layer")}>{(string?)e.Attribute("to-layer")}").Contains);
    }

    [Fact]
    public void A_peer_that_is_not_there_says_where_it_was_looked_for()
    {
        using TempFolder folder = new();
        PeerRequest request = Request(folder);
        Assert.Equal($"llama.cpp was not found: looked for libllama, libggml and libggml-base in '{folder.Path}', there and in node_modules/@node-llama-cpp/<platform>/bins/<platform>; get it with 'npm install @node-llama-cpp/linux-x64' in any folder and name the folder with --peer-path.",
            Assert.Throws<SlipstreamException>(() => PeerCatalog.Load("llama.cpp", request)).Message);
        Assert.Equal($"OpenVINO was not found: looked for libopenvino_c.so* and for openvino-*-linux-x64.tar.xz in '{folder.Path}' and the folders in them; name the folder with --peer-path.",
            Assert.Throws<SlipstreamException>(() => PeerCatalog.Load("openvino", request)).Message);
        Assert.StartsWith("OpenVINO has no graph of this shape and format: looked for a folder 'openvino-y-f16' with openvino_model.xml.xz",
            Assert.Throws<SlipstreamException>(() => OpenVinoModel.Get("y-f16", [folder.Path], folder.File("cache"))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tinyllama-1.1b", "Q8_0", "tinyllama-1.1b-int8")]
    [InlineData("tinyllama-1.1b", "Q6_K", "tinyllama-1.1b-int8")]
    [InlineData("tinyllama-1.1b", "Q4_0", "tinyllama-1.1b-int4g32")]
    [InlineData("tinyllama-1.1b", "Q4_K_M", "tinyllama-1.1b-int4g32")]
    [InlineData("tinyllama-1.1b", "BF16", "tinyllama-1.1b-f16")]
    [InlineData("smollm2-135m", "Q4_1", "smollm2-135m-int4g64")]
    public void OpenVINO_runs_its_nearest_format(string shape, string format, string graph)
    {
        ModelShape s = ModelShape.Get(shape, null, null);
        ModelConfig config = new()
        {
            Family = "llama", VocabularySize = s.Vocabulary, HiddenSize = s.Hidden, IntermediateSize = s.Intermediate, Layers = s.Layers, Heads = s.Heads, KvHeads = s.KvHeads, HeadSize = s.HeadSize,
            ContextLength = 2048, Norm = NormKind.Rms, NormEpsilon = 1e-5f, Activation = ActivationKind.Silu, GatedFeedForward = true,
        };
        Assert.Equal(graph, OpenVinoContender.NameOf(config, format));
        Assert.Throws<SlipstreamException>(() => OpenVinoContender.NameOf(config with { Layers = 7 }, format));
    }

    [Fact]
    public void Context_parameters_are_found_by_their_defaults()
    {
        // n_ctx, n_batch, n_ubatch, n_seq_max, n_rs_seq, n_outputs_max, n_outputs_max_per_seq (newer versions), n_threads twice.
        ParameterBlock newer = default, older = default, unknown = default;
        ((int[])[512, 2048, 512, 1, 0, 0, 1, 4, 4]).CopyTo(newer.Words);
        ((int[])[512, 2048, 512, 1, 0, 0, 4, 4]).CopyTo(older.Words);
        LlamaLayouts.SetContext(ref newer, "folder", 9000, 1024, 512, 16, 17, 2);
        LlamaLayouts.SetContext(ref older, "folder", 9000, 1024, 512, 16, 17, 2);
        Assert.Equal([9000, 1024, 512, 16, 0, 17, 0, 2, 2, 0, 0, 0, 0, 1], newer.Words[..14].ToArray());
        Assert.Equal([9000, 1024, 512, 16, 0, 17, 2, 2, 0, 0, 0, 0, 1], older.Words[..13].ToArray());
        Assert.Contains("layout", Assert.Throws<SlipstreamException>(() => LlamaLayouts.SetContext(ref unknown, "folder", 9000, 1024, 512, 16, 17, 2)).Message, StringComparison.Ordinal);
    }

    private static PeerRequest Request(TempFolder folder)
    {
        ModelConfig config = new()
        {
            Family = "llama", VocabularySize = 1, HiddenSize = 1, IntermediateSize = 1, Layers = 1, Heads = 1, KvHeads = 1, HeadSize = 1,
            ContextLength = 1, Norm = NormKind.Rms, NormEpsilon = 1, Activation = ActivationKind.Silu, GatedFeedForward = true,
        };
        return new PeerRequest(folder.File("model.gguf"), config, "Q8_0", 1, [folder.Path], folder.File("cache"));
    }
}
