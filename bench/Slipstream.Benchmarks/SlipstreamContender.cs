using System.Diagnostics;
using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.Sampling;

namespace Slipstream.Benchmarks;

/// <summary>Slipstream: forward passes on the model itself, generations through the public API.</summary>
internal sealed class SlipstreamContender : IContender
{
    private const int Batch = 512, MaxOutputs = 16, Context = 1024;
    private readonly LoadedModel _loaded;
    private readonly LanguageModel _api;
    private readonly KvStore _store;
    private readonly KvTable _table;
    private readonly NativeBuffer<float> _logits;
    private readonly string _path;
    private readonly ModelOptions _options;
    private readonly int[] _positions = new int[Batch], _parents = [.. Enumerable.Range(-1, Batch)], _outputs = new int[MaxOutputs];

    /// <summary>Loads a checkpoint.</summary>
    /// <exception cref="SlipstreamException">It cannot be used.</exception>
    public SlipstreamContender(string path, int threads)
    {
        _path = path;
        _options = new ModelOptions { Threads = threads, MaxBatch = 1, PrefillChunk = Batch };
        _loaded = LoadedModel.Load(path, _options);
        _api = LanguageModel.Load(path, _options);
        _store = new KvStore(_loaded.Model.KvLayout with { Type = _options.CacheType }, Context / _options.KvBlock, _options.KvBlock);
        _table = new KvTable(_store);
        _logits = new NativeBuffer<float>((long)MaxOutputs * _loaded.Model.Config.VocabularySize);
        Description = $"Slipstream, {Path.GetFileName(path)} ({_loaded.Model.WeightBytes / 1e6:f0} MB of weights), {threads} threads, activations {_options.Activations}, chunks of {Batch}, cache F32";
    }

    /// <inheritdoc/>
    public string Name => "Slipstream";

    /// <inheritdoc/>
    public string Description { get; }

    /// <summary>The tokenizer, for the texts that both engines are given as tokens.</summary>
    public Tokenizer Tokenizer => _loaded.Tokenizer;

    /// <summary>Bytes of weights that kernels have read.</summary>
    public long WeightBytesRead => _loaded.Model.Counters.WeightBytes;

    /// <inheritdoc/>
    public void Truncate(int rows)
    {
        if (rows < _table.Count) _table.Truncate(rows);
    }

    /// <inheritdoc/>
    public void Forward(ReadOnlySpan<int> tokens, int outputs)
    {
        int rows = tokens.Length, vocabulary = _loaded.Model.Config.VocabularySize;
        for (int i = 0; i < rows; i++) _table.Append(_positions[i] = _table.Count);
        for (int i = 0; i < outputs; i++) _outputs[i] = rows - outputs + i;
        _loaded.Model.Forward(
            new ForwardBatch
            {
                Tokens = tokens, Positions = _positions.AsSpan(0, rows), Parents = _parents.AsSpan(0, rows),
                SequenceStarts = [0, rows], OutputRows = _outputs.AsSpan(0, outputs), Tables = [_table],
            },
            new ForwardOutputs { Logits = new Matrix(_logits.Span(0, outputs * vocabulary), outputs, vocabulary) });
    }

    /// <inheritdoc/>
    public int Best(int output)
    {
        int vocabulary = _loaded.Model.Config.VocabularySize;
        return Greatest.Index(_logits.Span((long)output * vocabulary, vocabulary));
    }

    /// <inheritdoc/>
    public GenerationTimes Generate(string text, int tokens) => GenerateAsync(_api, text, tokens).GetAwaiter().GetResult();

    /// <inheritdoc/>
    public TimeSpan LoadToFirstToken(string text)
    {
        long start = Stopwatch.GetTimestamp();
        using LanguageModel model = LanguageModel.Load(_path, _options);
        GenerateAsync(model, text, 1).GetAwaiter().GetResult();
        return Stopwatch.GetElapsedTime(start);
    }

    /// <summary>The pool's threads park by themselves after microseconds.</summary>
    public void Rest() { }

    /// <inheritdoc/>
    public void Dispose()
    {
        _table.Truncate(0);
        _logits.Dispose();
        _store.Dispose();
        _api.Dispose();
        _loaded.Dispose();
    }

    private static async Task<GenerationTimes> GenerateAsync(LanguageModel model, string text, int tokens)
    {
        List<int> generated = new(tokens);
        long start = Stopwatch.GetTimestamp(), first = 0, last = 0;
        int prompt = 0;
        await foreach (GenerationUpdate update in model.StreamAsync(text, new GenerationOptions { MaxNewTokens = tokens, Sampling = new SamplingOptions(), IgnoreEndTokens = true }).ConfigureAwait(false))
        {
            if (update.Token is { } token)
            {
                last = Stopwatch.GetTimestamp();
                if (first == 0) first = last;
                generated.Add(token);
            }
            prompt = update.Result?.PromptTokens.Count ?? prompt;
        }
        return new GenerationTimes(Stopwatch.GetElapsedTime(start, first), Stopwatch.GetElapsedTime(first, last), prompt, generated);
    }
}
