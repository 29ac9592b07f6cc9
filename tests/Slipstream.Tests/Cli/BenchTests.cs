using System.Text.Json;
using System.Xml.Linq;
using Slipstream.Bench;
using Slipstream.Cli;
using Slipstream.Cli.Options;
using Slipstream.Cli.Output;
using Slipstream.Tests.Checkpoints;

namespace Slipstream.Tests.Cli;

public sealed class BenchTests
{
    [Theory]
    [InlineData("128,512", new[] { 128, 512 })]
    [InlineData("1-5", new[] { 1, 2, 3, 4, 5 })]
    [InlineData("8, 1-3,2", new[] { 1, 2, 3, 8 })]
    [InlineData("7-7", new[] { 7 })]
    [InlineData("none", new int[0])]
    public void Lists_and_ranges_are_read(string text, int[] counts) => Assert.Equal(counts, new CountsValue(1, 512).Parse("--verify", [text]));

    [Theory]
    [InlineData("")]
    [InlineData("1,,2")]
    [InlineData("5-1")]
    [InlineData("1-2-3")]
    [InlineData("-3")]
    [InlineData("0")]
    [InlineData("513")]
    [InlineData("1-513")]
    [InlineData("2x")]
    public void Other_lists_are_refused(string text)
        => Assert.Equal($"--verify is '{text}'; it must be whole numbers from 1 to 512 and ranges of them with commas between, such as 1-4,8, or none.",
            Assert.Throws<UsageException>(() => new CountsValue(1, 512).Parse("--verify", [text])).Message);

    [Theory]
    [InlineData("bench --model m --shape tiny", "--model and --shape cannot be used together; give one of them.")]
    [InlineData("bench --model m --format Q8_0", "--format needs --shape; a model has its own.")]
    [InlineData("bench --model m --kv-heads 1", "--kv-heads needs --shape; a model has its own.")]
    [InlineData("bench --shape tiny --kv-heads 3", "The 4 heads of 'tiny' cannot share 3 key-value heads evenly; take a divisor of 4.")]
    [InlineData("bench --shape tiny --format Q9", "The format 'Q9' is not known; known are F32, F16, BF16, Q8_0, Q6_K, Q5_0, Q5_1, Q5_K_M, Q4_0, Q4_1, Q4_K_M.")]
    [InlineData("bench --shape tiny --peer vllm", "--peer is 'vllm'; it must be llama.cpp or openvino.")]
    [InlineData("bench --shape tiny --peer-path p", "--peer-path needs --peer, which is llama.cpp or openvino.")]
    [InlineData("bench --shape tiny --peer-format Q4_0", "--peer-format needs --peer llama.cpp.")]
    [InlineData("bench --shape tiny --peer llama.cpp --peer-format Q5_0", "--peer-format is 'Q5_0'; it must be Q4_0, Q4_1, Q8_0.")]
    [InlineData("bench --shape tiny --depth none", "--depth is 'none'; it must be whole numbers from 0 to 122880 and ranges of them with commas between, such as 1-4,8.")]
    [InlineData("bench --shape tiny --prefill none --decode 0 --verify none --batch none", "Nothing is left to measure; give one of --prefill, --decode, --verify and --batch.")]
    public async Task A_wrong_command_line_gets_one_sentence_and_code_2(string line, string sentence) => (await CliRun.Of(line.Split(' '))).Failed(2, sentence);

