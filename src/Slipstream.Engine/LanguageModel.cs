using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.Sampling;
using Slipstream.Scheduling;
using Slipstream.Speculation;

namespace Slipstream;

/// <summary>
/// A loaded model that generates. All members are thread-safe: requests from any number of threads run together in one batch, on one thread of the model's own.
/// </summary>
/// <example>
/// <code>
/// using var model = LanguageModel.Load("SmolLM2-135M-Instruct.Q4_1.gguf");
/// await foreach (var piece in model.StreamAsync(Prompt.Chat("What is the capital of France?")))
///     Console.Write(piece.Text);
/// </code>
/// </example>
public sealed partial class LanguageModel : IDisposable
{
    private readonly LoadedModel _loaded;
    private readonly ModelOptions _options;
    private readonly KvStore _store;
    private readonly IDrafter? _drafter;
    private readonly EngineLoop _loop;
    private readonly ConcurrentQueue<Sequence> _incoming = new();
    private readonly SemaphoreSlim _work = new(0);
    private readonly Thread _thread;
    private volatile bool _stopping;

    private LanguageModel(LoadedModel loaded, ModelOptions options, KvStore store, IDrafter? drafter)
    {
        (_loaded, _options, _store, _drafter) = (loaded, options, store, drafter);
        CatchUpScheduler scheduler = new(store, options.MaxRows, options.MaxBatch, options.PrefillChunk);
        _loop = new EngineLoop(loaded.Model, scheduler, drafter, options.MaxBatch, options.Observers, options.Clock, e => LogDraftFailure(options.Logger, e));
        Defaults = GenerationDefaults.Read(loaded.Checkpoint, loaded.Model.Config);
        _thread = new Thread(Run) { IsBackground = true, Name = "slipstream engine" };
        _thread.Start();
    }

    /// <summary>Loads a Hugging Face folder or a GGUF file.</summary>
    /// <param name="path">The folder or file.</param>
    /// <param name="options">How to run it; null takes the defaults.</param>
    /// <exception cref="SlipstreamException">The checkpoint or the options cannot be used; the message says why in a sentence.</exception>
    public static LanguageModel Load(string path, ModelOptions? options = null)
    {
        options ??= new ModelOptions();
        long start = options.Clock.GetTimestamp();
        LoadedModel loaded = LoadedModel.Load(path, options);
        KvStore? store = null;
        IDrafter? drafter = null;
        try
        {
            MemoryPlan.Check(loaded.Model.Config, path, options);
            store = new KvStore(options.KvLayout(loaded.Model.Config), checked((int)MemoryPlan.KvBlocks(loaded.Model.Config, options)), options.KvBlock);
            drafter = loaded.CreateDrafter(options);
            LanguageModel model = new(loaded, options, store, drafter);
            LogLoaded(options.Logger, path, loaded.Model.Config.Family, loaded.Model.WeightBytes, store.Slots, options.Clock.GetElapsedTime(start).TotalMilliseconds);
            return model;
        }
        catch (Exception e)
        {
            drafter?.Dispose();
            store?.Dispose();
            loaded.Dispose();
            if (e is OutOfMemoryException) throw MemoryPlan.Exceeded(path, e);
            throw;
        }
    }

    /// <summary>Loads the model of the package <c>Slipstream.DefaultModel</c>, with its draft model unless the options name another drafter.</summary>
    /// <param name="options">How to run it; null takes the defaults.</param>
    /// <param name="draft">Whether its own draft model drafts where the options name no drafter.</param>
    /// <exception cref="SlipstreamException">It is not beside the program, or the options cannot be used; the message says why in a sentence.</exception>
    public static LanguageModel LoadDefault(ModelOptions? options = null, bool draft = true)
    {
        options ??= new ModelOptions();
        string path = DefaultModel.TargetPath;
        return Load(path, draft && options.Drafter is null ? options with { Drafter = DefaultModel.Draft } : options);
    }

    /// <summary>The model's shape.</summary>
    public ModelConfig Config => _loaded.Model.Config;

    /// <summary>Whether the checkpoint comes with a tokenizer; without one, prompts are token ids.</summary>
    public bool HasTokenizer => _loaded.HasTokenizer;

    /// <summary>The tokenizer.</summary>
    /// <exception cref="SlipstreamException">There is none, or it is not supported.</exception>
    public Tokenizer Tokenizer => _loaded.Tokenizer;

    /// <summary>What <c>generation_config.json</c> or the file's metadata say about sampling and end tokens.</summary>
    public GenerationDefaults Defaults { get; }

    /// <summary>The drafter's name, or null.</summary>
    public string? DrafterName => _drafter?.Name;

