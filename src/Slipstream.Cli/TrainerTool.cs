using System.CommandLine;
using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Slipstream.Cli;

/// <summary>
/// The commands of the trainer, a program of its own (<c>slipstream-train</c>) that this tool finds the way git finds its subcommands:
/// most users never train, so they need not download what training needs.
/// </summary>
internal static class TrainerTool
{
    private const string ProgramName = "slipstream-train";
    private const int Terminate = 15;

    private static readonly (string Name, string Help)[] Known =
    [
        ("train", "Train a small model on text (by slipstream-train)."),
        ("distill", "Distil a draft from a model (by slipstream-train)."),
        ("corpus", "Make a corpus to train on (by slipstream-train)."),
    ];

    /// <summary>The commands, for the help text; a command line that begins with one never reaches the parser.</summary>
    public static IEnumerable<Command> Commands => Known.Select(known => new Command(known.Name, known.Help));

    /// <summary>Whether a command line is the trainer's.</summary>
    public static bool Takes(IReadOnlyList<string> arguments) => arguments.Count > 0 && Known.Any(known => known.Name == arguments[0]);

    /// <summary>Runs the trainer with these arguments and this process's own streams.</summary>
    /// <returns>Its exit code.</returns>
    /// <exception cref="SlipstreamException">It was not found, or cannot be run.</exception>
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, CliConsole console, CancellationToken cancellationToken)
    {
        string program = Find(AppContext.BaseDirectory, Environment.GetEnvironmentVariable("PATH") ?? "", arguments[0]);
        bool isLibrary = program.EndsWith(".dll", StringComparison.OrdinalIgnoreCase);
        ProcessStartInfo start = new(isLibrary ? Host : program) { UseShellExecute = false };
        if (isLibrary) start.ArgumentList.Add(program);
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        // Ctrl+C reaches the trainer itself, as it reaches every process of the terminal; this one waits for what it makes of it.
        console.OnInterrupt = () => true;
        using Process process = Start(start, program);
        // A request to end reaches one process only, so it is handed on.
        using (cancellationToken.Register(() => End(process)))
            await process.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
        return process.ExitCode;
    }

    /// <summary>Where the trainer is: beside the tool, on the path, or where a clone builds it.</summary>
    /// <exception cref="SlipstreamException">Nowhere there; the message says where that is and how to get it.</exception>
    internal static string Find(string folder, string path, string command)
    {
        string executable = OperatingSystem.IsWindows() ? ProgramName + ".exe" : ProgramName;
        string? clone = Clone(folder);
        string[] folders = [folder, .. path.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries), .. clone is null ? [] : Builds(clone, folder)];
        foreach (string candidate in folders)
            foreach (string name in (string[])[executable, ProgramName + ".dll"])
                if (Path.Combine(candidate, name) is var found && File.Exists(found)) return found;
        string build = clone is null
            ? "clone the repository of Slipstream, build it there with 'dotnet build -c Release src/Slipstream.Trainer', and add its output to the PATH"
            : $"build it with 'dotnet build -c Release {Path.Combine(clone, "src", "Slipstream.Trainer")}'";
        throw new SlipstreamException(
            $"'slipstream {command}' needs the trainer, '{ProgramName}', which is neither in '{Path.TrimEndingDirectorySeparator(folder)}' nor on the PATH{(clone is null ? "" : " nor built in this clone")}: {build}.");
    }

    // The newest build is the one that was worked on last.
    private static IEnumerable<string> Builds(string clone, string folder)
    {
        string output = Path.Combine(clone, "src", "Slipstream.Trainer", "bin"), framework = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder));
        return ((IEnumerable<string>)["Release", "Debug"]).Select(configuration => Path.Combine(output, configuration, framework))
            .OrderByDescending(build => File.GetLastWriteTimeUtc(Path.Combine(build, ProgramName + ".dll")));
    }

    private static string? Clone(string folder)
    {
        for (DirectoryInfo? at = new(folder); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "Slipstream.slnx"))) return at.FullName;
        return null;
    }

    // The runtime that runs this tool, where it is one that can run others.
    private static string Host => Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? Environment.ProcessPath! : "dotnet";

    private static Process Start(ProcessStartInfo start, string program)
    {
        try
        {
            return Process.Start(start) ?? throw new SlipstreamException($"'{program}' cannot be run.");
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            throw new SlipstreamException($"'{program}' cannot be run: {e.Message.TrimEnd('.')}; build it again with 'dotnet build -c Release src/Slipstream.Trainer'.", e);
        }
    }

    private static void End(Process process)
    {
        try
        {
            if (OperatingSystem.IsWindows()) process.Kill();
            else _ = Signal(process.Id, Terminate);
        }
        catch (InvalidOperationException)
        {
            // It ended by itself.
        }
    }

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Signal(int process, int signal);
}
