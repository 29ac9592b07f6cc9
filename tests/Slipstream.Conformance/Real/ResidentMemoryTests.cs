using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Slipstream.Conformance.Cli;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Real;

/// <summary>The memory plan that <c>inspect</c> prints, against what the system counts.</summary>
public sealed class ResidentMemoryTests
{
    private const double Tolerance = 1.05;
    private const long Constant = 48L << 20;

    [Theory]
    [InlineData("int8")]
    [InlineData("f32")]
    public async Task A_run_stays_within_its_plan(string activations)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The peak of resident pages is read from /proc, which this system has not.");
        string[] options = ["--model", Assets.SmolLm2, "--activations", activations, "--kv-memory", "16M", "--max-batch", "1", "--prefill-chunk", "64"];
        JsonElement memory = (await Tool.RunAsync(["inspect", .. options, "--json"])).Json.GetProperty("memory");
        long plan = memory.GetProperty("total_bytes").GetInt64();
        using Process process = Tool.Start(["generate", .. options, "--chat", "Write a story about a dog.", "--max-tokens", "120", "--temperature", "0"]);
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        long peak = 0;
        while (!process.HasExited)
        {
            peak = Math.Max(peak, Peak(process.Id));
            await Task.Delay(5);
        }
        Assert.Equal(0, await Tool.EndAsync(process));
        Assert.NotEmpty(await output);
        _ = await error;
        Assert.InRange(peak, (long)(plan / Tolerance) - Constant, (long)(plan * Tolerance) + Constant);
    }

    private static long Peak(int process)
    {
        try
        {
            foreach (string line in File.ReadLines($"/proc/{process}/status"))
                if (line.StartsWith("VmHWM:", StringComparison.Ordinal)) return long.Parse(line[6..^2].Trim(), CultureInfo.InvariantCulture) * 1024;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0; // It ended in between.
        }
        return 0;
    }
}
