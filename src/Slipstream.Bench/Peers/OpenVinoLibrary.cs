using System.Runtime.InteropServices;
using static Slipstream.Bench.OpenVinoSignatures;

namespace Slipstream.Bench;

/// <summary>OpenVINO's C library, loaded from a folder and called in this process.</summary>
internal sealed class OpenVinoLibrary
{
    private const string Pattern = "libopenvino_c.so*", Archives = "openvino-*-linux-x64.tar.xz";
    private readonly nint _library;
    private readonly LastMessage _lastMessage;

    private OpenVinoLibrary(string file)
    {
        File = file;
        _library = NativeLibrary.Load(file);
        _lastMessage = Function<LastMessage>("ov_get_last_err_msg");
    }

    /// <summary>The library's file.</summary>
    public string File { get; }

    /// <summary>Loads the library from one of the folders, their subfolders, or an archive in them, which is unpacked once.</summary>
    /// <param name="named">The folders the user named; where none, the current one and the program's.</param>
    /// <param name="cacheFolder">Where an archive is unpacked to.</param>
    /// <exception cref="SlipstreamException">It is in none of them.</exception>
    public static OpenVinoLibrary Load(IReadOnlyList<string> named, string cacheFolder)
    {
        string[] roots = [.. named.Count == 0 ? [Environment.CurrentDirectory, AppContext.BaseDirectory] : named.Select(Path.GetFullPath)];
        foreach (string folder in roots.SelectMany(PeerFiles.WithSubfolders))
            if (Directory.EnumerateFiles(folder, Pattern).Order().FirstOrDefault() is { } file) return new OpenVinoLibrary(file);
        foreach (string folder in roots.SelectMany(PeerFiles.WithSubfolders))
            if (Directory.EnumerateFiles(folder, Archives).Order().LastOrDefault() is { } archive)
            {
                string target = Path.Combine(cacheFolder, Path.GetFileName(archive)[..^".tar.xz".Length]);
                PeerFiles.MakeFolder(target, partial => PeerFiles.Run("tar", ["-xJf", archive, "-C", partial]));
                if (PeerFiles.WithSubfolders(target).SelectMany(f => Directory.EnumerateFiles(f, Pattern)).Order().FirstOrDefault() is { } file) return new OpenVinoLibrary(file);
            }
        throw new SlipstreamException($"OpenVINO was not found: looked for {Pattern} and for {Archives} in {PeerFiles.Describe(named)} and the folders in them; name the folder with --peer-path.");
    }

    /// <summary>A function of the library.</summary>
    /// <exception cref="SlipstreamException">It has none of the name.</exception>
    public T Function<T>(string name) where T : Delegate => NativeLibrary.TryGetExport(_library, name, out nint address)
        ? Marshal.GetDelegateForFunctionPointer<T>(address)
        : throw new SlipstreamException($"The OpenVINO library '{File}' has no function '{name}'; known is 2026.4.");

    /// <summary>What the library calls its version.</summary>
    public string Version()
    {
        OpenVinoVersion version = default;
        Check(Function<GetVersion>("ov_get_openvino_version")(ref version), "could not tell its version");
        string text = Marshal.PtrToStringUTF8(version.BuildNumber) ?? "of unknown version";
        Function<FreeVersion>("ov_version_free")(ref version);
        return text;
    }

    /// <summary>Turns a status into an exception with the library's own words.</summary>
    /// <exception cref="SlipstreamException">The status is no success.</exception>
    public void Check(int status, string what)
    {
        if (status == 0) return;
        string reason = Marshal.PtrToStringUTF8(_lastMessage()) is { Length: > 0 } text ? text.ReplaceLineEndings(" ").Trim() : $"status {status}";
        throw new SlipstreamException($"OpenVINO {what}: {reason}");
    }
}
