using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using static Slipstream.Benchmarks.LlamaSignatures;

namespace Slipstream.Benchmarks;

/// <summary>llama.cpp with a model: given thread count, a thread pool of its own, no memory map, flash attention, batches of 512.</summary>
internal sealed class LlamaContender : IContender
{
    private const int Batch = 512, MaxOutputs = 16, Context = 2048;
    private readonly LlamaLibrary _library;
    private readonly string _path;
    private readonly int _threads;
    private readonly Decode _decode;
    private readonly Row _logits;
    private readonly Remove _remove;
    private readonly CallOn _synchronize;
    private readonly Tokenize _tokenize;
    private readonly Piece _piece;
    private readonly CallOn? _pause, _resume;
    private readonly nint _memory, _vocabulary, _arrays;
    private readonly float[] _row;
    private readonly int[] _tokens = new int[Batch];
    private readonly byte[] _text = new byte[256];
    private LlamaBatch _batch;
    private nint _model, _context, _pool;
    private int _rows, _first;
    private bool _paused;

    /// <summary>Loads a GGUF file.</summary>
    /// <exception cref="SlipstreamException">The library cannot load it, or its structs have a layout this benchmark does not know.</exception>
    public LlamaContender(LlamaLibrary library, string path, int threads)
    {
        (_library, _path, _threads) = (library, path, threads);
        library.TakeLog();
        (_model, string mode) = LoadModel();
        if (_model == 0) throw new SlipstreamException($"llama.cpp could not load '{path}': {LastLine(library.TakeLog())}");
        _context = CreateContext();
        if (_context == 0) throw new SlipstreamException($"llama.cpp could not make a context for '{path}': {LastLine(library.TakeLog())}");
        library.Function<SetThreads>("llama_set_n_threads")(_context, threads, threads);
        bool pooled = library.Has("ggml_threadpool_new") && library.Has("ggml_threadpool_pause");
        if (pooled)
        {
            // Without a pool of its own the library starts threads for every pass.
            ParameterBlock parameters = library.Function<DefaultsFor>("ggml_threadpool_params_default")(threads);
            _pool = library.Function<CreatePool>("ggml_threadpool_new")(ref parameters);
            library.Function<AttachPool>("llama_attach_threadpool")(_context, _pool, _pool);
            _pause = library.Function<CallOn>("ggml_threadpool_pause");
            _resume = library.Function<CallOn>("ggml_threadpool_resume");
        }
        string log = library.TakeLog();
        _decode = library.Function<Decode>("llama_decode");
        _logits = library.Function<Row>("llama_get_logits_ith");
        _remove = library.Function<Remove>("llama_memory_seq_rm");
        _synchronize = library.Function<CallOn>("llama_synchronize");
        _tokenize = library.Function<Tokenize>("llama_tokenize");
        _piece = library.Function<Piece>("llama_token_to_piece");
        _memory = library.Function<GetFrom>("llama_get_memory")(_context);
        _vocabulary = library.Function<GetFrom>("llama_model_get_vocab")(_model);
        _row = new float[library.Function<Count>("llama_vocab_n_tokens")(_vocabulary)];
        (_batch, _arrays) = MakeBatch();
        byte[] text = new byte[256];
        int length = library.Function<Describe>("llama_model_desc")(_model, text, (nuint)text.Length);
        Description = $"llama.cpp {library.Version} ({Path.GetFileName(LlamaLibrary.CpuBuild()) ?? "CPU build not known"}), {Encoding.UTF8.GetString(text, 0, Math.Clamp(length, 0, text.Length))}, {threads} threads"
            + $"{(pooled ? " in a pool" : "")}, {mode}, flash attention {FlashAttention(log)}, batch {Batch}, cache f16";
    }

    /// <inheritdoc/>
    public string Name => "llama.cpp";

    /// <inheritdoc/>
    public string Description { get; }

    /// <inheritdoc/>
    public void Truncate(int rows)
    {
        if (rows >= _rows) return;
        _remove(_memory, 0, rows, -1);
        _rows = rows;
    }

    /// <inheritdoc/>
    public void Forward(ReadOnlySpan<int> tokens, int outputs)
    {
        if (_paused) _resume!(_pool);
        _paused = false;
        tokens.CopyTo(_tokens);
        Marshal.Copy(_tokens, 0, _batch.Tokens, tokens.Length);
        for (int i = 0; i < tokens.Length; i++)
        {
            Marshal.WriteInt32(_batch.Positions, i * sizeof(int), _rows + i);
            Marshal.WriteByte(_batch.Outputs, i, i >= tokens.Length - outputs ? (byte)1 : (byte)0);
        }
        _batch.Count = tokens.Length;
        int code = _decode(_context, _batch);
        if (code != 0) throw new SlipstreamException($"llama_decode of {tokens.Length} tokens at {_rows} gave {code}: {LastLine(_library.TakeLog())}");
        _synchronize(_context);
        _rows += tokens.Length;
        _first = tokens.Length - outputs;
    }