    /// <summary>Parameters of the draft model, 0 where there is none.</summary>
    public long DraftParameters => _drafter?.Parameters ?? 0;

    /// <summary>The token ids of a prompt: rendered by the chat template where it is a conversation, and encoded.</summary>
    /// <exception cref="SlipstreamException">Text is used and there is no usable tokenizer or template, or an id is not in the vocabulary.</exception>
    public IReadOnlyList<int> Encode(Prompt prompt)
    {
        IReadOnlyList<int> ids = prompt.Ids ?? (prompt.Messages is { } messages
            // A template writes its own special tokens.
            ? Tokenizer.Encode(_loaded.Template.Render(messages), addSpecialTokens: false).Ids
            : Tokenizer.Encode(prompt.Plain!).Ids);
        foreach (int id in ids)
            if ((uint)id >= (uint)Config.VocabularySize) throw new SlipstreamException($"The token {id} is not in the vocabulary of {Config.VocabularySize}; ids run from 0 to {Config.VocabularySize - 1}.");
        return ids;
    }

    /// <summary>Generates and returns when done.</summary>
    /// <exception cref="SlipstreamException">The prompt or the options cannot be used.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; use <see cref="StreamAsync"/> to keep what was generated until then.</exception>
    public async Task<GenerationResult> GenerateAsync(Prompt prompt, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        GenerationSink sink = Submit(prompt, options ?? new GenerationOptions(), streams: false);
        // The loop ends a cancelled sequence itself, so waiting needs no token.
        using CancellationTokenRegistration registration = cancellationToken.Register(sink.Sequence!.Cancel);
        GenerationResult result = await sink.Completion.ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        return result;
    }

    /// <summary>
    /// Generates piece by piece. The last piece carries the result. Cancelling ends the generation at its next step and gives the result so far,
    /// with <see cref="FinishReason.Cancelled"/>; it does not throw. Leaving the enumeration early cancels too.
    /// </summary>
    /// <exception cref="SlipstreamException">The prompt or the options cannot be used.</exception>
    public async IAsyncEnumerable<GenerationUpdate> StreamAsync(Prompt prompt, GenerationOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        GenerationSink sink = Submit(prompt, options ?? new GenerationOptions(), streams: true);
        Sequence sequence = sink.Sequence!;
        using CancellationTokenRegistration registration = cancellationToken.Register(sequence.Cancel);
        try
        {
            // The loop ends a cancelled sequence itself, so reading needs no token.
            await foreach (GenerationUpdate update in sink.Updates.ReadAllAsync(CancellationToken.None).ConfigureAwait(false)) yield return update;
        }
        finally
        {
            sequence.Cancel();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_stopping) return;
        _stopping = true;
        _work.Release();
        _thread.Join();
        _loop.Dispose();
        _drafter?.Dispose();
        _store.Dispose();
        _loaded.Dispose();
        _work.Dispose();
    }

