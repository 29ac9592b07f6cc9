using System.Text;
using static Slipstream.Bench.LlamaSignatures;

namespace Slipstream.Bench;

/// <summary>llama.cpp with the same file: given thread count, a thread pool of its own, no memory map, flash attention, batches of 512, a cache stream for each sequence.</summary>
internal sealed class LlamaContender : IContender
{
    private readonly LlamaLibrary _library;
    private readonly string _path, _mode;
    private readonly int _threads;
    private readonly nint _vocabulary;
    private readonly CallOn? _pause, _resume;
    private nint _model, _pool;
    private LlamaContext? _one, _many, _current;
    private int _sequences, _depth;
    private bool _paused;
    private string _flash = "asked for";

    /// <summary>Loads a GGUF file.</summary>
    /// <exception cref="SlipstreamException">The library cannot load it, or its structs have a layout that is not known here.</exception>
    public LlamaContender(LlamaLibrary library, string path, int threads)
    {
        (_library, _path, _threads) = (library, path, threads);
        library.TakeLog();
        ParameterBlock parameters = library.Function<Defaults>("llama_model_default_params")();
        _mode = LlamaLayouts.DisableMemoryMap(ref parameters) ? "no memory map" : "memory map (this version's layout is not known)";
        _model = library.Function<Load>("llama_model_load_from_file")(path, parameters);
        if (_model == 0) throw new SlipstreamException($"llama.cpp could not load '{path}': {LastLine(library.TakeLog())}");
        _vocabulary = library.Function<GetFrom>("llama_model_get_vocab")(_model);
        VocabularySize = library.Function<Count>("llama_vocab_n_tokens")(_vocabulary);
        if (library.Has("ggml_threadpool_new") && library.Has("ggml_threadpool_pause"))
        {
            // Without a pool of its own the library starts threads for every pass.
            ParameterBlock pool = library.Function<DefaultsFor>("ggml_threadpool_params_default")(threads);
            _pool = library.Function<CreatePool>("ggml_threadpool_new")(ref pool);
            _pause = library.Function<CallOn>("ggml_threadpool_pause");
            _resume = library.Function<CallOn>("ggml_threadpool_resume");
        }
        byte[] text = new byte[256];
        int length = library.Function<Describe>("llama_model_desc")(_model, text, (nuint)text.Length);
        ModelDescription = Encoding.UTF8.GetString(text, 0, Math.Clamp(length, 0, text.Length));
    }

    /// <summary>Loads the library and the file.</summary>
    /// <exception cref="SlipstreamException">The library was not found, or cannot load the file.</exception>
    public static LlamaContender Load(PeerRequest request)
    {
        LlamaLibrary library = LlamaLibrary.TryLoad(request.Folders, out IReadOnlyList<string> looked)
            ?? throw new SlipstreamException($"llama.cpp was not found: looked for libllama, libggml and libggml-base in {string.Join(" and ", looked)}, there and in node_modules/@node-llama-cpp/<platform>/bins/<platform>; get it with 'npm install @node-llama-cpp/linux-x64' in any folder and name the folder with --peer-path.");
        if (Directory.Exists(request.Path)) throw new SlipstreamException($"llama.cpp reads GGUF files, and '{request.Path}' is a folder; name a GGUF file or leave out --peer llama.cpp.");
        string path = request.OwnFormat is { } format ? LlamaQuantizer.Convert(library, request.Path, format, request.CacheFolder) : request.Path;
        return new LlamaContender(library, path, request.Threads);
    }

    /// <inheritdoc/>
    public string Name => "llama.cpp";

    /// <inheritdoc/>
    public string Description => $"llama.cpp {_library.Version} ({Path.GetFileName(LlamaLibrary.CpuBuild()) ?? "CPU build not known"}), {Path.GetFileName(_path)} ({ModelDescription}), {_threads} threads"
        + $"{(_pool != 0 ? " in a pool" : "")}, {_mode}, flash attention {_flash}, batch 512, cache f16";

    private string ModelDescription { get; }

    /// <summary>Tokens.</summary>
    public int VocabularySize { get; }

    /// <inheritdoc/>
    public string? Refuses(Workload work) => null;

    /// <inheritdoc/>
    public void Begin(IReadOnlyList<Workload> works)
    {
        Release();
        Workload[] single = [.. works.Where(w => w.Sequences == 1)], batched = [.. works.Where(w => w.Sequences > 1)];
        if (single.Length > 0) _one = Create(1, single);
        if (batched.Length > 0) _many = Create(batched.Max(w => w.Sequences), batched);

        LlamaContext Create(int sequences, Workload[] some)
        {
            LlamaContext context = new(_library, _model, VocabularySize, sequences, some.Max(w => w.MostCached), some.Max(w => w.Rows), some.Max(w => w.Outputs), _threads);
            if (_pool != 0) _library.Function<AttachPool>("llama_attach_threadpool")(context.Handle, _pool, _pool);
            _flash = FlashAttention(_library.TakeLog()) ?? _flash;
            return context;
        }
    }

    /// <inheritdoc/>
    public void Prepare(Workload work)
    {
        Wake();
        (_sequences, _depth) = (work.Sequences, work.Depth);
        _current = _sequences == 1 ? _one! : _many!;
        _current.Bring(_sequences, _depth);
    }

    /// <inheritdoc/>
    public void Forward(ReadOnlySpan<int> tokens, bool all)
    {
        Wake();
        _current!.Forward(tokens, _sequences, all);
    }

    /// <inheritdoc/>
    public int? Best(int row) => _current!.Best(row);

    /// <inheritdoc/>
    public void Drop() => _current!.Truncate(_sequences, _depth);

    /// <inheritdoc/>
    public void Rest()
    {
        if (_pool == 0 || _paused) return;
        _pause!(_pool);
        _paused = true;
    }

    /// <summary>Tokens of a rendered prompt.</summary>
    public int[] Encode(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        int[] ids = new int[utf8.Length + 8];
        int count = _library.Function<Tokenize>("llama_tokenize")(_vocabulary, utf8, utf8.Length, ids, ids.Length, 1, 1);
        return ids[..count];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_model == 0) return;
        Wake();
        Release();
        _library.Function<CallOn>("llama_model_free")(_model);
        if (_pool != 0) _library.Function<CallOn>("ggml_threadpool_free")(_pool);
        _model = _pool = 0;
    }

    private void Wake()
    {
        if (_paused) _resume!(_pool);
        _paused = false;
    }

    private void Release()
    {
        _one?.Dispose();
        _many?.Dispose();
        _one = _many = _current = null;
    }

    private static string? FlashAttention(string log)
    {
        foreach (string line in log.Split('\n'))
        {
            int at = line.IndexOf("flash_attn", StringComparison.Ordinal);
            if (at >= 0 && line.IndexOf('=', at) is var equals and > 0) return line[(equals + 1)..].Trim();
        }
        return null;
    }

    /// <summary>The last thing the library logged: why something failed.</summary>
    internal static string LastLine(string log) => log.Split('\n', StringSplitOptions.RemoveEmptyEntries).LastOrDefault() ?? "no reason was logged";
}
