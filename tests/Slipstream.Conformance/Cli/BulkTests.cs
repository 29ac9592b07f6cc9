using System.Diagnostics;
using System.Text.Json;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Cli;

public sealed class BulkTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("slipstream-bulk-");

    private static string Llama => Assets.Path("goldens", "models", "llama");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task Results_are_those_of_single_runs_in_order()
    {
        string prompts = Write("p.jsonl", "{\"prompt_tokens\": [128], \"max_tokens\": 16, \"ignore_eos\": true}\n{\"prompt_tokens\": [5, 6, 7], \"max_tokens\": 3, \"ignore_eos\": true, \"temperature\": 0.8, \"seed\": 3}\n{\"prompt_tokens\": [9]}\n");
        string output = Path.Combine(_folder.FullName, "o.jsonl");
        JsonElement report = (await Tool.RunAsync("generate", "--model", Llama, "--prompts", prompts, "--output", output, "--max-tokens", "5", "--seed", "11", "--json")).Json;
        Assert.Equal((3, 0), (report.GetProperty("requests").GetInt32(), report.GetProperty("resumed").GetInt32()));
        JsonElement[] results = Read(output);
        JsonElement[] single =
        [
            (await Tool.RunAsync("generate", "--model", Llama, "--prompt-tokens", "128", "--max-tokens", "16", "--ignore-eos", "--seed", "11", "--json")).Json,
            (await Tool.RunAsync("generate", "--model", Llama, "--prompt-tokens", "5,6,7", "--max-tokens", "3", "--ignore-eos", "--temperature", "0.8", "--seed", "3", "--json")).Json,
            (await Tool.RunAsync("generate", "--model", Llama, "--prompt-tokens", "9", "--max-tokens", "5", "--seed", "11", "--json")).Json,
        ];
        Assert.Equal(3, results.Length);
        for (int i = 0; i < 3; i++)
        {
            foreach (string name in (string[])["prompt_tokens", "tokens", "text", "finish_reason", "seed", "sampling"])
                Assert.Equal(single[i].GetProperty(name).GetRawText(), results[i].GetProperty(name).GetRawText());
            // The same fields, and the fingerprint that a resumed run checks.
            Assert.Equal([.. single[i].EnumerateObject().Select(property => property.Name), "request"], results[i].EnumerateObject().Select(property => property.Name));
        }
    }

    [Fact]
    public async Task A_killed_run_goes_on_without_losing_or_doubling_a_line()
    {
        string prompts = Write("p.jsonl", string.Concat(Enumerable.Range(0, 300).Select(i => $"{{\"prompt_tokens\": [{3 + i % 150}, {3 + i % 7}], \"max_tokens\": {20 + 13 * i % 180}, \"ignore_eos\": true, \"temperature\": 0.7, \"seed\": {i}}}\n")));
        string whole = Path.Combine(_folder.FullName, "whole.jsonl"), cut = Path.Combine(_folder.FullName, "cut.jsonl");
        string[] command = ["generate", "--model", Llama, "--prompts", prompts, "--json", "--output"];
        Assert.Equal(0, (await Tool.RunAsync([.. command, whole])).Code);
        using (Process process = Tool.Start([.. command, cut]))
        {
            while (!process.HasExited && !(File.Exists(cut) && new FileInfo(cut).Length > 20_000)) await Task.Delay(2);
            process.Kill();
            await process.WaitForExitAsync();
        }
        int before = File.ReadAllText(cut).Count(c => c == '\n');
        Assert.InRange(before, 1, 299);
        File.AppendAllText(cut, "{\"prompt_tokens\":[3");
        // The threads and the batch change no result, so they may change between the runs.
        JsonElement report = (await Tool.RunAsync([.. command, cut, "--max-batch", "3", "--threads", "1"])).Json;
        Assert.Equal(before, report.GetProperty("resumed").GetInt32());
        Assert.Equal(Essence(whole), Essence(cut));
        // Once more there is nothing to do.
        byte[] done = File.ReadAllBytes(cut);
        Assert.Equal(300, (await Tool.RunAsync([.. command, cut])).Json.GetProperty("resumed").GetInt32());
        Assert.Equal(done, File.ReadAllBytes(cut));
        Tool other = await Tool.RunAsync([.. command, cut, "--min-tokens", "1"]);
        Assert.Equal((1, $"slipstream: '{cut}' line 1 is no result of request 1 with this model and these options; delete the file, or name another --output.\n"), (other.Code, other.Error));
    }

    [Fact]
    public async Task Few_blocks_preempt_and_change_nothing()
    {
        string prompts = Write("p.jsonl", string.Concat(Enumerable.Range(0, 12).Select(i => $"{{\"prompt_tokens\": [{3 + i}], \"max_tokens\": 100, \"ignore_eos\": true, \"seed\": {i}}}\n")));
        string plenty = Path.Combine(_folder.FullName, "plenty.jsonl"), scarce = Path.Combine(_folder.FullName, "scarce.jsonl"), trace = Path.Combine(_folder.FullName, "trace.jsonl");
        string[] command = ["generate", "--model", Llama, "--prompts", prompts, "--kv-block", "4", "--json", "--output"];
        Assert.Equal(0, (await Tool.RunAsync([.. command, plenty])).Code);
        // A row takes 512 bytes, so this is room for 256 rows, and 8 requests want 808.
        Assert.Equal(0, (await Tool.RunAsync([.. command, scarce, "--kv-memory", "131072", "--trace", trace])).Code);
        Assert.True(Read(trace).Sum(step => step.GetProperty("preemptions").GetInt32()) > 0);
        Assert.Equal(Essence(plenty), Essence(scarce));
    }

    [Fact]
    public async Task Two_runs_do_not_write_one_output()
    {
        Assert.SkipWhen(OperatingSystem.IsMacOS(), "The runtime has no locks of files there.");
        string prompts = Write("p.jsonl", "{\"prompt_tokens\": [1], \"max_tokens\": 8000, \"ignore_eos\": true}\n"), output = Path.Combine(_folder.FullName, "o.jsonl");
        string[] command = ["generate", "--model", Assets.SmolLm2, "--prompts", prompts, "--output", output];
        using Process first = Tool.Start(command);
        while (!first.HasExited && !File.Exists(output)) await Task.Delay(5);
        await Task.Delay(200);
        Tool second = await Tool.RunAsync(command);
        Assert.False(first.HasExited);
        first.Kill();
        Assert.Equal((1, ""), (second.Code, second.Out));
        Assert.StartsWith($"slipstream: '{output}' cannot be written: ", second.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_line_is_named_before_anything_is_done()
    {
        string prompts = Write("p.jsonl", "{\"prompt_tokens\": [128]}\n{\"prompt_tokens\": [160]}\n"), output = Path.Combine(_folder.FullName, "o.jsonl");
        Tool run = await Tool.RunAsync("generate", "--model", Llama, "--prompts", prompts, "--output", output);
        Assert.Equal((1, "", $"slipstream: '{prompts}' line 2: The token 160 is not in the vocabulary of 160; ids run from 0 to 159.\n"), (run.Code, run.Out, run.Error));
        Assert.False(File.Exists(output));
    }

    private static JsonElement[] Read(string path) => [.. File.ReadLines(path).Select(line => JsonDocument.Parse(line).RootElement)];

    /// <summary>All of the results but the times.</summary>
    private static string[] Essence(string path)
        => [.. Read(path).Select(result => string.Join(' ', result.EnumerateObject().Where(property => property.Name != "timing").Select(property => property.Value.GetRawText())))];

    private string Write(string name, string content)
    {
        string path = Path.Combine(_folder.FullName, name);
        File.WriteAllText(path, content);
        return path;
    }
}
