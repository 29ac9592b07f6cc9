using System.Globalization;
using System.Runtime.InteropServices;
using Slipstream.Models;
using Slipstream.Numerics;
using static Slipstream.Bench.OpenVinoSignatures;

namespace Slipstream.Bench;

/// <summary>
/// OpenVINO with a stateful graph of the same shape and random weights in the nearest of its formats. Its cache is inside an infer request and cannot be shortened:
/// a new request is the only way back, so rows of repeated passes pile up a little before one is made. A prompt without a prefix gets one each time: its attention is several times as fast while
/// nothing is cached.
/// </summary>
internal sealed class OpenVinoContender : IContender
{
    private const int Chunk = 512, LeastGrowth = 128, MostBatchRows = 1 << 15;

    // Its default is 32. With 128 int8 weights are multiplied up to 1.4 times as fast (at the price of accuracy); int4 weights, whose own groups are 32 or 64, gain nothing.
    private const string Int8Group = "128";
    private readonly OpenVinoLibrary _library;
    private readonly SetTensor _setTensor;
    private readonly GetTensor _getTensor;
    private readonly CreateTensor _createTensor;
    private readonly Infer _infer;
    private readonly Free _freeTensor, _freeRequest;
    private readonly GetData _data;
    private readonly nint _shape = Marshal.AllocHGlobal(2 * sizeof(long));
    private readonly Dictionary<(bool LastRow, int Sequences), Request> _requests = [];
    private readonly (string All, string LastRow, string Weights) _graphs;
    private readonly int _threads;
    private readonly bool _int8;
    private nint _core, _allRows, _lastRow, _tokens, _mask, _positions, _beams;
    private int _roomRows, _roomCached;
    private Workload? _work;
    private Request _request = new(0);

    private OpenVinoContender(OpenVinoLibrary library, (string Graph, string LastRow, string Weights) graphs, string name, int threads)
    {
        (_library, _graphs, _threads, _int8) = (library, graphs, threads, name.EndsWith("int8", StringComparison.Ordinal));
        _setTensor = library.Function<SetTensor>("ov_infer_request_set_tensor");
        _getTensor = library.Function<GetTensor>("ov_infer_request_get_tensor");
        _createTensor = library.Function<CreateTensor>("ov_tensor_create_from_host_ptr");
        _infer = library.Function<Infer>("ov_infer_request_infer");
        _freeTensor = library.Function<Free>("ov_tensor_free");
        _freeRequest = library.Function<Free>("ov_infer_request_free");
        _data = library.Function<GetData>("ov_tensor_data");
        library.Check(library.Function<Create>("ov_core_create")(out _core), "could not start");
        string quantized = _int8 ? $"8-bit activations in groups of {Int8Group}" : "8-bit activations for quantised weights";
        Description = $"OpenVINO {library.Version()}, {name} with random weights, {threads} threads, latency hint, {quantized}, its defaults else (bf16 arithmetic where the CPU has it, u8 cache), the head on every row but in prefill";
    }

    /// <summary>Loads the library and the graph of the shape.</summary>
    /// <exception cref="SlipstreamException">One of them was not found or cannot be used.</exception>
    public static OpenVinoContender Load(PeerRequest request)
    {
        OpenVinoLibrary library = OpenVinoLibrary.Load(request.Folders, request.CacheFolder);
        string name = NameOf(request.Shape, request.Format);
        return new OpenVinoContender(library, OpenVinoModel.Get(name, request.Folders, request.CacheFolder), name, request.Threads);
    }

