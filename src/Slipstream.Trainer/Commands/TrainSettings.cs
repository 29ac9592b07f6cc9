using System.CommandLine;
using System.CommandLine.Parsing;
using Slipstream.Distillation.Torch;
using Slipstream.Distillation.Training;

namespace Slipstream.Trainer.Commands;

/// <summary>The options of <c>train</c>, and what they come to.</summary>
internal sealed class TrainSettings
{
    private static readonly Dictionary<string, (int Hidden, int Layers, int Heads, int KvHeads, int Intermediate)> Shapes = new(StringComparer.Ordinal)
    {
        ["toy"] = (64, 2, 2, 1, 176),
        ["small"] = (128, 4, 4, 2, 352),
        ["default"] = (256, 8, 4, 2, 704),
    };

    private readonly Option<string[]> _text = new("--text") { Description = "A UTF-8 text file to learn from; documents are separated by <|endoftext|>. May be given more than once.", Required = true, HelpName = "FILE", AllowMultipleArgumentsPerToken = true };
    private readonly Option<string> _output = new("--output") { Description = "The folder of the model. A run that was cut off there goes on when it is given the same options.", Required = true, HelpName = "FOLDER" };
    private readonly Option<string?> _tokenizer = new("--tokenizer") { Description = "The tokenizer: a folder with a tokenizer.json, or that file.", HelpName = "FILE" };
    private readonly Option<int> _vocabulary = new("--vocabulary") { Description = "Without --tokenizer: learn one of so many tokens from the text.", DefaultValueFactory = _ => 4096, HelpName = "N" };
    private readonly Option<string> _shape = new("--shape") { Description = "The sizes of the model: toy, small or default; the next five change single ones.", DefaultValueFactory = _ => "default", HelpName = "NAME" };
    private readonly Option<int?> _hidden = new("--hidden") { Description = "Width of the residual stream.", HelpName = "N" };
    private readonly Option<int?> _layers = new("--layers") { Description = "Blocks.", HelpName = "N" };
    private readonly Option<int?> _heads = new("--heads") { Description = "Query heads.", HelpName = "N" };
    private readonly Option<int?> _kvHeads = new("--kv-heads") { Description = "Key-value heads.", HelpName = "N" };
    private readonly Option<int?> _intermediate = new("--intermediate") { Description = "Width of the feed-forward part.", HelpName = "N" };
    private readonly Option<bool> _ownHead = new("--own-head") { Description = "Give the head its own weights instead of the embedding's." };
    private readonly Option<int> _context = new("--context") { Description = "Positions the model is said to be good for, in config.json; at least --length.", DefaultValueFactory = _ => 2048, HelpName = "N" };
    private readonly Option<int> _length = new("--length") { Description = "Tokens of a window.", DefaultValueFactory = _ => 256, HelpName = "N" };
    private readonly Option<int> _batch = new("--batch") { Description = "Windows of a batch.", DefaultValueFactory = _ => 16, HelpName = "N" };
    private readonly Option<int> _accumulate = new("--accumulate") { Description = "Batches of a step.", DefaultValueFactory = _ => 1, HelpName = "N" };
    private readonly Option<int?> _steps = new("--steps") { Description = "Steps of the run; or give --epochs or --minutes.", HelpName = "N" };
    private readonly Option<double?> _epochs = new("--epochs") { Description = "Times over the text.", HelpName = "X" };
    private readonly Option<double?> _minutes = new("--minutes") { Description = "About how long to train; the speed is measured first. 10 where nothing else is given.", HelpName = "X" };
    private readonly Option<double> _rate = new("--learning-rate") { Description = "The highest learning rate.", DefaultValueFactory = _ => 1.5e-3, HelpName = "X" };
    private readonly Option<double> _finalRatio = new("--final-ratio") { Description = "The last learning rate as a part of the highest.", DefaultValueFactory = _ => 0.1, HelpName = "X" };
    private readonly Option<int?> _warmUp = new("--warm-up") { Description = "Steps over which the learning rate rises; a fiftieth of the run, at least 20, where not given.", HelpName = "N" };
    private readonly Option<double> _weightDecay = new("--weight-decay") { Description = "Decay of matrices.", DefaultValueFactory = _ => 0.1, HelpName = "X" };
    private readonly Option<double> _clip = new("--clip") { Description = "The longest gradient; 0 for any.", DefaultValueFactory = _ => 1, HelpName = "X" };
    private readonly Option<ulong> _seed = new("--seed") { Description = "The seed of weights and order.", DefaultValueFactory = _ => 1, HelpName = "N" };
    private readonly Option<double> _heldOut = new("--held-out") { Description = "The part of the text that is held out for evaluation: the last documents.", DefaultValueFactory = _ => 0.01, HelpName = "X" };
    private readonly Option<string?> _heldOutText = new("--held-out-text") { Description = "A text file to evaluate on instead.", HelpName = "FILE" };
    private readonly Option<int?> _evaluateEvery = new("--evaluate-every") { Description = "Steps between evaluations; a twentieth of the run, at least 20, where not given.", HelpName = "N" };
    private readonly Option<string> _checkpointEvery = new("--checkpoint-every") { Description = "Minutes (2m) or steps (500) between checkpoints.", DefaultValueFactory = _ => "2m", HelpName = "N" };
    private readonly Option<int> _patience = new("--patience") { Description = "Evaluations without a better one before the run stops; 0 for never.", DefaultValueFactory = _ => 0, HelpName = "N" };
    private readonly Option<string> _activations = new("--activations") { Description = "The precision of products: auto, f32 or bf16 (over weights of f32).", DefaultValueFactory = _ => "auto", HelpName = "NAME" };
    private readonly Option<int> _threads = new("--threads") { Description = "Threads; 0 for one a core.", DefaultValueFactory = _ => 0, HelpName = "N" };
    private readonly Option<bool> _resume = new("--resume") { Description = "Insist that there is a run to go on with." };
    private readonly Option<string?> _chatTemplate = new("--chat-template") { Description = "Write a chat template beside the model: chatml.", HelpName = "NAME" };
    private readonly Option<bool> _json = new("--json") { Description = "Print one JSON object and nothing else." };
    private readonly ParseResult? _result;

