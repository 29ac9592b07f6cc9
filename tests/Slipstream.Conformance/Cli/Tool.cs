using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Slipstream.Conformance.Cli;

/// <summary>The built tool, run as a process of its own.</summary>
internal sealed record Tool(int Code, string Out, string Error)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    /// <summary>The one JSON object on standard output, which holds nothing else.</summary>
    public JsonElement Json
    {
        get
        {
            Assert.Equal("", Error);
            Assert.Equal(0, Code);
            Assert.Equal(Out.Length - 1, Out.IndexOf('\n', StringComparison.Ordinal));
            return JsonDocument.Parse(Out).RootElement;
        }
    }

    public static Process Start(params string[] arguments)
    {
        ProcessStartInfo start = new("dotnet")
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8, StandardErrorEncoding = Encoding.UTF8, StandardInputEncoding = new UTF8Encoding(false),
        };
        start.ArgumentList.Add("exec");
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "slipstream.dll"));
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }

    public static Task<Tool> RunAsync(params string[] arguments) => RunWithInputAsync("", arguments);

    public static async Task<Tool> RunWithInputAsync(string input, params string[] arguments)
    {
        using Process process = Start(arguments);
        Task<string> error = process.StandardError.ReadToEndAsync(), output = process.StandardOutput.ReadToEndAsync();
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        return new Tool(await EndAsync(process), await output, await error);
    }

    /// <summary>Waits for the end of a process; one that hangs is killed and fails the test.</summary>
    public static async Task<int> EndAsync(Process process)
    {
        using CancellationTokenSource limit = new(Limit);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            Assert.Fail($"The tool did not end within {Limit}.");
        }
        return process.ExitCode;
    }

    public static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(element => element.GetInt32())];

    public static string List(IEnumerable<int> ids) => string.Join(',', ids);

    /// <summary>A path that is gone after the test run's temporary folder is.</summary>
    public static string Temporary(string extension) => Path.Combine(Path.GetTempPath(), $"slipstream-cli-{Guid.NewGuid():N}{extension}");
}
