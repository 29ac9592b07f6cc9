using System.CommandLine;
using Slipstream.Bench;
using Slipstream.Cli.Options;
using Slipstream.Cli.Output;
using Slipstream.Numerics;

namespace Slipstream.Cli.Commands;

/// <summary><c>slipstream bench</c>: how fast a model runs, against what the machine can do and against other engines in the same run.</summary>
internal sealed class BenchCommand
{
    private const int MostRows = 8192, MostDepth = 131072 - MostRows;
    private readonly CliConsole _console;
    private readonly CommandOption<string> _model, _shape, _format, _cache, _peerFormat;
    private readonly CommandOption<int> _kvHeads, _layers, _decode, _repeat, _threads;
    private readonly CommandOption<IReadOnlyList<int>> _prefill, _verify, _batch, _depth;
    private readonly CommandOption<ActivationPrecision> _activations;
    private readonly CommandOption<CacheType> _cacheType;
    private readonly CommandOption<KernelTier> _kernels;
    private readonly CommandOption<IReadOnlyList<string>> _peers, _peerPaths;
    private readonly CommandOption<string> _roofline;
    private readonly CommandOption<bool> _profile, _json;

    private BenchCommand(Command command, CliConsole console)
    {
        _console = console;
        _model = ModelPath.Add(command, "The model: a Hugging Face folder or a GGUF file (default, without --shape: the tool's own small model).");
        _shape = new(command, "--shape", new TextValue("NAME"), $"Instead of a model: the shape of one, made with random weights ({string.Join(", ", ModelShape.All.Select(s => s.Name))}).");
        _kvHeads = new(command, "--kv-heads", new WholeValue(1, 1024), "With --shape: another number of key-value heads.");
        _layers = new(command, "--layers", new WholeValue(1, 1000), "With --shape: another number of layers.");
        _format = new(command, "--format", new TextValue("NAME"), $"With --shape: the format ({string.Join(", ", FormatMix.All.Select(m => m.Name))}; default Q8_0).");
        _cache = new(command, "--cache-dir", new PathValue("FOLDER"), "Where made files are kept (default: slipstream in the user's folder for caches).");
        _prefill = new(command, "--prefill", new CountsValue(1, MostRows), "Lengths of prompts, each computed in one pass (default 128,512).");
        _decode = new(command, "--decode", new WholeValue(0, MostRows), "Single rows in a row; 0 for none (default 64).");
        _verify = new(command, "--verify", new CountsValue(1, 512), "Rows of one sequence with logits on all of them, as drafts are verified (default 1,2,4,6,8,16).");
        _batch = new(command, "--batch", new CountsValue(1, 256), "Sequences of one row each (default 1,4,16).");
        _depth = new(command, "--depth", new CountsValue(0, MostDepth, none: false), "Cached rows before each pass (default 0).");
        _repeat = new(command, "--repeat", new WholeValue(1, 1000), "Rounds that count, after two that do not (default 5).");
        _threads = new(command, "--threads", new WholeValue(0, 1024), "Threads of every engine; 0 takes one for each processor (default 0).");
        _activations = new(command, "--activations", ModelOptionGroup.ActivationsValue(), "How activations enter matrix products (default auto: int8 for block formats).");
        _cacheType = ModelOptionGroup.CacheTypeOption(command);
        _kernels = ModelOptionGroup.KernelsOption(command);
        _peers = new(command, "--peer", new PeersValue(), "Another engine to run in turn with ours, on the same shape; may be given more than once.");
        _peerPaths = new(command, "--peer-path", new PathsValue(), "A folder to look into for a peer's library and files; may be given more than once.");
        _peerFormat = new(command, "--peer-format", new TextValue("NAME"), $"Let llama.cpp read the model converted by its own quantiser ({string.Join(", ", LlamaQuantizer.Formats)}).");
        _roofline = new(command, "--roofline", new PathValue("FILE.svg"), "Draw the figures under the machine's ceilings.");
        _profile = new(command, "--profile", new FlagValue(), "Say where the time of each pass goes.");
        _json = new(command, "--json", new FlagValue(), "Print one JSON object and nothing else.");
    }

