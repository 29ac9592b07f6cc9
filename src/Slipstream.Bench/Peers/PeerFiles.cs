using System.Diagnostics;

namespace Slipstream.Bench;

/// <summary>Files of peers: where they are looked for, and how they are unpacked.</summary>
internal static class PeerFiles
{
    /// <summary>A folder, if it is there, and the folders in it.</summary>
    public static IEnumerable<string> WithSubfolders(string folder) => Directory.Exists(folder) ? [folder, .. Directory.EnumerateDirectories(folder).Order(StringComparer.Ordinal)] : [];

    /// <summary>The folders that were looked into, for messages.</summary>
    public static string Describe(IReadOnlyList<string> named) => named.Count == 0 ? "the current folder, the program's folder" : string.Join(", ", named.Select(n => $"'{n}'"));

    /// <summary>Makes a folder, once: under a temporary name, which it changes for its own when it is whole.</summary>
    /// <exception cref="SlipstreamException">It cannot be made.</exception>
    public static void MakeFolder(string folder, Action<string> fill)
    {
        if (Directory.Exists(folder)) return;
        string partial = $"{folder}.{Guid.NewGuid():N}.tmp";
        try
        {
            Directory.CreateDirectory(partial);
            fill(partial);
            // Another process may have made it meanwhile; either is whole.
            if (!Directory.Exists(folder)) Directory.Move(partial, folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"The folder '{folder}' cannot be made: {e.Message.TrimEnd('.')}; free space, or name another folder with --cache-dir.", e);
        }
        finally
        {
            if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true);
        }
    }

    /// <summary>Runs a program of the system to its end.</summary>
    /// <exception cref="SlipstreamException">It is not there or failed.</exception>
    public static void Run(string program, IReadOnlyList<string> arguments)
    {
        using Process process = Start(program, arguments);
        Finish(process, program);
    }

    /// <summary>The text of a file that may be compressed with xz, which .NET cannot read: the system's own program does.</summary>
    /// <exception cref="SlipstreamException">It cannot be read.</exception>
    public static string ReadText(string path)
    {
        if (!path.EndsWith(".xz", StringComparison.Ordinal)) return File.ReadAllText(path);
        using Process process = Start("xz", ["-dc", path]);
        string text = process.StandardOutput.ReadToEnd();
        Finish(process, "xz");
        return text;
    }

    private static Process Start(string program, IReadOnlyList<string> arguments)
    {
        try
        {
            return Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new SlipstreamException($"The program '{program}' is needed to unpack a peer's files and could not be started; install it, or unpack them by hand.", e);
        }
    }

    private static void Finish(Process process, string program)
    {
        process.WaitForExit();
        if (process.ExitCode != 0) throw new SlipstreamException($"The program '{program}' could not unpack a peer's files (exit code {process.ExitCode}).");
    }
}
