using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Slipstream.Models;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Cli;

/// <summary>The tool with a default model beside it: a copy of the tool, so that the build's own default model, if any, plays no part.</summary>
public sealed class DefaultModelTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("slipstream-default").FullName;

    public DefaultModelTests()
    {
        foreach (string file in Directory.EnumerateFiles(AppContext.BaseDirectory).Where(file => Path.GetExtension(file) is ".dll" or ".json"))
            File.CreateSymbolicLink(Path.Combine(_folder, Path.GetFileName(file)), file);
        // The host follows the link of the program itself to find what lies beside it.
        foreach (string own in (string[])["slipstream.dll", "slipstream.deps.json", "slipstream.runtimeconfig.json"])
        {
            File.Delete(Path.Combine(_folder, own));
            File.Copy(Path.Combine(AppContext.BaseDirectory, own), Path.Combine(_folder, own));
        }
    }

    public void Dispose() => Directory.Delete(_folder, true);

    [Fact]
    public async Task Without_it_one_sentence_says_what_to_do()
    {
        Tool run = await RunAsync("generate", "--prompt-tokens", "1,2");
        Assert.Equal((2, ""), (run.Code, run.Out));
        Assert.Equal("slipstream: No model was named, and this build has no default one: give --model with a Hugging Face folder or a GGUF file, such as --model SmolLM2-135M-Instruct.Q4_1.gguf.\n", run.Error);
    }

    [Fact]
    public async Task Generates_with_its_draft_from_any_working_directory()
    {
        Place();
        JsonElement json = (await RunAsync("generate", "--prompt-tokens", "1,2,3", "--max-tokens", "24", "--ignore-eos", "--compare", "--json")).Json;
        Assert.Equal("draft-model", json.GetProperty("speculation").GetProperty("drafter").GetString());
        Assert.True(json.GetProperty("speculation").GetProperty("accepted").GetInt32() > 0);
        JsonElement comparison = json.GetProperty("comparison");
        Assert.True(comparison.GetProperty("identical").GetBoolean());
        Assert.True(comparison.GetProperty("rounds").GetInt32() >= 1);
        Assert.Equal(comparison.GetProperty("drafted_tokens_per_second").GetDouble() / comparison.GetProperty("plain_tokens_per_second").GetDouble(), comparison.GetProperty("speed_up").GetDouble(), 1e-9);

        JsonElement plain = (await RunAsync("generate", "--prompt-tokens", "1,2,3", "--max-tokens", "24", "--ignore-eos", "--drafter", "none", "--json")).Json;
        Assert.False(plain.TryGetProperty("speculation", out _));
        Assert.Equal(Tool.Ints(plain.GetProperty("tokens")), Tool.Ints(json.GetProperty("tokens")));

        JsonElement lookup = (await RunAsync("generate", "--prompt-tokens", "1,2,3", "--max-tokens", "8", "--ignore-eos", "--drafter", "prompt-lookup", "--json")).Json;
        Assert.Equal(0, lookup.GetProperty("speculation").GetProperty("draft_parameters").GetInt64());
    }

    [Fact]
    public async Task A_model_that_is_named_has_no_draft_of_its_own()
    {
        Place();
        JsonElement json = (await RunAsync("generate", "--model", Assets.Path("goldens", "gguf", "tiny-F32.gguf"), "--prompt-tokens", "1,2,3", "--max-tokens", "4", "--json")).Json;
        Assert.False(json.TryGetProperty("speculation", out _));
        Tool compare = await RunAsync("generate", "--model", "m", "--prompt-tokens", "1", "--compare");
        Assert.Equal((2, "slipstream: --compare needs a drafter; give --draft or --drafter prompt-lookup.\n"), (compare.Code, compare.Error));
    }

    [Fact]
    public async Task Inspect_shows_it_with_its_draft()
    {
        Place();
        JsonElement json = (await RunAsync("inspect", "--json")).Json;
        Assert.Equal("target.gguf", Path.GetFileName(json.GetProperty("model").GetString()));
        Assert.Equal("gguf", json.GetProperty("draft").GetProperty("kind").GetString());
    }

    private void Place()
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder, "default-model")).FullName;
        foreach ((string file, string format) in new[] { ("target.gguf", "F32"), ("draft.gguf", "F16") })
            GgufConverter.Convert(Assets.Path("goldens", "models", "llama"), Path.Combine(folder, file), new GgufConversionOptions { Format = format });
    }

    private async Task<Tool> RunAsync(params string[] arguments)
    {
        ProcessStartInfo start = new("dotnet")
        {
            RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8, StandardErrorEncoding = Encoding.UTF8,
            WorkingDirectory = Path.GetTempPath(),
        };
        foreach (string argument in (string[])["exec", Path.Combine(_folder, "slipstream.dll"), .. arguments]) start.ArgumentList.Add(argument);
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync(), output = process.StandardOutput.ReadToEndAsync();
        return new Tool(await Tool.EndAsync(process), await output, await error);
    }
}