    public TrainSettings() { }

    private TrainSettings(TrainSettings options, ParseResult result)
    {
        (_text, _output, _tokenizer, _vocabulary, _shape, _hidden, _layers, _heads) = (options._text, options._output, options._tokenizer, options._vocabulary, options._shape, options._hidden, options._layers, options._heads);
        (_kvHeads, _intermediate, _ownHead, _context, _length, _batch, _accumulate, _steps, _epochs) = (options._kvHeads, options._intermediate, options._ownHead, options._context, options._length, options._batch, options._accumulate, options._steps, options._epochs);
        (_minutes, _rate, _finalRatio, _warmUp, _weightDecay, _clip, _seed, _heldOut) = (options._minutes, options._rate, options._finalRatio, options._warmUp, options._weightDecay, options._clip, options._seed, options._heldOut);
        (_heldOutText, _evaluateEvery, _checkpointEvery, _patience, _activations, _threads) = (options._heldOutText, options._evaluateEvery, options._checkpointEvery, options._patience, options._activations, options._threads);
        (_resume, _chatTemplate, _json) = (options._resume, options._chatTemplate, options._json);
        _result = result;
    }

    public IReadOnlyList<string> Text => Get(_text)!;
    public string Output => Get(_output)!;
    public string? TokenizerPath => Get(_tokenizer);
    public bool VocabularyIsGiven => _result!.GetResult(_vocabulary) is OptionResult { Implicit: false };
    public int Vocabulary => Get(_vocabulary);
    public int Length => AtLeast(_length, 8);
    public int Batch => AtLeast(_batch, 1);
    public int Accumulate => AtLeast(_accumulate, 1);
    public ulong Seed => Get(_seed);
    public double HeldOut => Get(_heldOut) is >= 0 and < 1 and double value ? value : throw new SlipstreamException($"--held-out is {Get(_heldOut)}; it must be from 0 to less than 1.");
    public string? HeldOutText => Get(_heldOutText);
    public int Threads => Get(_threads) is >= 0 and int value ? value : throw new SlipstreamException($"--threads is {Get(_threads)}; it must be 0 or more.");
    public bool Resume => Get(_resume);
    public bool Json => Get(_json);

    public bool ChatTemplate => Get(_chatTemplate) switch
    {
        null => false,
        "chatml" => true,
        string other => throw new SlipstreamException($"--chat-template is '{other}'; known is chatml."),
    };

    /// <summary>Null for what the processor does best.</summary>
    public bool? Bfloat16 => Get(_activations)! switch
    {
        "auto" => null,
        "f32" => false,
        "bf16" => true,
        string other => throw new SlipstreamException($"--activations is '{other}'; known are auto, f32 and bf16."),
    };

