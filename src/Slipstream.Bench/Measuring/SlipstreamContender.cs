using Slipstream.Models;
using Slipstream.Numerics;

namespace Slipstream.Bench;

/// <summary>Slipstream: forward passes on the model itself.</summary>
internal sealed class SlipstreamContender : IContender
{
    private readonly LoadedModel _loaded;
    private readonly KvLayout _layout;
    private readonly int _maxRows, _kvBlock;
    private KvStore? _store;
    private KvTable[] _tables = [];
    private NativeBuffer<float>? _logits;
    private int[] _positions, _parents, _outputs, _starts = [];
    private int _sequences, _depth;

    /// <summary>Loads a checkpoint.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="threads">Threads; 0 for one a processor.</param>
    /// <param name="precision">How activations enter products.</param>
    /// <param name="maxRows">The most rows of a pass.</param>
    /// <param name="cacheType">How the cache stores its rows; null for what the model takes by itself.</param>
    /// <param name="kernels">Where the machine code of the matrix kernels comes from.</param>
    /// <exception cref="SlipstreamException">It cannot be used.</exception>
    public SlipstreamContender(string path, int threads, ActivationPrecision precision, int maxRows, CacheType? cacheType = null, KernelTier kernels = KernelTier.Auto)
    {
        ModelOptions options = new() { Threads = threads, Activations = precision, MaxBatch = 1, PrefillChunk = maxRows, CacheType = cacheType, Kernels = kernels };
        _kvBlock = options.KvBlock;
        _maxRows = maxRows;
        _loaded = LoadedModel.Load(path, options);
        _layout = options.KvLayout(Config);
        (_positions, _parents, _outputs) = (new int[maxRows], new int[maxRows], new int[maxRows]);
        Description = $"Slipstream, {Path.GetFileName(path)} ({_loaded.Model.WeightBytes / 1e6:f0} MB of weights), {Pool.Threads} threads, activations {precision switch { ActivationPrecision.Auto => "auto", ActivationPrecision.F32 => "f32", ActivationPrecision.Int16 => "int16", ActivationPrecision.Bf16 => "bf16", _ => "int8" }}, cache {_layout.Type switch { CacheType.F32 => "f32", CacheType.F16 => "f16", CacheType.Bf16 => "bf16", _ => "q8_0" }}{kernels switch { KernelTier.Intrinsics => ", kernels intrinsics", KernelTier.EmittedVectors => ", kernels emitted-vectors", _ => "" }}";
    }

    /// <inheritdoc/>
    public string Name => "slipstream";

    /// <inheritdoc/>
    public string Description { get; }

    /// <summary>Its shape.</summary>
    public ModelConfig Config => _loaded.Model.Config;

    /// <summary>Its tensors.</summary>
    public IEnumerable<TensorInfo> Tensors => _loaded.Checkpoint.Weights.Tensors.Values;

    /// <summary>Its threads, which measure the machine too.</summary>
    public ComputePool Pool => _loaded.Pool;

    /// <summary>Bytes of weights and of cached keys and values that kernels have read.</summary>
    public long BytesRead => _loaded.Model.Counters.WeightBytes + _loaded.Model.Counters.KvBytes;

    /// <inheritdoc/>
    public string? Refuses(Workload work) => null;

