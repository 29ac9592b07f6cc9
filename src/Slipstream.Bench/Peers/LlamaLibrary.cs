using System.Runtime.InteropServices;
using System.Text;
using static Slipstream.Bench.LlamaSignatures;

namespace Slipstream.Bench;

/// <summary>llama.cpp's shared libraries, loaded from a folder such as npm's <c>@node-llama-cpp/linux-x64</c> and called in this process.</summary>
internal sealed class LlamaLibrary
{
    private readonly nint _llama, _ggml, _base;
    private readonly StringBuilder _log = new();
    private readonly Log _onLog;

    private LlamaLibrary(string folder)
    {
        Folder = folder;
        _base = NativeLibrary.Load(Find(folder, "ggml-base")!);
        _ggml = NativeLibrary.Load(Find(folder, "ggml")!);
        _llama = NativeLibrary.Load(Find(folder, "llama")!);
        _onLog = Receive;
        Function<SetLog>("llama_log_set")(_onLog, 0);
        // Loads the build for this processor out of the folder's libggml-cpu-*.so.
        Function<CallWithPath>("ggml_backend_load_all_from_path")(folder);
        Function<Call>("llama_backend_init")();
    }

    /// <summary>The folder the libraries came from.</summary>
    public string Folder { get; }

    /// <summary>What the libraries call their version.</summary>
    public string Version
    {
        get
        {
            string version = Text("llama_version") ?? Text("ggml_version") ?? "of unknown version", commit = Text("ggml_commit") ?? "";
            return commit.Length > 0 && commit != "unknown" ? $"{version}, commit {commit}" : version;
        }
    }

    /// <summary>The file with the kernels that the loader chose for this processor, or null where the system does not list it.</summary>
    public static string? CpuBuild()
        => File.Exists("/proc/self/maps")
            ? File.ReadLines("/proc/self/maps").Select(l => l[(l.LastIndexOf(' ') + 1)..]).FirstOrDefault(p => Path.GetFileName(p).StartsWith("libggml-cpu", StringComparison.Ordinal))
            : null;

    /// <summary>What the library logged since the last call.</summary>
    public string TakeLog()
    {
        lock (_log)
        {
            string text = _log.ToString();
            _log.Clear();
            return text;
        }
    }

    /// <summary>Loads the libraries; null where no folder has them, with the folders that were looked into.</summary>
    /// <param name="named">The folders the user named; where none, the current one and the program's.</param>
    /// <param name="looked">Where was looked.</param>
    public static LlamaLibrary? TryLoad(IReadOnlyList<string> named, out IReadOnlyList<string> looked)
    {
        looked = named.Count == 0 ? ["the current folder", "the program's folder"] : [.. named.Select(n => $"'{n}'")];
        List<string> folders = [];
        foreach (string root in named.Count == 0 ? [Environment.CurrentDirectory, AppContext.BaseDirectory] : named.Select(Path.GetFullPath))
        {
            folders.Add(root);
            foreach (string rid in (string[])["linux-x64", "linux-arm64", "mac-arm64-metal", "mac-x64"])
            {
                folders.Add(Path.Combine(root, "bins", rid));
                folders.Add(Path.Combine(root, "node_modules", "@node-llama-cpp", rid, "bins", rid));
            }
        }
        string? folder = folders.Find(f => Find(f, "llama") is not null && Find(f, "ggml") is not null && Find(f, "ggml-base") is not null);
        return folder is null ? null : new LlamaLibrary(folder);
    }

    /// <summary>A function of any of the libraries.</summary>
    /// <exception cref="SlipstreamException">None of them has it.</exception>
    public T Function<T>(string name) where T : Delegate
        => Address(name) is var address and not 0
            ? Marshal.GetDelegateForFunctionPointer<T>(address)
            : throw new SlipstreamException($"The llama.cpp in '{Folder}' has no function '{name}'; known are the versions of 2026 (v0.5.0 and a few before).");

    /// <summary>Whether any of the libraries has the function.</summary>
    public bool Has(string name) => Address(name) != 0;

    private nint Address(string name)
    {
        foreach (nint library in (nint[])[_llama, _ggml, _base, CpuHandle])
            if (library != 0 && NativeLibrary.TryGetExport(library, name, out nint address)) return address;
        return 0;
    }

    // Its own handle: the loader opened the file already, and opening it again gives the same one.
    private nint CpuHandle => field != 0 ? field : field = CpuBuild() is { } path && NativeLibrary.TryLoad(path, out nint handle) ? handle : 0;

    private string? Text(string name) => Address(name) is var address and not 0 ? Marshal.PtrToStringUTF8(Marshal.GetDelegateForFunctionPointer<Get>(address)()) : null;

    private void Receive(int level, nint text, nint data)
    {
        lock (_log) _log.Append(Marshal.PtrToStringUTF8(text));
    }

    private static string? Find(string folder, string name)
    {
        if (!Directory.Exists(folder)) return null;
        string plain = Path.Combine(folder, $"lib{name}.so");
        if (File.Exists(plain)) return plain;
        return Directory.EnumerateFiles(folder, $"lib{name}.*").Where(f => f.Contains(".so", StringComparison.Ordinal) || f.EndsWith(".dylib", StringComparison.Ordinal)).Order().FirstOrDefault();
    }
}
