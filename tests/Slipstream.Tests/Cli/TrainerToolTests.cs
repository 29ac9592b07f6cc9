using System.Diagnostics;
using Slipstream.Cli;
using Slipstream.Tests.Checkpoints;

namespace Slipstream.Tests.Cli;

public sealed class TrainerToolTests
{
    private static string Executable => OperatingSystem.IsWindows() ? "slipstream-train.exe" : "slipstream-train";

    [Fact]
    public void Is_found_beside_the_tool_then_on_the_path_then_in_the_clone()
    {
        using TempFolder clone = new(), elsewhere = new();
        string tool = Directory.CreateDirectory(Path.Combine(clone.Path, "src", "Slipstream.Cli", "bin", "Debug", "net10.0")).FullName;
        clone.Write("Slipstream.slnx", "");
        string message = Assert.Throws<SlipstreamException>(() => TrainerTool.Find(tool, elsewhere.Path, "distill")).Message;
        Assert.StartsWith("'slipstream distill' needs the trainer, 'slipstream-train', which is neither in '" + tool + "' nor on the PATH nor built in this clone: build it with 'dotnet build -c Release ", message, StringComparison.Ordinal);

        string build = Directory.CreateDirectory(Path.Combine(clone.Path, "src", "Slipstream.Trainer", "bin", "Release", "net10.0")).FullName;
        File.WriteAllText(Path.Combine(build, Executable), "");
        Assert.Equal(Path.Combine(build, Executable), TrainerTool.Find(tool, elsewhere.Path, "train"));
        string library = elsewhere.Write("slipstream-train.dll", "");
        Assert.Equal(library, TrainerTool.Find(tool, elsewhere.Path, "train"));
        File.WriteAllText(Path.Combine(tool, Executable), "");
        Assert.Equal(Path.Combine(tool, Executable), TrainerTool.Find(tool, elsewhere.Path, "train"));
    }

    [Fact]
    public void Outside_a_clone_the_message_says_how_to_get_it()
    {
        using TempFolder folder = new();
        string message = Assert.Throws<SlipstreamException>(() => TrainerTool.Find(folder.Path, "", "train")).Message;
        Assert.Equal($"'slipstream train' needs the trainer, 'slipstream-train', which is neither in '{folder.Path}' nor on the PATH: clone the repository of Slipstream, build it there with 'dotnet build -c Release src/Slipstream.Trainer', and add its output to the PATH.", message);
    }

    [Fact]
    public async Task Arguments_streams_and_exit_code_are_its_own()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The stand-in for the trainer is a shell script.");
        using TempFolder folder = new();
        string script = folder.Write("slipstream-train", "#!/bin/sh\nprintf '%s\\n' \"$@\"\ncat\necho trouble >&2\nexit 7\n");
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        // The tool's own options among the arguments must come through as they are.
        using Process process = Start(folder.Path, "train", "--model", "a b", "--prompt=", "--text", "x", "y", "@file");
        await process.StandardInput.WriteAsync("input\n");
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync(), output = process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal("train\n--model\na b\n--prompt=\n--text\nx\ny\n@file\ninput\n", await output);
        Assert.Equal("trouble\n", await error);
        Assert.Equal(7, process.ExitCode);
    }

    [Fact]
    public async Task A_request_to_end_is_handed_on_and_its_answer_awaited()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The stand-in for the trainer is a shell script.");
        using TempFolder folder = new();
        string script = folder.Write("slipstream-train", "#!/bin/sh\ntrap 'echo saved; exit 143' TERM\necho ready\nwhile :; do sleep 0.05; done\n");
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        using Process process = Start(folder.Path, "train");
        Assert.Equal("ready", await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
        using (Process kill = Process.Start("kill", ["-TERM", $"{process.Id}"])) await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal("saved\n", await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken));
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(143, process.ExitCode);
    }

    [Fact]
    public async Task Help_lists_its_commands()
    {
        CliRun run = await CliRun.Of("--help");
        foreach (string command in (string[])["train", "distill", "corpus", "convert"]) Assert.Contains($"\n  {command} ", run.Out, StringComparison.Ordinal);
    }

    private static Process Start(string path, params string[] arguments)
    {
        ProcessStartInfo start = new("dotnet") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in (string[])["exec", Path.Combine(AppContext.BaseDirectory, "slipstream.dll"), .. arguments]) start.ArgumentList.Add(argument);
        start.Environment["PATH"] = path + Path.PathSeparator + Environment.GetEnvironmentVariable("PATH");
        return Process.Start(start)!;
    }
}
