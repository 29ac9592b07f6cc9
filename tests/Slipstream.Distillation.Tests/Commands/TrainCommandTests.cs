using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using System.Xml.Linq;
using Slipstream.Trainer.Commands;

namespace Slipstream.Distillation.Tests.Commands;

/// <summary><c>slipstream-train train</c> from text to a model, in this process and as a process that is killed.</summary>
public sealed class TrainCommandTests
{
    private static readonly string[] Toy = ["--hidden", "32", "--layers", "2", "--heads", "4", "--kv-heads", "2", "--intermediate", "48", "--context", "96", "--length", "32", "--batch", "4", "--vocabulary", "300", "--activations", "f32", "--evaluate-every", "10", "--held-out", "0.1", "--learning-rate", "5e-3"];

    [Fact]
    public async Task A_text_becomes_a_model_that_the_engine_loads()
    {
        TorchFixture.Require();
        using TorchFixture.Folder folder = new();
        string text = Write(folder);
        (int code, string output, string error) = await Run(["train", "--text", text, "--output", folder["model"], "--steps", "40", "--json", .. Toy]);
        Assert.True(code == 0, error);
        using JsonDocument json = JsonDocument.Parse(output);
        Assert.Equal(40, json.RootElement.GetProperty("steps").GetInt32());
        double loss = json.RootElement.GetProperty("held_out_loss").GetDouble();
        Assert.InRange(loss, 0.1, 5);
        Assert.InRange(json.RootElement.GetProperty("bits_per_byte").GetDouble(), 0.05, loss / Math.Log(2));
        Assert.Contains("bits a byte", error, StringComparison.Ordinal);

        using (LanguageModel model = LanguageModel.Load(folder["model"], new ModelOptions { Threads = 1 }))
        {
            GenerationResult result = await model.GenerateAsync("the cat sees", new GenerationOptions { MaxNewTokens = 8 }, TestContext.Current.CancellationToken);
            Assert.NotEmpty(result.Tokens);
            Assert.Equal(96, model.Config.ContextLength);
        }
        Assert.Equal("svg", XDocument.Load(Path.Combine(folder["model"], "training", "loss.svg")).Root!.Name.LocalName);
        string[] log = File.ReadAllLines(Path.Combine(folder["model"], "training", "log.jsonl"));
        Assert.Equal(Enumerable.Range(1, 40), log.Select(line => JsonDocument.Parse(line).RootElement).Where(line => line.TryGetProperty("loss", out _)).Select(line => line.GetProperty("step").GetInt32()));
        Assert.Equal([10, 20, 30, 40], log.Select(line => JsonDocument.Parse(line).RootElement).Where(line => line.TryGetProperty("held_out_loss", out _)).Select(line => line.GetProperty("step").GetInt32()));
        Assert.Empty(Directory.GetFiles(folder["model"], "*.tmp", SearchOption.AllDirectories));

        // The same command again finds the run over; other options are refused.
        Assert.Equal(0, (await Run(["train", "--text", text, "--output", folder["model"], "--steps", "40", .. Toy])).Code);
        SlipstreamException e = await Assert.ThrowsAsync<SlipstreamException>(() => Run(["train", "--text", text, "--output", folder["model"], "--steps", "50", .. Toy]));
        Assert.Contains("another steps (40 there, 50 now)", e.Message, StringComparison.Ordinal);
        e = await Assert.ThrowsAsync<SlipstreamException>(() => Run(["train", "--text", text, "--output", folder["other"], "--steps", "40", .. Toy.Select(argument => argument == "96" ? "16" : argument)]));
        Assert.Equal("--context is 16, but the windows have 32 tokens; give at least that.", e.Message);
    }

