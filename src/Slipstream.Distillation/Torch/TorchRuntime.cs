using System.Collections.Immutable;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using TorchSharp;

namespace Slipstream.Distillation.Torch;

/// <summary>Loads the native half of TorchSharp, once a process, before anything else touches it.</summary>
/// <remarks>
/// Three things are set right on Linux. The shim of TorchSharp asks for a C++ library newer than that of many systems still in use, by one version
/// that only an unused symbol carries: where the loader refuses it, a copy that asks for it weakly is made in a cache folder. And the
/// allocator of glibc hands large blocks back to the system after each operation, to fault them in again for the next: it is told to keep them. And
/// idle threads are told to sleep.
/// </remarks>
internal static class TorchRuntime
{
    private const string Shim = "libLibTorchSharp.so", TorchCpu = "libtorch_cpu.so", NewerVersion = "GLIBCXX_3.4.32";
    private const int TrimThreshold = -1, TopPad = -2, MmapMax = -4;

    private static readonly Lock Gate = new();
    private static bool s_ready;

    /// <summary>Loads the libraries; later calls do nothing.</summary>
    /// <param name="folders">Where libtorch and the shim may be, the first that has one wins; where none has, TorchSharp's own search is left to it.</param>
    /// <param name="cache">Where a repaired copy of the shim is kept; null for the user's cache folder.</param>
    /// <exception cref="SlipstreamException">The libraries cannot be loaded.</exception>
    public static void Initialize(ImmutableArray<string> folders, string? cache = null)
    {
        lock (Gate)
        {
            if (s_ready) return;
            if (OperatingSystem.IsLinux()) PrepareProcess();
            if (OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64) LoadLinux(folders, cache);
            try
            {
                torch.InitializeDeviceType(DeviceType.CPU);
            }
            catch (Exception e) when (e is NotSupportedException or DllNotFoundException or TypeInitializationException or BadImageFormatException)
            {
                throw Missing(folders) is { } name
                    ? new SlipstreamException($"'{name}' is in none of {string.Join(", ", folders.Where(folder => folder.Length > 0).Select(folder => $"'{folder}'"))}; build the trainer on this machine, or publish it with -p:WithLibTorch=true.", e)
                    : new SlipstreamException($"The native libraries of TorchSharp cannot be loaded on this system: {Line(e)}; the trainer is tested on Linux x64.", e);
            }
            s_ready = true;
        }
    }

    /// <summary>
    /// The shim to load: the original where the system can load it, else the copy whose need of the newer C++ library is weak.
    /// </summary>
    /// <param name="original">The shim of the package.</param>
    /// <param name="cache">The folder of the copy.</param>
    /// <exception cref="SlipstreamException">The copy cannot be made.</exception>
    internal static string Repair(string original, string cache)
    {
        try
        {
            byte[] library = File.ReadAllBytes(original);
            string folder = Path.Combine(cache, $"torchsharp-{XxHash64.HashToUInt64(library):x16}"), copy = Path.Combine(folder, Shim);
            if (File.Exists(copy) && new FileInfo(copy).Length == library.Length) return copy;
            if (ElfVersionNeeds.Weaken(library, NewerVersion) == 0)
                throw new SlipstreamException($"'{original}' asks for a newer C++ library than this system has, in a way that is not known; update the system's libstdc++.");
            Directory.CreateDirectory(folder);
            string temporary = $"{copy}.{Guid.NewGuid():N}.tmp";
            File.WriteAllBytes(temporary, library);
            File.Move(temporary, copy, overwrite: true);
            return copy;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"This system's C++ library is older than TorchSharp's needs ({NewerVersion}), and the repaired copy cannot be written to '{cache}': {Line(e)}; set XDG_CACHE_HOME to a folder that can be written.", e);
        }
    }

    private static void LoadLinux(ImmutableArray<string> folders, string? cache)
    {
        string? shim = Find(folders, Shim), torchCpu = Find(folders, TorchCpu);
        if (shim is null || torchCpu is null) return;
        string libraries = Path.GetDirectoryName(torchCpu)!;
        try
        {
            // In the order of their needs: a library that is loaded is not searched for again.
            foreach (string name in (ReadOnlySpan<string>)["libc10.so", TorchCpu, "libtorch.so"])
                if (File.Exists(Path.Combine(libraries, name))) NativeLibrary.Load(Path.Combine(libraries, name));
            try
            {
                NativeLibrary.Load(shim);
            }
            catch (DllNotFoundException e) when (e.Message.Contains(NewerVersion, StringComparison.Ordinal))
            {
                NativeLibrary.Load(Repair(shim, cache ?? CacheFolder()));
            }
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new SlipstreamException($"libtorch in '{libraries}' cannot be loaded: {Line(e)}.", e);
        }
    }

    /// <summary>The library that no folder has, on systems whose packages are known; else null.</summary>
    private static string? Missing(ImmutableArray<string> folders) => !OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64 ? null
        : Find(folders, TorchCpu) is null ? TorchCpu
        : Find(folders, Shim) is null ? Shim
        : null;

    private static string? Find(ImmutableArray<string> folders, string name) =>
        folders.Where(folder => folder.Length > 0).Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    private static string CacheFolder()
    {
        string? named = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (string.IsNullOrEmpty(named))
        {
            string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            // A service may have no home.
            named = home.Length > 0 ? Path.Combine(home, ".cache") : Path.GetTempPath();
        }
        return Path.Combine(named, "slipstream");
    }

    private static void PrepareProcess()
    {
        try
        {
            // The threads of OpenMP turn in circles while they wait; where other work wants the cores, that costs several times what it saves.
            _ = SetEnvironment("GOMP_SPINCOUNT", "0", 0);
            _ = SetAllocator(MmapMax, 0);
            _ = SetAllocator(TrimThreshold, -1);
            _ = SetAllocator(TopPad, 64 << 20);
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            // Another C library: it has its own ways, and needs no telling.
        }
    }

    private static string Line(Exception e) => (e.InnerException?.Message ?? e.Message).Split('\n')[0].TrimEnd('.', ' ', '\r');

    [DllImport("libc", EntryPoint = "setenv", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true), DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SetEnvironment(string name, string value, int overwrite);

    [DllImport("libc", EntryPoint = "mallopt"), DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SetAllocator(int parameter, int value);
}
