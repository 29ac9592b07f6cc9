using System.Diagnostics;
using System.Text.Json;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Cli;

public sealed class GenerateTests
{
    private static string Llama => Assets.Path("goldens", "models", "llama");

    private static JsonElement[] Cases => [.. JsonDocument.Parse(File.ReadAllText(Path.Combine(Llama, "golden.json"))).RootElement.GetProperty("cases").EnumerateArray()];

    [Fact]
    public async Task Token_prompts_give_the_reference_tokens_as_JSON()
    {
        foreach (JsonElement golden in Cases)
        {
            int[] prompt = Tool.Ints(golden.GetProperty("ids")), greedy = Tool.Ints(golden.GetProperty("greedy"));
            Tool run = await Tool.RunAsync("generate", "--model", Llama, "--prompt-tokens", Tool.List(prompt), "--max-tokens", $"{greedy.Length}", "--ignore-eos", "--json");
            JsonElement json = run.Json;
            Assert.Equal(prompt, Tool.Ints(json.GetProperty("prompt_tokens")));
            Assert.Equal(greedy, Tool.Ints(json.GetProperty("tokens")));
            Assert.Equal(JsonValueKind.Null, json.GetProperty("text").ValueKind);
            Assert.Equal("length", json.GetProperty("finish_reason").GetString());
            Assert.Equal(0, json.GetProperty("sampling").GetProperty("temperature").GetDouble());
            foreach (string name in (string[])["load_ms", "prefill_ms", "prefill_tokens_per_second", "first_token_ms"])
                Assert.True(json.GetProperty("timing").GetProperty(name).GetDouble() > 0, name);
            Assert.True(json.GetProperty("timing").GetProperty("decode_ms").GetDouble() >= 0);
            Assert.False(json.TryGetProperty("speculation", out _));
        }
    }

    [Fact]
    public async Task A_plain_pipe_gets_the_result_alone()
    {
        int[] greedy = Tool.Ints(Cases[0].GetProperty("greedy"));
        Tool run = await Tool.RunWithInputAsync(" 128\n", "generate", "--model", Llama, "--prompt-tokens", "-", "--max-tokens", $"{greedy.Length}", "--ignore-eos");
        Assert.Equal(Tool.List(greedy) + "\n", run.Out);
        Assert.StartsWith("length after 16 tokens", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain('\e', run.Error);
        Assert.Equal(0, run.Code);
    }

    [Fact]
    public async Task A_drafter_changes_the_speed_and_not_the_tokens()
    {
        string trace = Tool.Temporary(".jsonl");
        try
        {
            JsonElement golden = Cases[1];
            JsonElement json = (await Tool.RunAsync("generate", "--model", Llama, "--prompt-tokens", Tool.List(Tool.Ints(golden.GetProperty("ids"))), "--max-tokens", "16", "--ignore-eos", "--draft", Llama, "--draft-length", "3", "--trace", trace, "--json")).Json;
            Assert.Equal(Tool.Ints(golden.GetProperty("greedy")), Tool.Ints(json.GetProperty("tokens")));
            JsonElement speculation = json.GetProperty("speculation");
            Assert.Equal(88384, speculation.GetProperty("draft_parameters").GetInt64());
            // The model drafts for itself, so every draft stands: four tokens a verification.
            Assert.Equal(4, speculation.GetProperty("verifications").GetInt32());
            Assert.Equal(4, speculation.GetProperty("tokens_per_verification").GetDouble());
            Assert.Equal(1, speculation.GetProperty("acceptance_rate").GetDouble());
            Assert.Equal(speculation.GetProperty("accepted").GetInt32(), speculation.GetProperty("per_position").EnumerateArray().Sum(depth => depth.GetProperty("accepted").GetInt32()));
            Assert.True(json.GetProperty("timing").GetProperty("draft_ms").GetDouble() > 0);
            JsonElement[] steps = [.. File.ReadLines(trace).Select(line => JsonDocument.Parse(line).RootElement)];
            Assert.Equal(16, steps.Sum(step => step.GetProperty("tokens").GetInt32()));
            Assert.Equal(Enumerable.Range(1, steps.Length), steps.Select(step => step.GetProperty("step").GetInt32()));
        }
        finally
        {
            File.Delete(trace);
        }
    }

    [Fact]
    public async Task A_seed_repeats_a_sample_whatever_the_drafter()
    {
        string[] sampled = ["generate", "--model", Llama, "--prompt-tokens", "5,6,5,6,5,6,5", "--max-tokens", "24", "--ignore-eos", "--temperature", "0.9", "--top-k", "20", "--seed", "7", "--json"];
        JsonElement plain = (await Tool.RunAsync(sampled)).Json, again = (await Tool.RunAsync([.. sampled, "--drafter", "prompt-lookup"])).Json;
        Assert.Equal(Tool.Ints(plain.GetProperty("tokens")), Tool.Ints(again.GetProperty("tokens")));
        Assert.Equal(7ul, plain.GetProperty("seed").GetUInt64());
        Assert.Equal((0.9, 20), (plain.GetProperty("sampling").GetProperty("temperature").GetDouble(), plain.GetProperty("sampling").GetProperty("top_k").GetInt32()));
        Assert.Equal("prompt-lookup", again.GetProperty("speculation").GetProperty("drafter").GetString());
    }

    [Fact]
    public async Task Logprobs_are_reported()
    {
        JsonElement json = (await Tool.RunAsync("generate", "--model", Llama, "--prompt-tokens", "128", "--max-tokens", "3", "--ignore-eos", "--logprobs", "2", "--json")).Json;
        JsonElement[] steps = [.. json.GetProperty("logprobs").EnumerateArray()];
        Assert.Equal(Tool.Ints(json.GetProperty("tokens")), steps.Select(step => step.GetProperty("token").GetInt32()));
        foreach (JsonElement step in steps)
        {
            Assert.Equal(2, step.GetProperty("top").GetArrayLength());
            Assert.Equal(step.GetProperty("logprob").GetDouble(), step.GetProperty("top")[0].GetProperty("logprob").GetDouble());
            Assert.True(step.GetProperty("top")[1].GetProperty("logprob").GetDouble() <= step.GetProperty("logprob").GetDouble());
        }
    }

    [Fact]
    public async Task The_capital_of_France_is_Paris()
    {
        Tool run = await Tool.RunAsync("generate", "--model", Assets.SmolLm2, "--chat", "What is the capital of France?", "--activations", "f32");
        Assert.Equal("The capital of France is Paris.\n", run.Out);
        Assert.Equal(0, run.Code);
    }

    [Fact]
    public async Task Text_that_looks_like_options_is_text()
    {
        JsonElement json = (await Tool.RunAsync("generate", "--model", Assets.SmolLm2, "--prompt", "--json", "--max-tokens", "1", "--stop", "-x", "--json")).Json;
        JsonElement expected = (await Tool.RunAsync("tokenize", "--model", Assets.SmolLm2, "--text", "--json", "--json")).Json;
        Assert.Equal(Tool.Ints(expected.GetProperty("ids")), Tool.Ints(json.GetProperty("prompt_tokens")));
    }

    [Theory]
    [InlineData("160", "The token 160 is not in the vocabulary of 160; ids run from 0 to 159.")]
    [InlineData("long", "The prompt has 256 tokens, but the context of ")]
    public async Task A_prompt_that_does_not_fit_is_refused(string tokens, string sentence)
    {
        Tool run = await Tool.RunAsync("generate", "--model", Llama, "--prompt-tokens", tokens == "long" ? Tool.List(Enumerable.Repeat(5, 256)) : tokens, "--json");
        Assert.Equal("", run.Out);
        Assert.StartsWith("slipstream: " + sentence, run.Error, StringComparison.Ordinal);
        Assert.Equal(1, run.Error.Count(c => c == '\n'));
        Assert.Equal(1, run.Code);
    }

    [Fact]
    public async Task A_closed_pipe_is_quiet()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Pipes of a child process close differently there.");
        using Process process = Tool.Start("generate", "--model", Assets.SmolLm2, "--prompt", "Once upon a time", "--max-tokens", "8000", "--ignore-eos");
        process.StandardInput.Close();
        Assert.True(await process.StandardOutput.ReadAsync(new char[4]) > 0);
        process.StandardOutput.Close();
        string error = await process.StandardError.ReadToEndAsync();
        Assert.Equal((0, ""), (await Tool.EndAsync(process), error));
    }