    /// <summary>The graph that stands for a shape and a format: 16 bits for 16 and more, 4 for under 5, 8 between.</summary>
    internal static string NameOf(ModelConfig config, string format)
    {
        ModelShape shape = ModelShape.All.FirstOrDefault(s => s.Hidden == config.HiddenSize && s.Layers == config.Layers && s.KvHeads == config.KvHeads && s.Intermediate == config.IntermediateSize && s.Vocabulary == config.VocabularySize)
            ?? throw new SlipstreamException("OpenVINO has graphs of known shapes only, and this model has none of them; leave out --peer openvino.");
        string main = FormatMix.All.FirstOrDefault(m => m.Name == format)?.Main ?? format;
        double bits = WeightFormats.TryGet(main, out WeightFormat? known) ? known.BitsPerWeight : 8;
        // Its int4 has one group length a graph: 64 for the small model, whose file is an export of the real one.
        return $"{shape.Name}-{(bits >= 16 ? "f16" : bits > 5.2 ? "int8" : shape.Name == "smollm2-135m" ? "int4g64" : "int4g32")}";
    }

    /// <inheritdoc/>
    public string Name => "openvino";

    /// <inheritdoc/>
    public string Description { get; }

    /// <inheritdoc/>
    public string? Refuses(Workload work) => work.Kind == WorkKind.Batch && work.Depth > 0 && (long)work.Rows * work.Depth > MostBatchRows
        ? $"its cache can only be filled by computing {(long)work.Rows * work.Depth} rows"
        : null;

    /// <inheritdoc/>
    public void Begin(IReadOnlyList<Workload> works)
    {
        Release();
        if (works.Count == 0) return;
        // Rows of a pass, rows of the prefix, and a cache that grows before a new request is made.
        int sequences = works.Max(w => w.Sequences), cached = works.Max(w => w.MostCached + Growth(w)) + 2 * works.Max(w => w.RowsOfEach);
        _roomRows = Math.Max(works.Max(w => w.Rows), sequences * Chunk);
        _roomCached = sequences * cached;
        _tokens = Marshal.AllocHGlobal(_roomRows * sizeof(long));
        _positions = Marshal.AllocHGlobal(_roomRows * sizeof(long));
        _mask = Marshal.AllocHGlobal(_roomCached * sizeof(long));
        _beams = Marshal.AllocHGlobal(sequences * sizeof(int));
        for (int i = 0; i < _roomCached; i++) Marshal.WriteInt64(_mask, i * sizeof(long), 1);
        for (int i = 0; i < sequences; i++) Marshal.WriteInt32(_beams, i * sizeof(int), i);
    }

    /// <inheritdoc/>
    public void Prepare(Workload work)
    {
        _work = work;
        (bool, int) key = (work.Kind == WorkKind.Prefill, work.Sequences);
        int least = IsFirst(work) ? 0 : Math.Max(1, work.Depth);
        if (_requests.TryGetValue(key, out Request? known) && known.Rows >= least && known.Rows <= work.Depth + Growth(work))
        {
            _request = known;
            return;
        }
        if (known is not null) _freeRequest(known.Handle);
        ref nint compiled = ref (work.Kind == WorkKind.Prefill ? ref _lastRow : ref _allRows);
        if (compiled == 0) compiled = Compile(work.Kind == WorkKind.Prefill ? _graphs.LastRow : _graphs.All);
        _library.Check(_library.Function<CreateFrom>("ov_compiled_model_create_infer_request")(compiled, out nint handle), "could not make a request");
        _request = _requests[key] = new Request(handle);
        // One row at the least but for a prompt, so that no measured pass is the first of its request and pays for its memory.
        while (_request.Rows < least)
        {
            int count = Math.Min(Chunk, least - _request.Rows);
            int[] tokens = new int[count * work.Sequences];
            for (int i = 0; i < tokens.Length; i++) tokens[i] = i % 256;
            Forward(tokens, all: false);
        }
    }

