using System.Globalization;
using System.Runtime.InteropServices;
using Slipstream.Models;
using Slipstream.Numerics;
using static Slipstream.Bench.OpenVinoSignatures;

namespace Slipstream.Bench;

/// <summary>
/// OpenVINO with a stateful graph of the same shape and random weights in the nearest of its formats. Its cache is inside an infer request and cannot be shortened:
/// a new request is the only way back, so rows of repeated passes pile up a little before one is made.
/// </summary>
internal sealed class OpenVinoContender : IContender
{
    private const int Chunk = 512, LeastGrowth = 128, MostBatchRows = 1 << 15;
    private readonly OpenVinoLibrary _library;
    private readonly SetTensor _setTensor;
    private readonly GetTensor _getTensor;
    private readonly CreateTensor _createTensor;
    private readonly Infer _infer;
    private readonly Free _freeTensor, _freeRequest;
    private readonly GetData _data;
    private readonly string _name;
    private readonly nint _shape = Marshal.AllocHGlobal(2 * sizeof(long));
    private nint _core, _compiled, _request, _tokens, _mask, _positions, _beams;
    private int _sequences, _depth, _rows, _roomRows, _roomCached;

    private OpenVinoContender(OpenVinoLibrary library, string graph, string name, int threads)
    {
        (_library, _name) = (library, name);
        _setTensor = library.Function<SetTensor>("ov_infer_request_set_tensor");
        _getTensor = library.Function<GetTensor>("ov_infer_request_get_tensor");
        _createTensor = library.Function<CreateTensor>("ov_tensor_create_from_host_ptr");
        _infer = library.Function<Infer>("ov_infer_request_infer");
        _freeTensor = library.Function<Free>("ov_tensor_free");
        _freeRequest = library.Function<Free>("ov_infer_request_free");
        _data = library.Function<GetData>("ov_tensor_data");
        library.Check(library.Function<Create>("ov_core_create")(out _core), "could not start");
        library.Check(library.Function<ReadModel>("ov_core_read_model")(_core, graph, null, out nint model), $"could not read '{graph}'");
        string[] properties = ["INFERENCE_NUM_THREADS", threads.ToString(CultureInfo.InvariantCulture), "PERFORMANCE_HINT", "LATENCY"];
        nint[] texts = [.. properties.Select(Marshal.StringToCoTaskMemUTF8)];
        library.Check(library.Function<Compile>("ov_core_compile_model_props")(_core, model, "CPU", (nuint)(texts.Length / 2), texts, out _compiled), $"could not compile '{graph}'");
        foreach (nint text in texts) Marshal.FreeCoTaskMem(text);
        library.Function<Free>("ov_model_free")(model);
        Description = $"OpenVINO {library.Version()}, {name} with random weights, {threads} threads, latency hint, its defaults else (8-bit activations for quantised weights, bf16 arithmetic where the CPU has it, u8 cache), the head on every row";
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
        int sequences = works.Max(w => w.Sequences), cached = works.Max(w => w.MostCached + Growth(w.Depth)) + 2 * works.Max(w => w.RowsOfEach);
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
    public void Prepare(int sequences, int depth)
    {
        if (_request != 0 && _sequences == sequences && _depth == depth && _rows <= depth + Growth(depth)) return;
        if (_request != 0) _freeRequest(_request);
        _request = 0;
        _library.Check(_library.Function<CreateFrom>("ov_compiled_model_create_infer_request")(_compiled, out _request), "could not make a request");
        (_sequences, _depth, _rows) = (sequences, depth, 0);
        // One row at the least, so that no measured pass is the first of its request and pays for its memory.
        for (int target = Math.Max(1, depth); _rows < target;)
        {
            int count = Math.Min(Chunk, target - _rows);
            int[] tokens = new int[count * sequences];
            for (int i = 0; i < tokens.Length; i++) tokens[i] = i % 1000;
            Forward(tokens, all: false);
        }
    }

    /// <inheritdoc/>
    public void Forward(ReadOnlySpan<int> tokens, bool all)
    {
        int each = tokens.Length / _sequences;
        if (tokens.Length > _roomRows || (_rows + each) * _sequences > _roomCached) throw new InvalidOperationException("The pass is longer than what Begin made room for.");
        for (int i = 0; i < tokens.Length; i++)
        {
            Marshal.WriteInt64(_tokens, i * sizeof(long), tokens[i]);
            Marshal.WriteInt64(_positions, i * sizeof(long), _rows + i % each);
        }
        Set("input_ids", ElementI64, _tokens, each);
        Set("attention_mask", ElementI64, _mask, _rows + each);
        Set("position_ids", ElementI64, _positions, each);
        Set("beam_idx", ElementI32, _beams, 0);
        _library.Check(_infer(_request), "could not run");
        _library.Check(_getTensor(_request, "logits", out nint logits), "gave no logits");
        _library.Check(_data(logits, out nint data), "gave no logits");
        if (data == 0) throw new SlipstreamException("OpenVINO gave no logits.");
        _freeTensor(logits);
        _rows += each;
    }

    /// <inheritdoc/>
    public int? Best(int row) => null;

    /// <summary>Rows cannot be dropped; when they have grown to more than a little, the next passes get a new request.</summary>
    public void Drop()
    {
        if (_rows > _depth + Growth(_depth)) Prepare(_sequences, _depth);
    }

    /// <summary>Its threads go to sleep by themselves.</summary>
    public void Rest() { }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_core == 0) return;
        Release();
        _library.Function<Free>("ov_compiled_model_free")(_compiled);
        _library.Function<Free>("ov_core_free")(_core);
        Marshal.FreeHGlobal(_shape);
        _core = 0;
    }

    private static int Growth(int depth) => Math.Max(LeastGrowth, depth / 8);

    private void Set(string name, int type, nint memory, int columns)
    {
        Marshal.WriteInt64(_shape, _sequences);
        Marshal.WriteInt64(_shape, sizeof(long), columns);
        _library.Check(_createTensor(type, new OpenVinoShape { Rank = columns == 0 ? 1 : 2, Dimensions = _shape }, memory, out nint tensor), $"could not take '{name}'");
        _library.Check(_setTensor(_request, name, tensor), $"could not take '{name}'");
        _freeTensor(tensor);
    }

    private void Release()
    {
        if (_request != 0) _freeRequest(_request);
        foreach (nint memory in (nint[])[_tokens, _mask, _positions, _beams]) Marshal.FreeHGlobal(memory);
        _request = _tokens = _mask = _positions = _beams = 0;
    }
}