    // Bit 1 of the mask of ignored signals is SIGINT.
    private static bool IgnoresInterrupts() => File.Exists("/proc/self/status") && File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith("SigIgn:", StringComparison.Ordinal)) is { } line
        && (Convert.ToUInt64(line["SigIgn:".Length..].Trim(), 16) & 2) != 0;

    [Theory]
    [InlineData("-INT", 130)]
    [InlineData("-TERM", 143)]
    public async Task A_signal_ends_the_generation_with_what_there_is(string signal, int code)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Signals are sent with kill.");
        Assert.SkipWhen(signal == "-INT" && IgnoresInterrupts(), "This process was started with SIGINT ignored, as shells start jobs in the background, and so are its children.");
        string trace = Tool.Temporary(".jsonl");
        using Process process = Tool.Start("generate", "--model", Assets.SmolLm2, "--prompt", "Once upon a time", "--max-tokens", "8000", "--ignore-eos", "--json", "--trace", trace);
        process.StandardInput.Close();
        try
        {
            // The trace's temporary file grows once steps are made.
            for (int i = 0; i < 1200 && !(File.Exists(trace + ".tmp") && new FileInfo(trace + ".tmp").Length > 0); i++) await Task.Delay(50);
            using (Process kill = Process.Start("kill", [signal, $"{process.Id}"])) await kill.WaitForExitAsync();
            JsonElement json = JsonDocument.Parse(await process.StandardOutput.ReadToEndAsync()).RootElement;
            Assert.Equal("cancelled", json.GetProperty("finish_reason").GetString());
            Assert.True(json.GetProperty("tokens").GetArrayLength() > 0);
            Assert.Equal("", await process.StandardError.ReadToEndAsync());
            Assert.Equal(code, await Tool.EndAsync(process));
            Assert.True(File.Exists(trace));
        }
        finally
        {
            File.Delete(trace);
        }
    }
}