    [Fact]
    public async Task An_unknown_shape_is_refused_with_those_that_are_known()
    {
        CliRun run = await CliRun.Of("bench", "--shape", "gpt-5");
        Assert.Equal(2, run.Code);
        Assert.StartsWith("slipstream: The shape 'gpt-5' is not known; known are tiny, smollm2-135m, ", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_run_gives_every_field()
    {
        using TempFolder folder = new();
        CliRun run = await CliRun.Of("bench", "--shape", "tiny", "--format", "Q4_K_M", "--cache-dir", folder.Path, "--prefill", "16", "--decode", "4", "--verify", "1-2", "--batch", "3", "--depth", "0,20", "--repeat", "2", "--threads", "2", "--json");
        Assert.Equal((0, ""), (run.Code, run.Error));
        using JsonDocument json = JsonDocument.Parse(run.Out);
        JsonElement root = json.RootElement, machine = root.GetProperty("machine");
        Assert.Equal(["cpu", "cores", "instruction_sets", "read_bandwidth_gb_per_second", "peak_int8_gops", "peak_f32_gflops", "peak_bf16_gflops", "commit"], machine.EnumerateObject().Select(p => p.Name));
        Assert.Equal(Environment.ProcessorCount, machine.GetProperty("cores").GetInt32());
        Assert.All(["read_bandwidth_gb_per_second", "peak_int8_gops", "peak_f32_gflops"], name => Assert.True(machine.GetProperty(name).GetDouble() > 0));
        Assert.Equal(("tiny", 2, 2), (root.GetProperty("model").GetString(), root.GetProperty("threads").GetInt32(), root.GetProperty("repeat").GetInt32()));
        JsonElement[] results = [.. root.GetProperty("results").EnumerateArray()];
        Assert.Equal(
            ["prefill 16 0", "decode 1 0", "verify 1 0", "verify 2 0", "batch 3 0", "prefill 16 20", "decode 1 20", "verify 1 20", "verify 2 20", "batch 3 20"],
            results.Select(r => $"{r.GetProperty("kind").GetString()} {r.GetProperty("rows").GetInt32()} {r.GetProperty("depth").GetInt32()}"));
        foreach (JsonElement result in results)
        {
            Assert.Equal(["kind", "format", "rows", "depth", "tokens_per_second", "milliseconds", "bytes_read", "read_bandwidth_gb_per_second", "bandwidth_fraction", "roofline_fraction"], result.EnumerateObject().Select(p => p.Name));
            Assert.Equal("Q4_K_M", result.GetProperty("format").GetString());
            JsonElement times = result.GetProperty("milliseconds");
            (double min, double median, double max) = (times.GetProperty("min").GetDouble(), times.GetProperty("median").GetDouble(), times.GetProperty("max").GetDouble());
            Assert.True(0 < min && min <= median && median <= max);
            Assert.Equal(result.GetProperty("rows").GetInt32() * 1000 / median, result.GetProperty("tokens_per_second").GetDouble(), 0.02 * result.GetProperty("tokens_per_second").GetDouble());
            Assert.True(result.GetProperty("roofline_fraction").GetDouble() >= result.GetProperty("bandwidth_fraction").GetDouble());
            // All weights but the embedding's rows; the cache comes on top at a depth.
            Assert.InRange(result.GetProperty("bytes_read").GetInt64(), 700_000, 1_500_000);
        }
        Assert.True(results[7].GetProperty("bytes_read").GetInt64() > results[2].GetProperty("bytes_read").GetInt64());
        Assert.True(File.Exists(folder.File("tiny.Q4_K_M.gguf")));
    }

    [Theory]
    [InlineData(null, "f32", 128 * 4), InlineData("f16", "f16", 128 * 2), InlineData("bf16", "bf16", 128 * 2), InlineData("q8_0", "q8_0", 4 * 34)]
    public async Task The_cache_is_of_the_type_asked_for(string? type, string named, int bytes)
    {
        using TempFolder folder = new();
        string[] line = ["bench", "--shape", "tiny", "--cache-dir", folder.Path, "--prefill", "none", "--decode", "0", "--verify", "1", "--batch", "none", "--depth", "0,200", "--repeat", "1", "--threads", "1", "--json"];
        CliRun run = await CliRun.Of(type is null ? line : [.. line, "--cache-type", type]);
        Assert.Equal((0, ""), (run.Code, run.Error));
        using JsonDocument json = JsonDocument.Parse(run.Out);
        Assert.Contains($"cache {named}", run.Out, StringComparison.Ordinal);
        long[] read = [.. json.RootElement.GetProperty("results").EnumerateArray().Select(r => r.GetProperty("bytes_read").GetInt64())];
        // Keys and values of two layers.
        Assert.Equal(200 * 2 * 2 * bytes, read[1] - read[0]);
    }

    [Fact]
    public async Task A_profile_and_a_picture_come_on_demand()
    {
        using TempFolder folder = new();
        string[] line = ["bench", "--shape", "tiny", "--cache-dir", folder.Path, "--prefill", "8", "--decode", "3", "--verify", "2", "--batch", "2", "--repeat", "1", "--profile"];
        CliRun run = await CliRun.Of([.. line, "--json", "--roofline", folder.File("roof.svg")]);
        Assert.Equal((0, ""), (run.Code, run.Error));
        using JsonDocument json = JsonDocument.Parse(run.Out);
        foreach (JsonElement result in json.RootElement.GetProperty("results").EnumerateArray())
        {
            JsonElement profile = result.GetProperty("profile_milliseconds");
            Assert.Equal(["other", "prepare", "norm", "quantize", "products", "store", "attention", "gate", "residual", "head", "wait"], profile.EnumerateObject().Select(p => p.Name));
            Assert.True(profile.GetProperty("products").GetDouble() > 0);
        }
        XDocument svg = XDocument.Load(folder.File("roof.svg"));
        Assert.Equal(4, svg.Descendants(XName.Get("circle", "http://www.w3.org/2000/svg")).Count());
        Assert.False(File.Exists(folder.File("roof.svg.tmp")));

        run = await CliRun.Of(line);
        Assert.Contains("\n| milliseconds of the calling thread | other | prepare |", run.Out, StringComparison.Ordinal);
        (await CliRun.Of([.. line, "--roofline", folder.File("absent/roof.svg")])).Failed(1, $"The folder of '{folder.File("absent/roof.svg")}' does not exist; name a file in one that does.");
    }

    [Fact]
    public void The_picture_holds_every_workload_and_the_ceilings()
    {
        BenchReport report = Report() with { Model = "<m>", Results = [.. Report().Results.Select(r => r with { Operations = 1e9 })] };
        XDocument svg = XDocument.Parse(RooflineSvg.Draw(report));
        string text = string.Join('\n', svg.Descendants(XName.Get("text", "http://www.w3.org/2000/svg")).Select(t => t.Value));
        Assert.Equal(3, svg.Descendants(XName.Get("circle", "http://www.w3.org/2000/svg")).Count());
        foreach (string part in (string[])["<m>, Q8_0, 2 threads", "memory, 70.0 GB/s", "8-bit integers, 1000 GOP/s", "32-bit floats, 200 GFLOP/s", "1  prefill 6 at 0: 75 %"]) Assert.Contains(part, text, StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", svg.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task On_a_pipe_the_table_is_Markdown()
    {
        using TempFolder folder = new();
        CliRun run = await CliRun.Of("bench", "--shape", "tiny", "--cache-dir", folder.Path, "--prefill", "none", "--decode", "2", "--verify", "none", "--batch", "none", "--repeat", "1");
        Assert.Equal((0, ""), (run.Code, run.Error));
        string[] lines = run.Out.Split('\n');
        Assert.StartsWith("- tiny, Q8_0, ", lines[0], StringComparison.Ordinal);
        int head = Array.FindIndex(lines, l => l.StartsWith('|'));
        Assert.Equal("| kind | rows | depth | tok/s | ms (least–greatest) | reads GB/s | bandwidth | roofline |", lines[head]);
        Assert.Equal("|---|---:|---:|---:|---:|---:|---:|---:|", lines[head + 1]);
        Assert.Matches(@"^\| decode \| 1 \| 0 \| [0-9.]+ \| [0-9.]+ \([0-9.]+–[0-9.]+\) \| [0-9.]+ \([0-9.]+–[0-9.]+\) \| [0-9]+ % \| [0-9]+ % \|$", lines[head + 2]);
    }

    [Fact]
    public async Task A_model_and_a_missing_peer()
    {
        using TempFolder folder = new();
        (await CliRun.Of("bench", "--model", folder.File("absent.gguf"))).Failed(1, $"'{folder.File("absent.gguf")}' does not exist; name a folder with 'config.json', a '.gguf' file or a '.safetensors' file.");
        CliRun run = await CliRun.Of("bench", "--shape", "tiny", "--cache-dir", folder.Path, "--peer", "llama.cpp", "--peer-path", folder.Path);
        Assert.Equal((1, ""), (run.Code, run.Out));
        Assert.StartsWith($"slipstream: llama.cpp was not found: looked for libllama, libggml and libggml-base in '{folder.Path}'", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Peers_are_in_the_JSON_and_in_the_table()
    {
        BenchReport report = Report();
        using JsonDocument json = JsonDocument.Parse(Json.Object(writer => BenchReportJson.Write(writer, report)));
        JsonElement[] results = [.. json.RootElement.GetProperty("results").EnumerateArray()];
        Assert.Equal(("slow", 60.0, 1.0), (results[0].GetProperty("peer").GetString(), results[0].GetProperty("peer_tokens_per_second").GetDouble(), results[0].GetProperty("ratio").GetDouble()));
        Assert.Equal(("fast", 400.0, 0.2429), (results[1].GetProperty("peer").GetString(), results[1].GetProperty("peer_tokens_per_second").GetDouble(), results[1].GetProperty("ratio").GetDouble()));
        JsonElement peers = results[1].GetProperty("peers");
        Assert.Equal(["slow", "fast"], peers.EnumerateObject().Select(p => p.Name));
        Assert.Equal((100.0, 40.0), (peers.GetProperty("slow").GetProperty("tokens_per_second").GetDouble(), peers.GetProperty("slow").GetProperty("milliseconds").GetProperty("min").GetDouble()));
        Assert.Equal(["one", "another"], json.RootElement.GetProperty("engines").EnumerateArray().Select(e => e.GetString()));
        Assert.Equal(JsonValueKind.Null, json.RootElement.GetProperty("machine").GetProperty("commit").ValueKind);
        Assert.False(results[2].TryGetProperty("peer", out _));

        using StringWriter output = new() { NewLine = "\n" };
        using CliConsole console = new(Stream.Null, output, TextWriter.Null);
        BenchReportTable.Print(console, report);
        string[] rows = [.. output.ToString().Split('\n').Where(l => l.StartsWith('|'))];
        Assert.Equal("| kind | rows | depth | tok/s | ms (least–greatest) | reads GB/s | bandwidth | roofline | slow tok/s | fast tok/s | ratio |", rows[0]);
        Assert.Equal("| prefill | 6 | 0 | 60.0 | 100 (90.0–110) | 50.0 (49.0–51.0) | 50 % | 75 % | 60.0 (54.5–66.7) |  | 1.00 (slow) |", rows[2]);
        Assert.Equal("| verify | 6 | 0 | 100 | 60.0 (50.0–70.0) | 50.0 (49.0–51.0) | 83 % | 125 % | 100 (75.0–150) | 400 (300–600) | 0.24 (fast, 2 of 3 rounds alike) |", rows[3]);
        Assert.Equal("| batch | 6 | 0 | 100 | 60.0 (50.0–70.0) | 50.0 (49.0–51.0) | 83 % | 125 % |  |  |  |", rows[4]);
        Assert.Contains("- a note\n", output.ToString(), StringComparison.Ordinal);
    }

    private static BenchReport Report()
    {
        Sample[] sixty = [new(60, 50e9), new(70, 49e9), new(50, 51e9)], hundred = [new(100, 50e9), new(110, 49e9), new(90, 51e9)];
        Dictionary<string, IReadOnlyList<Sample>> one = new() { ["slow"] = hundred }, both = new() { ["slow"] = [new(40, 50e9), new(60, 50e9), new(80, 50e9)], ["fast"] = [new(15, 20e9), new(20, 50e9), new(10, 50e9)] };
        return new BenchReport(new Machine("cpu", 2, ["AVX2"], "system", null, null), (70e9, 4), (1e12, "a"), (2e11, "b"), (4e11, "c"), "m", "Q8_0", 2, 3, ["one", "another"], ["a note"],
        [
            new(new Workload(WorkKind.Prefill, 6, 0), hundred, 2_500_000_000, 0.075, one),
            new(new Workload(WorkKind.Verify, 6, 0), sixty, 2_500_000_000, 0.075, both),
            new(new Workload(WorkKind.Batch, 6, 0, 16), sixty, 2_500_000_000, 0.075, new Dictionary<string, IReadOnlyList<Sample>>()),
        ]);
    }
}