    /// <inheritdoc/>
    public int Best(int output)
    {
        Marshal.Copy(_logits(_context, _first + output), _row, 0, _row.Length);
        return Greatest.Index(_row);
    }

    /// <inheritdoc/>
    public GenerationTimes Generate(string text, int tokens)
    {
        List<int> generated = new(tokens);
        long start = Stopwatch.GetTimestamp();
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        int[] ids = new int[utf8.Length + 8];
        int count = _tokenize(_vocabulary, utf8, utf8.Length, ids, ids.Length, 1, 1);
        Truncate(0);
        for (int from = 0; from < count; from += Batch) Forward(ids.AsSpan(from, Math.Min(Batch, count - from)), 1);
        int token = Take();
        long first = Stopwatch.GetTimestamp();
        while (generated.Count < tokens)
        {
            Forward([token], 1);
            token = Take();
        }
        long end = Stopwatch.GetTimestamp();
        return new GenerationTimes(Stopwatch.GetElapsedTime(start, first), Stopwatch.GetElapsedTime(first, end), count, generated);

        int Take()
        {
            int best = Best(0);
            _piece(_vocabulary, best, _text, _text.Length, 0, 0);
            generated.Add(best);
            return best;
        }
    }

    /// <inheritdoc/>
    public TimeSpan LoadToFirstToken(string text)
    {
        long start = Stopwatch.GetTimestamp();
        using LlamaContender fresh = new(_library, _path, _threads);
        fresh.Generate(text, 1);
        return Stopwatch.GetElapsedTime(start);
    }

    /// <inheritdoc/>
    public void Rest()
    {
        if (_pool == 0 || _paused) return;
        _pause!(_pool);
        _paused = true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_context == 0) return;
        _library.Function<CallOn>("llama_free")(_context);
        _library.Function<CallOn>("llama_model_free")(_model);
        if (_pool != 0)
        {
            // A paused pool cannot be joined.
            _resume!(_pool);
            _library.Function<CallOn>("ggml_threadpool_free")(_pool);
        }
        Marshal.FreeHGlobal(_arrays);
        _context = _model = _pool = 0;
    }

    private (nint Model, string Mode) LoadModel()
    {
        ParameterBlock parameters = _library.Function<Defaults>("llama_model_default_params")();
        string mode = LlamaLayouts.DisableMemoryMap(ref parameters) ? "no memory map" : "memory map (this version's layout is not known)";
        return (_library.Function<Load>("llama_model_load_from_file")(_path, parameters), mode);
    }

    private nint CreateContext()
    {
        ParameterBlock parameters = _library.Function<Defaults>("llama_context_default_params")();
        LlamaLayouts.SetContext(ref parameters, _library.Folder, Context, Batch, MaxOutputs, _threads);
        return _library.Function<CreateContext>("llama_init_from_model")(_model, parameters);
    }

    private static (LlamaBatch Batch, nint Memory) MakeBatch()
    {
        // tokens, positions, sequence counts, sequences, outputs, and the one sequence's number (0) at the end.
        nint memory = Marshal.AllocHGlobal(Batch * (3 * sizeof(int) + IntPtr.Size + 1) + 2 * sizeof(long));
        nint sequences = memory, tokens = sequences + Batch * IntPtr.Size, positions = tokens + Batch * sizeof(int), counts = positions + Batch * sizeof(int);
        nint number = counts + Batch * sizeof(int), outputs = number + sizeof(long);
        Marshal.WriteInt64(number, 0);
        for (int i = 0; i < Batch; i++)
        {
            Marshal.WriteIntPtr(sequences, i * IntPtr.Size, number);
            Marshal.WriteInt32(counts, i * sizeof(int), 1);
        }
        return (new LlamaBatch { Tokens = tokens, Positions = positions, SequenceCounts = counts, Sequences = sequences, Outputs = outputs }, memory);
    }

    private static string FlashAttention(string log)
    {
        foreach (string line in log.Split('\n'))
        {
            int at = line.IndexOf("flash_attn", StringComparison.Ordinal);
            if (at >= 0 && line.IndexOf('=', at) is var equals and > 0) return line[(equals + 1)..].Trim();
        }
        return "asked for";
    }

    private static string LastLine(string log) => log.Split('\n', StringSplitOptions.RemoveEmptyEntries).LastOrDefault() ?? "no reason was logged";
}