    /// <inheritdoc/>
    public void Forward(ReadOnlySpan<int> tokens, bool all)
    {
        int each = tokens.Length / _work!.Sequences, rows = _request.Rows;
        if (tokens.Length > _roomRows || (rows + each) * _work.Sequences > _roomCached) throw new InvalidOperationException("The pass is longer than what Begin made room for.");
        for (int i = 0; i < tokens.Length; i++)
        {
            Marshal.WriteInt64(_tokens, i * sizeof(long), tokens[i]);
            Marshal.WriteInt64(_positions, i * sizeof(long), rows + i % each);
        }
        Set("input_ids", ElementI64, _tokens, each);
        Set("attention_mask", ElementI64, _mask, rows + each);
        Set("position_ids", ElementI64, _positions, each);
        Set("beam_idx", ElementI32, _beams, 0);
        _library.Check(_infer(_request.Handle), "could not run");
        _library.Check(_getTensor(_request.Handle, "logits", out nint logits), "gave no logits");
        _library.Check(_data(logits, out nint data), "gave no logits");
        if (data == 0) throw new SlipstreamException("OpenVINO gave no logits.");
        _freeTensor(logits);
        _request.Rows += each;
    }

    /// <inheritdoc/>
    public int? Best(int row) => null;

    /// <summary>Rows cannot be dropped; when they have grown to more than a little, the next passes get a new request.</summary>
    public void Drop()
    {
        if (_request.Rows > _work!.Depth + Growth(_work)) Prepare(_work);
    }

    /// <summary>Its threads go to sleep by themselves.</summary>
    public void Rest() { }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_core == 0) return;
        Release();
        foreach (nint compiled in (nint[])[_allRows, _lastRow])
            if (compiled != 0) _library.Function<Free>("ov_compiled_model_free")(compiled);
        _library.Function<Free>("ov_core_free")(_core);
        Marshal.FreeHGlobal(_shape);
        _core = 0;
    }

    private static bool IsFirst(Workload work) => work.Kind == WorkKind.Prefill && work.Depth == 0;

    private static int Growth(Workload work) => IsFirst(work) ? 0 : Math.Max(LeastGrowth, work.Depth / 8);

    private void Set(string name, int type, nint memory, int columns)
    {
        Marshal.WriteInt64(_shape, _work!.Sequences);
        Marshal.WriteInt64(_shape, sizeof(long), columns);
        _library.Check(_createTensor(type, new OpenVinoShape { Rank = columns == 0 ? 1 : 2, Dimensions = _shape }, memory, out nint tensor), $"could not take '{name}'");
        _library.Check(_setTensor(_request.Handle, name, tensor), $"could not take '{name}'");
        _freeTensor(tensor);
    }

    private nint Compile(string graph)
    {
        _library.Check(_library.Function<ReadModel>("ov_core_read_model")(_core, graph, _graphs.Weights, out nint model), $"could not read '{graph}'");
        List<string> properties = ["INFERENCE_NUM_THREADS", _threads.ToString(CultureInfo.InvariantCulture), "PERFORMANCE_HINT", "LATENCY"];
        if (_int8) properties.AddRange(["DYNAMIC_QUANTIZATION_GROUP_SIZE", Int8Group]);
        nint[] texts = [.. properties.Select(Marshal.StringToCoTaskMemUTF8)];
        _library.Check(_library.Function<Compile>("ov_core_compile_model_props")(_core, model, "CPU", (nuint)(texts.Length / 2), texts, out nint compiled), $"could not compile '{graph}'");
        foreach (nint text in texts) Marshal.FreeCoTaskMem(text);
        _library.Function<Free>("ov_model_free")(model);
        return compiled;
    }

    private void Release()
    {
        foreach (Request request in _requests.Values) _freeRequest(request.Handle);
        _requests.Clear();
        foreach (nint memory in (nint[])[_tokens, _mask, _positions, _beams]) Marshal.FreeHGlobal(memory);
        _tokens = _mask = _positions = _beams = 0;
    }

    /// <summary>An infer request, which holds the cache of its sequences.</summary>
    private sealed class Request(nint handle)
    {
        public nint Handle => handle;

        /// <summary>Cached rows of each sequence.</summary>
        public int Rows { get; set; }
    }
}