    /// <summary>Adds the options of a run that starts from a model that is there: none about sizes, tokenizer and template, and a lower learning rate.</summary>
    public void AddRunTo(Command command)
    {
        _rate.DefaultValueFactory = _ => 5e-4;
        foreach (Option option in (Option[])[_text, _output, _length, _batch, _accumulate, _steps, _epochs, _minutes, _rate, _finalRatio, _warmUp,
            _weightDecay, _clip, _seed, _heldOut, _heldOutText, _evaluateEvery, _checkpointEvery, _patience, _activations, _threads, _json]) command.Options.Add(option);
    }

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_text, _output, _tokenizer, _vocabulary, _shape, _hidden, _layers, _heads, _kvHeads, _intermediate, _ownHead, _context, _length, _batch, _accumulate, _steps, _epochs, _minutes, _rate, _finalRatio, _warmUp,
            _weightDecay, _clip, _seed, _heldOut, _heldOutText, _evaluateEvery, _checkpointEvery, _patience, _activations, _threads, _resume, _chatTemplate, _json]) command.Options.Add(option);
    }

    public TrainSettings Of(ParseResult result) => new(this, result);

    /// <summary>The sizes of the model.</summary>
    public LlamaShape Shape(int vocabulary)
    {
        string name = Get(_shape)!;
        if (!Shapes.TryGetValue(name, out (int Hidden, int Layers, int Heads, int KvHeads, int Intermediate) sizes))
            throw new SlipstreamException($"--shape is '{name}'; known are {string.Join(", ", Shapes.Keys)}.");
        int hidden = Get(_hidden) ?? sizes.Hidden, heads = Get(_heads) ?? sizes.Heads;
        if (heads < 1 || hidden < 1 || hidden % heads != 0) throw new SlipstreamException($"--hidden {hidden} cannot be shared by --heads {heads} evenly; choose a multiple.");
        return new LlamaShape
        {
            Vocabulary = vocabulary, Hidden = hidden, Layers = Get(_layers) ?? sizes.Layers, Heads = heads, KvHeads = Get(_kvHeads) ?? Math.Min(heads, sizes.KvHeads),
            HeadSize = hidden / heads, Intermediate = Get(_intermediate) ?? sizes.Intermediate, TiedHead = !Get(_ownHead), ContextLength = Context(),
        }.Checked();
    }

    private int Context() => Get(_context) is int context && context >= Length ? context : throw new SlipstreamException($"--context is {Get(_context)}, but the windows have {Length} tokens; give at least that.");

    /// <summary>The steps that --steps or --epochs ask for; null where --minutes or nothing does.</summary>
    public int? Steps(int windows)
    {
        if (new object?[] { Get(_steps), Get(_epochs), Get(_minutes) }.Count(value => value is not null) > 1) throw new SlipstreamException("--steps, --epochs and --minutes cannot be used together; give one of them.");
        if (Get(_steps) is { } steps) return steps >= 1 ? steps : throw new SlipstreamException($"--steps is {steps}; it must be at least 1.");
        if (Get(_epochs) is not { } epochs) return null;
        return epochs > 0 ? (int)Math.Clamp(Math.Ceiling(epochs * windows / (Batch * (double)Accumulate)), 1, 100_000_000) : throw new SlipstreamException($"--epochs is {epochs}; it must be over 0.");
    }

    /// <summary>How long to train where steps are not given.</summary>
    public TimeSpan Time => Get(_minutes) is not { } minutes ? TimeSpan.FromMinutes(10) : minutes is > 0 and < 1e6 ? TimeSpan.FromMinutes(minutes) : throw new SlipstreamException($"--minutes is {minutes}; it must be over 0.");

    /// <summary>How the run goes.</summary>
    public TrainingOptions Options(int steps, bool bfloat16)
    {
        (int checkpointSteps, TimeSpan checkpointTime) = CheckpointEvery();
        return new TrainingOptions
        {
            Steps = steps, Batch = Batch, Length = Length, Accumulation = Accumulate, LearningRate = Positive(_rate), FinalRatio = NotNegative(_finalRatio), WarmUp = Math.Max(0, Get(_warmUp) ?? Math.Min(steps, Math.Max(20, steps / 50))),
            WeightDecay = NotNegative(_weightDecay), Clip = NotNegative(_clip), Seed = Seed, Bfloat16 = bfloat16, EvaluateEvery = Math.Max(1, Get(_evaluateEvery) ?? Math.Max(20, steps / 20)),
            Patience = Math.Max(0, Get(_patience)), CheckpointEverySteps = checkpointSteps, CheckpointEvery = checkpointTime,
        };
    }

    private (int Steps, TimeSpan Time) CheckpointEvery()
    {
        string text = Get(_checkpointEvery)!;
        System.Globalization.CultureInfo invariant = System.Globalization.CultureInfo.InvariantCulture;
        if (text.EndsWith('m') && double.TryParse(text.AsSpan(0, text.Length - 1), invariant, out double minutes) && minutes is > 0 and < 1e6) return (0, TimeSpan.FromMinutes(minutes));
        return int.TryParse(text, invariant, out int steps) && steps > 0 ? (steps, TimeSpan.MaxValue) : throw new SlipstreamException($"--checkpoint-every is '{text}'; it must be minutes such as 2m, or a number of steps.");
    }

    private T? Get<T>(Option<T> option) => _result!.GetValue(option);

    private int AtLeast(Option<int> option, int least) => Get(option) is int value && value >= least ? value : throw new SlipstreamException($"{option.Name} is {Get(option)}; it must be at least {least}.");

    private double Positive(Option<double> option) => Get(option) is > 0 and < double.PositiveInfinity and double value ? value : throw new SlipstreamException($"{option.Name} is {Get(option)}; it must be over 0.");

    private double NotNegative(Option<double> option) => Get(option) is >= 0 and < double.PositiveInfinity and double value ? value : throw new SlipstreamException($"{option.Name} is {Get(option)}; it must be 0 or more.");
}
