using System.CommandLine;
using Slipstream.Cli.Options;
using Slipstream.Cli.Output;
using Slipstream.Models;

namespace Slipstream.Cli.Commands;

/// <summary>What a checkpoint is, read without loading it.</summary>
internal sealed record InspectedModel(string Path, string Kind, ModelConfig Config, IReadOnlyList<TensorInfo> Tensors, bool HasTokenizer)
{
    /// <summary>Bytes of all tensors.</summary>
    public long Bytes => Tensors.Sum(tensor => tensor.Bytes);

    /// <summary>Weights in all tensors.</summary>
    public long Parameters => Tensors.Sum(tensor => tensor.Elements);

    /// <summary>The encodings, the largest first.</summary>
    public IEnumerable<(string Format, int Tensors, long Bytes)> Formats
        => Tensors.GroupBy(tensor => tensor.Format).Select(group => (group.Key, group.Count(), group.Sum(tensor => tensor.Bytes))).OrderByDescending(format => format.Item3);

    /// <summary>Reads headers and configuration.</summary>
    /// <exception cref="SlipstreamException">The checkpoint cannot be used.</exception>
    public static InspectedModel Read(string path)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        ModelConfig config = ModelFamilies.For(checkpoint).ReadConfig(checkpoint);
        return new InspectedModel(path, checkpoint.Kind == CheckpointKind.Gguf ? "gguf" : "huggingface", config, [.. checkpoint.Weights.Tensors.Values], CheckpointText.HasTokenizer(checkpoint));
    }
}

/// <summary><c>slipstream inspect</c>: configuration, tensors and the memory plan, before anything is loaded.</summary>
internal sealed class InspectCommand
{
    /// <summary>Under this ratio of sizes a draft model costs more than it saves on most machines.</summary>
    private const double GoodRatio = 8;

    private readonly CliConsole _console;
    private readonly ModelOptionGroup _model;
    private readonly DrafterOptionGroup _drafter;
    private readonly CommandOption<bool> _json;

    private InspectCommand(Command command, CliConsole console)
    {
        _console = console;
        _model = new(command);
        _drafter = new(command);
        _json = new(command, "--json", new FlagValue(), "Print one JSON object and nothing else.");
    }

    public static Command Create(CliConsole console)
    {
        Command command = new("inspect", "Show a model's configuration, tensors, formats and memory plan, without loading it.");
        InspectCommand inspect = new(command, console);
        command.SetAction((result, _) => Task.FromResult(inspect.Run(result)));
        return command;
    }

    private int Run(ParseResult result)
    {
        string path = _model.Path(result);
        ModelOptions options = _model.Read(result) with { Drafter = _drafter.Read(result, _model.IsDefault(result)) };
        InspectedModel target = InspectedModel.Read(path);
        InspectedModel? draft = options.Drafter is DrafterOptions.DraftModel model ? InspectedModel.Read(model.Path) : null;
        Inspection inspection = new(target, draft, MemoryPlan.For(target.Config, target.Bytes, draft?.Config, draft?.Bytes ?? 0, options), Warnings(target, draft));
        if (_json.IsGiven(result))
        {
            _console.Out.WriteLine(Json.Object(inspection.Write));
            return ExitCodes.Success;
        }
        inspection.Print(_console.Rendered);
        foreach (string warning in inspection.Warnings) _console.Warn(warning);
        return ExitCodes.Success;
    }

    private static List<string> Warnings(InspectedModel target, InspectedModel? draft)
    {
        List<string> warnings = [];
        if (draft is null) return warnings;
        if (draft.Config.VocabularySize != target.Config.VocabularySize)
            warnings.Add($"the draft model has {draft.Config.VocabularySize} tokens and the target {target.Config.VocabularySize}; they do not share a vocabulary.");
        double ratio = Inspection.Ratio(target, draft);
        if (ratio < GoodRatio)
            warnings.Add(FormattableString.Invariant($"the target is only {ratio:0.0} times the size of the draft model; under {GoodRatio:0} drafting costs more than it saves on most machines."));
        return warnings;
    }
}
