using Slipstream.Models;
using Slipstream.Numerics;
using Slipstream.Speculation;

namespace Slipstream;

/// <summary>A checkpoint with its model, threads and, where it has them, tokenizer and chat template: what generation and evaluation both start from.</summary>
internal sealed class LoadedModel : IDisposable
{
    private readonly Lazy<Tokenizer> _tokenizer;
    private readonly Lazy<ChatTemplate> _template;
    private readonly Task _reading;

    private LoadedModel(Checkpoint checkpoint, ILanguageModel model, ComputePool pool, Lazy<Tokenizer> tokenizer, Task reading)
    {
        Checkpoint = checkpoint;
        Model = model;
        Pool = pool;
        (_tokenizer, _reading) = (tokenizer, reading);
        _template = new Lazy<ChatTemplate>(() => CheckpointText.Template(checkpoint));
    }

    public Checkpoint Checkpoint { get; }

    public ILanguageModel Model { get; }

    public ComputePool Pool { get; }

    /// <summary>Whether the checkpoint comes with a tokenizer, known or not.</summary>
    public bool HasTokenizer => CheckpointText.HasTokenizer(Checkpoint);

    /// <summary>Read beside the weights; what is wrong with it shows when text is first used.</summary>
    /// <exception cref="SlipstreamException">There is none, or it is not supported.</exception>
    public Tokenizer Tokenizer => _tokenizer.Value;

    /// <summary>Loaded when a conversation is first used.</summary>
    /// <exception cref="SlipstreamException">There is none, or it is not supported.</exception>
    public ChatTemplate Template => _template.Value;

    public static LoadedModel Load(string path, ModelOptions options)
    {
        options.Validate();
        Checkpoint checkpoint = Checkpoint.Open(path);
        ComputePool? pool = null;
        Lazy<Tokenizer> tokenizer = new(() => CheckpointText.Tokenizer(checkpoint));
        Task reading = CheckpointText.HasTokenizer(checkpoint) ? Task.Run(() => tokenizer.Value) : Task.CompletedTask;
        try
        {
            IModelFamily family = ModelFamilies.For(checkpoint);
            ModelConfig config = family.ReadConfig(checkpoint);
            MemoryPlan.RequireFree(path, config, checkpoint.Weights.Tensors.Values.Sum(t => t.Bytes), options);
            pool = new ComputePool(options.EffectiveThreads, options.PinThreads);
            ModelRuntime runtime = new(pool, options.MaxRows, options.Activations) { Kernels = options.Kernels };
            return new LoadedModel(checkpoint, family.Build(config, checkpoint, runtime), pool, tokenizer, reading);
        }
        catch (Exception e)
        {
            pool?.Dispose();
            Finish(reading);
            checkpoint.Dispose();
            if (e is OutOfMemoryException) throw MemoryPlan.Exceeded(path, e);
            throw;
        }
    }

    /// <summary>Makes the drafter the options ask for, or null.</summary>
    public IDrafter? CreateDrafter(ModelOptions options) => options.Drafter switch
    {
        null => null,
        DrafterOptions.PromptLookup lookup => new PromptLookupDrafter(lookup.MaxMatchingNgramSize),
        DrafterOptions.DraftModel draft => LoadDraft(draft.Path, options),
        DrafterOptions.Custom custom => custom.Create(Model.Config),
        _ => throw new InvalidOperationException($"Unknown drafter {options.Drafter.GetType()}."),
    };

    public void Dispose()
    {
        Finish(_reading);
        Model.Dispose();
        Checkpoint.Dispose();
        Pool.Dispose();
    }

    // It reads the mapped file, which must not go before it ends; its failure is kept by the lazy value.
    private static void Finish(Task reading) => reading.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).Wait();

    private ModelDrafter LoadDraft(string path, ModelOptions options)
    {
        Checkpoint draft = Checkpoint.Open(path);
        try
        {
            IModelFamily family = ModelFamilies.For(draft);
            ModelConfig config = family.ReadConfig(draft);
            RequireSameVocabulary(draft, config);
            ILanguageModel model = family.Build(config, draft, new ModelRuntime(Pool, options.MaxRows, options.Activations) { Kernels = options.Kernels });
            KvStore store = new(options.KvLayout(config), checked((int)MemoryPlan.DraftBlocks(Model.Config, config, options)), options.KvBlock);
            return new ModelDrafter(model, store, options.MaxBatch, options.MaxAssistantTokens, draft.Weights.Tensors.Values.Sum(t => t.Elements), draft);
        }
        catch
        {
            draft.Dispose();
            throw;
        }
    }

    /// <summary>Refuses a draft model whose token ids mean something else.</summary>
    private void RequireSameVocabulary(Checkpoint draft, ModelConfig config)
    {
        int own = Model.Config.VocabularySize, other = config.VocabularySize;
        string? difference = null;
        if (HasTokenizer && CheckpointText.HasTokenizer(draft))
        {
            Tokenizer target = Tokenizer, drafter = CheckpointText.Tokenizer(draft);
            for (int id = 0; id < Math.Min(target.VocabularySize, drafter.VocabularySize) && difference is null; id++)
                if (target.Spelling(id) != drafter.Spelling(id)) difference = $"the first differing token is {id}: {Shown(target.Spelling(id))} and {Shown(drafter.Spelling(id))}";
            static string Shown(string? token) => token is null ? "none" : $"'{MessageText.Clip(token)}'";
        }
        if (own != other) difference ??= $"the first differing token is {Math.Min(own, other)}, which only one of them has";
        if (difference is not null)
            throw new SlipstreamException($"The draft model '{draft.Path}' ({other} tokens) does not share the vocabulary of '{Checkpoint.Path}' ({own} tokens): {difference}; take a draft of the same tokenizer.");
    }
}
