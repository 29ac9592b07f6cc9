using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Arm = System.Runtime.Intrinsics.Arm;
using X86 = System.Runtime.Intrinsics.X86;

namespace Slipstream.Benchmarks;

/// <summary>What a measurement is worth nothing without: machine, version, time and command.</summary>
/// <param name="Cpu">Name of the processor.</param>
/// <param name="Cores">Processors this process may use.</param>
/// <param name="InstructionSets">Those .NET found that matter here.</param>
/// <param name="Memory">Bytes of memory.</param>
/// <param name="System">Operating system and .NET.</param>
/// <param name="Commit">The commit, with <c>+</c> where the tree had changes.</param>
/// <param name="Date">When, UTC.</param>
/// <param name="Command">The arguments.</param>
/// <param name="Load">The system's load at the start (runnable tasks, mean of a minute), or null: above 1 other work ran beside it.</param>
internal sealed record Machine(string Cpu, int Cores, string InstructionSets, long Memory, string System, string Commit, string Date, string Command, double? Load)
{
    /// <summary>Describes this machine.</summary>
    public static Machine Describe(IReadOnlyList<string> arguments) => new(
        CpuName(), Environment.ProcessorCount, Sets(), GC.GetGCMemoryInfo().TotalAvailableMemoryBytes, $"{RuntimeInformation.OSDescription}, {RuntimeInformation.FrameworkDescription}",
        Git(), DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture),
        string.Join(' ', ["dotnet run -c Release --project bench/Slipstream.Benchmarks --", .. arguments.Select(Short)]), LoadAverage());

    /// <summary>The header of a report, as a list.</summary>
    public string ToMarkdown() => string.Create(CultureInfo.InvariantCulture, $"""
        - CPU: {Cpu}, {Cores} processors, {InstructionSets}
        - Memory: {Memory / (1024.0 * 1024 * 1024):f1} GiB
        - System: {System}
        - Commit: {Commit}
        - Date: {Date}
        - Command: `{Command}`
        - Load average at the start: {(Load is { } load ? load.ToString("f2", CultureInfo.InvariantCulture) : "not known")} (what other work ran beside the measurement)
        """);

    // Folders of one's own machine say nothing to others.
    private static string Short(string argument) => Path.IsPathRooted(argument) ? $"…/{Path.GetFileName(argument.TrimEnd('/'))}" : argument;

    private static string CpuName()
    {
        if (!File.Exists("/proc/cpuinfo")) return RuntimeInformation.ProcessArchitecture.ToString();
        Dictionary<string, string> first = [];
        foreach (string line in File.ReadLines("/proc/cpuinfo"))
            if (line.Split(':', 2) is [var key, var value]) first.TryAdd(key.Trim(), value.Trim());
        string name = first.GetValueOrDefault("model name") ?? RuntimeInformation.ProcessArchitecture.ToString();
        return first.TryGetValue("cpu family", out string? family) ? $"{name} (family {family}, model {first.GetValueOrDefault("model")})" : name;
    }

    private static string Sets()
    {
        (string Name, bool Has)[] sets =
        [
            ("AVX2", X86.Avx2.IsSupported), ("FMA", X86.Fma.IsSupported), ("AVX-VNNI", X86.AvxVnni.IsSupported), ("AVX-512F", X86.Avx512F.IsSupported), ("AVX-512BW", X86.Avx512BW.IsSupported),
            ("AVX-512VBMI", X86.Avx512Vbmi.IsSupported), ("AdvSimd", Arm.AdvSimd.IsSupported), ("dot product", Arm.Dp.IsSupported),
        ];
        string names = string.Join(' ', sets.Where(s => s.Has).Select(s => s.Name));
        return $"{names}; vectors of {(Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128)} bits";
    }

    private static double? LoadAverage()
        => File.Exists("/proc/loadavg") && double.TryParse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture, out double load) ? load : null;

    private static string Git()
    {
        string? commit = Run("rev-parse --short=12 HEAD");
        return commit is null ? "not known" : Run("status --porcelain -uno") is { Length: > 0 } ? $"{commit}+ (with changes)" : commit;
    }

    private static string? Run(string arguments)
    {
        try
        {
            using Process? git = Process.Start(new ProcessStartInfo("git", arguments) { WorkingDirectory = BenchmarkOptions.RepositoryRoot() ?? ".", RedirectStandardOutput = true, RedirectStandardError = true });
            if (git is null) return null;
            string text = git.StandardOutput.ReadToEnd().Trim();
            git.WaitForExit();
            return git.ExitCode == 0 ? text : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null; // No git here.
        }
    }
}
