using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using Slipstream.Numerics;
using Arm = System.Runtime.Intrinsics.Arm;
using X86 = System.Runtime.Intrinsics.X86;

namespace Slipstream.Bench;

/// <summary>What a measurement is worth nothing without: the machine and the version.</summary>
/// <param name="Cpu">Name of the processor.</param>
/// <param name="Cores">Processors this process may use.</param>
/// <param name="InstructionSets">Those .NET found that matter here.</param>
/// <param name="System">Operating system and .NET.</param>
/// <param name="Commit">The commit, with <c>+</c> where the tree has changes; null where it is not known.</param>
/// <param name="Load">The system's load (runnable tasks, mean of a minute), or null: above 1 other work ran beside it.</param>
internal sealed record Machine(string Cpu, int Cores, IReadOnlyList<string> InstructionSets, string System, string? Commit, double? Load)
{
    /// <summary>Describes this machine.</summary>
    public static Machine Describe() => new(
        CpuName(), Environment.ProcessorCount, [.. Sets()], $"{RuntimeInformation.OSDescription}, {RuntimeInformation.FrameworkDescription}", Commit12(), LoadAverage());

    /// <summary>The folder of the repository that this program was built in, or null.</summary>
    public static string? RepositoryRoot()
    {
        for (DirectoryInfo? d = new(AppContext.BaseDirectory); d is not null; d = d.Parent)
            if (File.Exists(Path.Combine(d.FullName, "Slipstream.slnx"))) return d.FullName;
        return null;
    }

    private static string CpuName()
    {
        if (!File.Exists("/proc/cpuinfo")) return RuntimeInformation.ProcessArchitecture.ToString();
        Dictionary<string, string> first = [];
        foreach (string line in File.ReadLines("/proc/cpuinfo"))
            if (line.Split(':', 2) is [var key, var value]) first.TryAdd(key.Trim(), value.Trim());
        string name = first.GetValueOrDefault("model name") ?? RuntimeInformation.ProcessArchitecture.ToString();
        return first.TryGetValue("cpu family", out string? family) ? $"{name} (family {family}, model {first.GetValueOrDefault("model")})" : name;
    }

    private static IEnumerable<string> Sets()
    {
        (string Name, bool Has)[] sets =
        [
            ("AVX2", X86.Avx2.IsSupported), ("FMA", X86.Fma.IsSupported), ("AVX-VNNI", X86.AvxVnni.IsSupported), ("AVX-512F", X86.Avx512F.IsSupported), ("AVX-512BW", X86.Avx512BW.IsSupported),
            ("AVX-512VBMI", X86.Avx512Vbmi.IsSupported), ("AMX", EmittedKernels.HasAmx), ("AdvSimd", Arm.AdvSimd.IsSupported), ("DotProd", Arm.Dp.IsSupported),
        ];
        return sets.Where(s => s.Has).Select(s => s.Name);
    }

    private static double? LoadAverage()
        => File.Exists("/proc/loadavg") && double.TryParse(File.ReadAllText("/proc/loadavg").Split(' ')[0], global::System.Globalization.CultureInfo.InvariantCulture, out double load) ? load : null;

    /// <summary>The commit of the checkout this program lies in, else the one that its build wrote into it.</summary>
    private static string? Commit12()
    {
        if (RepositoryRoot() is { } root && Git(root, "rev-parse --short=12 HEAD") is { } commit)
            return Git(root, "status --porcelain -uno") is { Length: > 0 } ? commit + "+" : commit;
        string? version = typeof(Machine).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion;
        return version?.Split('+', 2) is [_, { Length: >= 12 } revision] ? revision[..12] : null;
    }

    private static string? Git(string folder, string arguments)
    {
        try
        {
            using Process? git = Process.Start(new ProcessStartInfo("git", arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true });
            if (git is null) return null;
            string text = git.StandardOutput.ReadToEnd().Trim();
            git.WaitForExit();
            return git.ExitCode == 0 ? text : null;
        }
        catch (global::System.ComponentModel.Win32Exception)
        {
            return null; // No git here.
        }
    }
}