    [Fact]
    public async Task A_killed_process_goes_on_with_the_same_curve()
    {
        TorchFixture.Require();
        using TorchFixture.Folder folder = new();
        string text = Write(folder);
        string[] Arguments(string output) => ["train", "--text", text, "--output", folder[output], "--steps", "150", "--checkpoint-every", "3", "--threads", "1", .. Toy];
        using (Process whole = Start(Arguments("whole")))
        {
            await whole.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.Equal(0, whole.ExitCode);
        }
        string state = Path.Combine(folder["killed"], "training", "state.safetensors");
        using (Process killed = Start(Arguments("killed")))
        {
            while (!File.Exists(state) && !killed.HasExited) await Task.Delay(5, TestContext.Current.CancellationToken);
            await Task.Delay(Random.Shared.Next(200), TestContext.Current.CancellationToken);
            killed.Kill();
            await killed.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
        bool unfinished = !File.Exists(Path.Combine(folder["killed"], "model.safetensors"));
        using (Process again = Start(Arguments("killed")))
        {
            await again.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.Equal(0, again.ExitCode);
        }
        Assert.Equal(File.ReadAllBytes(Path.Combine(folder["whole"], "model.safetensors")), File.ReadAllBytes(Path.Combine(folder["killed"], "model.safetensors")));
        Assert.Equal(Losses(folder["whole"]), Losses(folder["killed"]));
        Assert.SkipUnless(unfinished, "The run was over before the signal came, so nothing was shown.");
    }

    [Theory]
    [InlineData("--steps, --epochs and --minutes cannot be used together", "--steps", "4", "--epochs", "1")]
    [InlineData("--shape is 'huge'", "--steps", "4", "--shape", "huge")]
    [InlineData("--held-out is 1", "--steps", "4", "--held-out", "1")]
    [InlineData("--checkpoint-every is 'often'", "--steps", "4", "--checkpoint-every", "often")]
    [InlineData("cannot share 3", "--steps", "4", "--kv-heads", "3")]
    [InlineData("no run to go on with", "--steps", "4", "--resume")]
    [InlineData("neither a folder", "--steps", "4", "--tokenizer", "nowhere.json")]
    [InlineData("does not exist", "--steps", "4", "--held-out-text", "nowhere.txt")]
    public async Task A_mistake_is_one_sentence(string part, params string[] arguments)
    {
        TorchFixture.Require();
        using TorchFixture.Folder folder = new();
        string text = Write(folder);
        SlipstreamException e = await Assert.ThrowsAsync<SlipstreamException>(() => Run(["train", "--text", text, "--output", folder["model"], .. arguments]));
        Assert.Contains(part, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_runs_do_not_share_a_folder()
    {
        TorchFixture.Require();
        using TorchFixture.Folder folder = new();
        Directory.CreateDirectory(Path.Combine(folder["model"], "training"));
        using FileStream other = new(Path.Combine(folder["model"], "training", "lock"), FileMode.Create, FileAccess.ReadWrite, FileShare.None);
        SlipstreamException e = await Assert.ThrowsAsync<SlipstreamException>(() => Run(["train", "--text", Write(folder), "--output", folder["model"], "--steps", "4", .. Toy]));
        Assert.Contains("Another process", e.Message, StringComparison.Ordinal);
    }

    private static string Write(TorchFixture.Folder folder)
    {
        File.WriteAllText(folder["text.txt"], TorchFixture.Text(150));
        return folder["text.txt"];
    }

    // A step is in the log once, with its loss to the last digit.
    private static string[] Losses(string folder) =>
        [.. File.ReadAllLines(Path.Combine(folder, "training", "log.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).Where(line => line.TryGetProperty("loss", out _)).Select(line => $"{line.GetProperty("step")} {line.GetProperty("loss").GetRawText()}")];

    private static async Task<(int Code, string Output, string Error)> Run(string[] arguments)
    {
        using StringWriter output = new(), error = new();
        int code = await new RootCommand { TrainCommand.Create() }.Parse(arguments).InvokeAsync(new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false }, TestContext.Current.CancellationToken);
        return (code, output.ToString(), error.ToString());
    }

    private static Process Start(string[] arguments)
    {
        Process process = TrainerProcess.Start(arguments);
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        return process;
    }
}
