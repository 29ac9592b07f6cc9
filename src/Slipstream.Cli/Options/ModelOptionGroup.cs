using System.CommandLine;
using System.Text.Json;
using Slipstream.Numerics;

namespace Slipstream.Cli.Options;

/// <summary>Which model, and how it is run: the options of every command that runs one.</summary>
internal sealed class ModelOptionGroup
{
    private readonly CommandOption<string> _model;
    private readonly CommandOption<ActivationPrecision> _activations;
    private readonly CommandOption<KernelTier> _kernels;
    private readonly CommandOption<CacheType> _cacheType;
    private readonly CommandOption<bool> _pin;
    private readonly CommandOption<int> _threads, _kvBlock, _prefillChunk, _maxBatch;
    private readonly CommandOption<KvMemory> _kvMemory;

    public ModelOptionGroup(Command command)
    {
        _model = ModelPath.Add(command, "The model: a Hugging Face folder or a GGUF file (default: the tool's own small model).");
        _activations = new(command, "--activations", ActivationsValue(),
            "How activations enter matrix products (default auto: int8 for block formats, f32 for others; bf16 is for BF16 weights).");
        _kernels = KernelsOption(command);
        _cacheType = CacheTypeOption(command);
        _threads = new(command, "--threads", new WholeValue(0, 1024), "Threads that compute; 0 takes one for each processor (default 0).");
        _pin = new(command, "--pin-threads", new FlagValue(), "Keep each computing thread on one processor (Linux).");
        _kvBlock = new(command, "--kv-block", new WholeValue(1, 65536), "Rows in a block of the cache (default 64).");
        _prefillChunk = new(command, "--prefill-chunk", new WholeValue(1, 65536), "The most prompt tokens of one request in a step (default 512).");
        _maxBatch = new(command, "--max-batch", new WholeValue(1, 1024), "The most requests that run at once (default 8).");
        _kvMemory = new(command, "--kv-memory", new KvMemoryValue(), "Memory for the cache: bytes, 256M, 1.5G or 25%.");
    }

    /// <summary>The values of <c>--activations</c>.</summary>
    public static ChoiceValue<ActivationPrecision> ActivationsValue() => new(("auto", ActivationPrecision.Auto), ("f32", ActivationPrecision.F32), ("int8", ActivationPrecision.Int8), ("int16", ActivationPrecision.Int16), ("bf16", ActivationPrecision.Bf16));

    /// <summary>The option <c>--kernels</c>.</summary>
    public static CommandOption<KernelTier> KernelsOption(Command command) => new(command, "--kernels", new ChoiceValue<KernelTier>(("auto", KernelTier.Auto), ("emitted", KernelTier.Emitted), ("emitted-vectors", KernelTier.EmittedVectors), ("intrinsics", KernelTier.Intrinsics)),
        "Matrix kernels: assembled at run time for the newest instructions, with or without the matrix unit (AMX), or compiled ones only (default auto: emitted where they can run).");

    /// <summary>The option <c>--cache-type</c>.</summary>
    public static CommandOption<CacheType> CacheTypeOption(Command command) => new(command, "--cache-type", new ChoiceValue<CacheType>(("f32", CacheType.F32), ("f16", CacheType.F16), ("bf16", CacheType.Bf16), ("q8_0", CacheType.Q8)),
        "How cached keys and values are stored (default bf16 where attention rounds to that anyway, else f32).");

    /// <summary>Whether the default model is meant.</summary>
    public bool IsDefault(ParseResult result) => !_model.IsGiven(result);

    /// <summary>The model's path.</summary>
    /// <exception cref="UsageException">None was named, and there is no default one.</exception>
    public string Path(ParseResult result) => ModelPath.Get(_model, result);

    /// <summary>How it is run.</summary>
    /// <exception cref="UsageException">A value is none.</exception>
    public ModelOptions Read(ParseResult result)
    {
        ModelOptions options = new();
        return options with
        {
            Activations = _activations.Get(result, options.Activations),
            Kernels = _kernels.Get(result, options.Kernels),
            CacheType = _cacheType.TryGet(result, out CacheType type) ? type : null,
            Threads = _threads.Get(result, options.Threads),
            PinThreads = _pin.IsGiven(result),
            KvBlock = _kvBlock.Get(result, options.KvBlock),
            PrefillChunk = _prefillChunk.Get(result, options.PrefillChunk),
            MaxBatch = _maxBatch.Get(result, options.MaxBatch),
            KvMemory = _kvMemory.TryGet(result, out KvMemory memory) ? memory : null,
        };
    }

    private sealed class KvMemoryValue : OptionValue<KvMemory>
    {
        public override string Placeholder => "BYTES|PERCENT";

        public override KvMemory Parse(string name, IReadOnlyList<string> arguments)
        {
            try
            {
                return KvMemory.Parse(arguments[0]);
            }
            catch (SlipstreamException e)
            {
                throw new UsageException($"{name}: {e.Message}");
            }
        }

        public override KvMemory Read(string name, JsonElement json) => Parse(name, [JsonText.Get(json)]);

        public override void Write(Utf8JsonWriter writer, KvMemory value) => writer.WriteNumberValue(value.ToBytes());
    }
}

/// <summary>The option <c>--model</c>.</summary>
internal static class ModelPath
{
    public static CommandOption<string> Add(Command command, string help)
    {
        CommandOption<string> option = new(command, "--model", new PathValue("PATH"), help);
        option.Option.Aliases.Add("-m");
        return option;
    }

    /// <summary>The path given, else that of the default model.</summary>
    /// <exception cref="UsageException">None was named, and there is no default one.</exception>
    public static string Get(CommandOption<string> option, ParseResult result)
    {
        if (option.TryGet(result, out string path)) return path;
        return DefaultModel.IsPresent
            ? DefaultModel.TargetPath
            : throw new UsageException("No model was named, and this build has no default one: give --model with a Hugging Face folder or a GGUF file, such as --model SmolLM2-135M-Instruct.Q4_1.gguf.");
    }
}