    /// <inheritdoc/>
    public void Begin(IReadOnlyList<Workload> works)
    {
        Release();
        // The sequences of a batch keep their rows while the first one does the other kinds.
        long blocks = Blocks(works.Where(w => w.Sequences == 1)) + Blocks(works.Where(w => w.Sequences > 1));
        long bytes = blocks * _kvBlock * _layout.BytesPerRow, available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        Workload most = works.MaxBy(w => (long)w.Sequences * w.MostCached)!;
        if (bytes > available / 2)
            throw new SlipstreamException($"The cache of '{most}' takes {bytes >> 20} MiB, more than half of the {available >> 20} MiB of memory; lower --depth or --batch.");
        if (blocks * _kvBlock > int.MaxValue) throw new SlipstreamException($"The cache of '{most}' has more rows than can be addressed; lower --depth or --batch.");
        _store = new KvStore(_layout, (int)blocks, _kvBlock);
        _tables = [.. Enumerable.Range(0, works.Max(w => w.Sequences)).Select(_ => new KvTable(_store))];
        foreach (KvTable table in _tables) table.Reserve(works.Max(w => w.MostCached));
        _starts = new int[_tables.Length + 1];
        _logits = new NativeBuffer<float>((long)works.Max(w => w.Outputs) * Config.VocabularySize);

        long Blocks(IEnumerable<Workload> some) => some.Select(w => (long)w.Sequences * ((w.MostCached + _kvBlock - 1) / _kvBlock)).DefaultIfEmpty(0).Max();
    }

    /// <inheritdoc/>
    public void Prepare(Workload work)
    {
        (int sequences, int depth) = (_sequences, _depth) = (work.Sequences, work.Depth);
        for (int i = 0; i < sequences; i++) _tables[i].Truncate(Math.Min(depth, _tables[i].Count));
        // What the cached rows hold does not matter to the speed, and computing them would take most of the run.
        for (int i = 0; i < sequences; i++)
            while (_tables[i].Count < depth) FillRow(_tables[i].Append(_tables[i].Count));
    }

    /// <inheritdoc/>
    public void Forward(ReadOnlySpan<int> tokens, bool all)
    {
        int rows = tokens.Length / _sequences, outputs = 0;
        if (tokens.Length > _maxRows) throw new SlipstreamException($"A pass of {tokens.Length} rows is more than the {_maxRows} this model was loaded for.");
        for (int s = 0, row = 0; s < _sequences; s++)
        {
            _starts[s] = row;
            for (int i = 0; i < rows; i++, row++)
            {
                _positions[row] = _tables[s].Count;
                _tables[s].Append(_positions[row]);
                _parents[row] = i - 1;
                if (all || i == rows - 1) _outputs[outputs++] = row;
            }
        }
        _starts[_sequences] = tokens.Length;
        _loaded.Model.Forward(
            new ForwardBatch
            {
                Tokens = tokens, Positions = _positions.AsSpan(0, tokens.Length), Parents = _parents.AsSpan(0, tokens.Length),
                SequenceStarts = _starts.AsSpan(0, _sequences + 1), OutputRows = _outputs.AsSpan(0, outputs), Tables = _tables.AsSpan(0, _sequences),
            },
            new ForwardOutputs { Logits = new Matrix(_logits!.Span(0, outputs * Config.VocabularySize), outputs, Config.VocabularySize) });
    }

    /// <inheritdoc/>
    public int? Best(int row) => Greatest.Index(Logits(row));

    /// <summary>The logits of an output row of the last pass.</summary>
    public ReadOnlySpan<float> Logits(int output) => _logits!.Span((long)output * Config.VocabularySize, Config.VocabularySize);

    /// <inheritdoc/>
    public void Drop()
    {
        for (int i = 0; i < _sequences; i++) _tables[i].Truncate(Math.Min(_depth, _tables[i].Count));
    }

    /// <summary>The pool's threads park by themselves after microseconds.</summary>
    public void Rest() { }

    /// <inheritdoc/>
    public void Dispose()
    {
        Release();
        _loaded.Dispose();
    }

    private void FillRow(int slot)
    {
        float[] key = new float[_store!.Layout.KvHeads * _store.Layout.HeadSize], value = new float[key.Length];
        for (int i = 0; i < key.Length; i++)
        {
            key[i] = (((slot * 31) + (i * 7)) % 64 - 32) / 64f;
            value[i] = (((slot * 17) + (i * 5)) % 64 - 32) / 64f;
        }
        for (int layer = 0; layer < Config.Layers; layer++) _store.Write(layer, slot, key, value);
    }

    private void Release()
    {
        _logits?.Dispose();
        _store?.Dispose();
        (_logits, _store, _tables) = (null, null, []);
    }
}