    public static Command Create(CliConsole console)
    {
        Command command = new("bench", "Measure prefill, decode, verification and batches, against the machine's ceilings and against other engines in the same run.");
        BenchCommand bench = new(command, console);
        command.SetAction(bench.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult result, CancellationToken cancellationToken)
    {
        BenchOptions options = Read(result);
        string? picture = _roofline.TryGet(result, out string named) ? named : null;
        if (picture is not null && !Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(picture)))) throw new SlipstreamException($"The folder of '{picture}' does not exist; name a file in one that does.");
        BenchReport report = await BenchProgress.ShowAsync(_console, progress =>
            Task.Run(() => BenchSession.Run(options, progress, cancellationToken), CancellationToken.None)).ConfigureAwait(false);
        if (picture is not null) RooflineSvg.Write(picture, report);
        if (_json.IsGiven(result)) _console.Out.WriteLine(Json.Object(writer => BenchReportJson.Write(writer, report)));
        else BenchReportTable.Print(_console, report);
        return ExitCodes.Success;
    }

    private BenchOptions Read(ParseResult result)
    {
        bool hasModel = _model.TryGet(result, out string model), hasShape = _shape.TryGet(result, out string shape);
        if (hasModel && hasShape) throw new UsageException("--model and --shape cannot be used together; give one of them.");
        if (!hasModel && !hasShape && DefaultModel.IsPresent) (hasModel, model) = (true, DefaultModel.TargetPath);
        if (!hasModel && !hasShape) throw new UsageException("Nothing to measure was named; give --model with a file, or --shape with the shape of a model, such as --shape tinyllama-1.1b.");
        foreach ((string flag, bool given) in new[] { ("--kv-heads", _kvHeads.IsGiven(result)), ("--layers", _layers.IsGiven(result)), ("--format", _format.IsGiven(result)) })
            if (given && hasModel) throw new UsageException($"{flag} needs --shape; a model has its own.");
        IReadOnlyList<string> peers = _peers.Get(result, []);
        if (peers.Count == 0 && _peerPaths.IsGiven(result)) throw new UsageException($"--peer-path needs --peer, which is {string.Join(" or ", PeerCatalog.Names)}.");
        string? peerFormat = _peerFormat.TryGet(result, out string named) ? named.ToUpperInvariant() : null;
        if (peerFormat is not null && !peers.Contains("llama.cpp")) throw new UsageException("--peer-format needs --peer llama.cpp.");
        if (peerFormat is not null && !LlamaQuantizer.Formats.Contains(peerFormat)) throw new UsageException($"--peer-format is '{named}'; it must be {string.Join(", ", LlamaQuantizer.Formats)}.");
        BenchPlan plan = new(_prefill.Get(result, [128, 512]), _decode.Get(result, 64), _verify.Get(result, [1, 2, 4, 6, 8, 16]), _batch.Get(result, [1, 4, 16]), _depth.Get(result, [0]), _repeat.Get(result, 5));
        if (!plan.All.Any()) throw new UsageException("Nothing is left to measure; give one of --prefill, --decode, --verify and --batch.");
        return new BenchOptions
        {
            Model = hasModel ? model : null,
            Shape = hasShape ? Named(() => ModelShape.Get(shape, Optional(_kvHeads, result), Optional(_layers, result))) : null,
            Mix = Named(() => FormatMix.Get(_format.Get(result, "Q8_0"))),
            CacheFolder = _cache.Get(result, RandomModel.DefaultFolder),
            Plan = plan,
            Threads = _threads.Get(result, 0),
            Activations = _activations.Get(result, ActivationPrecision.Auto),
            CacheType = _cacheType.TryGet(result, out CacheType type) ? type : null,
            Kernels = _kernels.Get(result, KernelTier.Auto),
            Profile = _profile.IsGiven(result),
            Peers = peers,
            PeerFormat = peerFormat,
            PeerPaths = _peerPaths.Get(result, []),
        };
    }

    private static int? Optional(CommandOption<int> option, ParseResult result) => option.TryGet(result, out int value) ? value : null;

    // A name that is not known is a mistake in the command line.
    private static T Named<T>(Func<T> get)
    {
        try
        {
            return get();
        }
        catch (SlipstreamException e)
        {
            throw new UsageException(e.Message);
        }
    }

    private sealed class PeersValue : OptionValue<IReadOnlyList<string>>
    {
        public override string Placeholder => string.Join('|', PeerCatalog.Names);

        public override bool IsRepeatable => true;

        public override IReadOnlyList<string> Parse(string name, IReadOnlyList<string> arguments)
        {
            foreach (string argument in arguments)
                if (!PeerCatalog.Names.Contains(argument)) throw Invalid(name, Quote(argument), string.Join(" or ", PeerCatalog.Names));
            return [.. arguments.Distinct()];
        }

        public override IReadOnlyList<string> Read(string name, System.Text.Json.JsonElement json) => Parse(name, [JsonText.Get(json)]);

        public override void Write(System.Text.Json.Utf8JsonWriter writer, IReadOnlyList<string> value) => writer.WriteStringValue(string.Join(',', value));
    }

    private sealed class PathsValue : OptionValue<IReadOnlyList<string>>
    {
        public override string Placeholder => "FOLDER";

        public override bool IsRepeatable => true;

        public override IReadOnlyList<string> Parse(string name, IReadOnlyList<string> arguments) => [.. arguments.Select(argument => new PathValue().Parse(name, [argument]))];

        public override IReadOnlyList<string> Read(string name, System.Text.Json.JsonElement json) => Parse(name, [JsonText.Get(json)]);

        public override void Write(System.Text.Json.Utf8JsonWriter writer, IReadOnlyList<string> value) => writer.WriteStringValue(string.Join(',', value));
    }
}