    private GenerationSink Submit(Prompt prompt, GenerationOptions options, bool streams)
    {
        ObjectDisposedException.ThrowIf(_stopping, this);
        int[] tokens = [.. Encode(prompt)];
        SamplingOptions sampling = options.Sampling ?? Defaults.Sampling;
        int limit = CheckLimits(tokens.Length, options);
        int[] ends = [.. Defaults.EndTokens], stops = options.IgnoreEndTokens ? [.. options.StopTokens] : [.. ends, .. options.StopTokens];
        Tokenizer? tokenizer = HasTokenizer && (prompt.Ids is null || IsTokenizerUsable()) ? Tokenizer : null;
        if (options.StopStrings.Count > 0 && tokenizer is null) throw new SlipstreamException($"'{_loaded.Checkpoint.Path}' has no usable tokenizer, so stop strings cannot be found; use stop tokens.");
        ulong seed = options.Seed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));
        GenerationRequest request = new(tokens, options, sampling, seed);
        GenerationSink sink = new(request, tokenizer, _loop, _options.Clock, streams);
        sink.Sequence = new Sequence(tokens, new SequenceSettings
        {
            Pipeline = new LogitsPipeline(sampling, Config.VocabularySize, ends, limit),
            Verifier = ChooseVerifier(options),
            Random = new TokenRandom(seed, options.SampleIndex),
            Limit = limit,
            StopTokens = stops,
            Schedule = ChooseSchedule(options),
            Sink = sink,
            WantsLogits = options.TopLogprobs is not null,
            Session = options.Session,
        });
        _incoming.Enqueue(sink.Sequence);
        _work.Release();
        return sink;
    }

    private int CheckLimits(int promptLength, GenerationOptions options)
    {
        if (promptLength == 0) throw new SlipstreamException("The prompt has no tokens; give at least one.");
        if (options.MaxNewTokens < 1) throw new SlipstreamException($"max_tokens is {options.MaxNewTokens}; it must be at least 1.");
        if (options.AssistantTokens is < 0 or > 256) throw new SlipstreamException($"The draft length is {options.AssistantTokens}; it must be 0 to 256.");
        if (options.TopLogprobs is < 0 or > 1000) throw new SlipstreamException($"The number of log-probabilities is {options.TopLogprobs}; it must be 0 to 1000.");
        if (promptLength >= Config.ContextLength)
            throw new SlipstreamException($"The prompt has {promptLength} tokens, but the context of '{_loaded.Checkpoint.Path}' is {Config.ContextLength} and must leave room for at least one more; shorten the prompt.");
        int limit = (int)Math.Min(Config.ContextLength, (long)promptLength + options.MaxNewTokens);
        if (limit > _store.Slots)
            throw new SlipstreamException($"The request may grow to {limit} tokens, but the cache holds {_store.Slots}; raise --kv-memory or lower --max-tokens.");
        if (options.SampleIndex < 0) throw new SlipstreamException($"The sample index is {options.SampleIndex}; it must be at least 0.");
        if (!Enum.IsDefined(options.Verifier)) throw new SlipstreamException($"The verifier is {(int)options.Verifier}; it must be auto, rejection or coupled.");
        if (!Enum.IsDefined(options.AssistantTokensSchedule)) throw new SlipstreamException($"The draft schedule is {(int)options.AssistantTokensSchedule}; it must be constant, heuristic or measured.");
        foreach (int stop in options.StopTokens)
            if ((uint)stop >= (uint)Config.VocabularySize) throw new SlipstreamException($"The stop token {stop} is not in the vocabulary of {Config.VocabularySize}; ids run from 0 to {Config.VocabularySize - 1}.");
        foreach (string stop in options.StopStrings)
            if (stop.Length == 0) throw new SlipstreamException("A stop string is empty; it would end every generation at once.");
        return limit;
    }

    private bool IsTokenizerUsable()
    {
        try
        {
            return Tokenizer.VocabularySize > 0;
        }
        catch (SlipstreamException)
        {
            return false;
        }
    }

    private static IVerifier ChooseVerifier(GenerationOptions options)
        => options.Verifier == VerifierKind.Coupled || (options.Verifier == VerifierKind.Auto && options.Seed is not null)
            ? CoupledVerifier.Instance
            : RejectionVerifier.Instance;

    private DraftSchedule ChooseSchedule(GenerationOptions options)
    {
        int? own = options.AssistantTokens is null && _options.Drafter is DrafterOptions.DraftModel draft ? draft.AssistantTokens : null;
        int length = _drafter is null ? 0 : Math.Min(own ?? options.AssistantTokens ?? GenerationOptions.DefaultAssistantTokens, _options.MaxAssistantTokens);
        return (length, own is null ? options.AssistantTokensSchedule : AssistantTokensSchedule.Constant) switch
        {
            (> 0, AssistantTokensSchedule.Heuristic) => DraftSchedule.Heuristic(length, _options.MaxAssistantTokens),
            (> 0, AssistantTokensSchedule.Measured) => DraftSchedule.Measured(length, _loop.Costs),
            _ => DraftSchedule.Constant(length),
        };
    }

    private void Run()
    {
        if (_options.PinThreads) ComputePool.PinCaller();
        while (!_stopping)
        {
            try
            {
                while (_incoming.TryDequeue(out Sequence? sequence)) _loop.Add(sequence);
                if (!_loop.Step() && _loop.IsIdle && _incoming.IsEmpty) _work.Wait();
            }
            catch (Exception e)
            {
                LogFailure(_options.Logger, e);
                _loop.FailAll(e is SlipstreamException ? e : new InvalidOperationException($"The engine failed: {e.Message}", e));
            }
        }
        while (_incoming.TryDequeue(out Sequence? sequence)) _loop.Add(sequence);
        _loop.FailAll(new ObjectDisposedException(nameof(LanguageModel)));
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Loaded {Path} ({Family}, {WeightBytes} bytes of weights, {Slots} cache rows) in {Milliseconds:F0} ms")]
    private static partial void LogLoaded(ILogger logger, string path, string family, long weightBytes, int slots, double milliseconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A draft failed; its requests go on without one")]
    private static partial void LogDraftFailure(ILogger logger, Exception failure);

    [LoggerMessage(Level = LogLevel.Error, Message = "A step failed; its requests end with the failure")]
    private static partial void LogFailure(ILogger logger, Exception failure);
}
