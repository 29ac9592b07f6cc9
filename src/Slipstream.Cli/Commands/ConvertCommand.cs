using System.CommandLine;
using System.Globalization;
using Slipstream.Cli.Options;
using Slipstream.Cli.Output;
using Slipstream.Models;
using Spectre.Console;

namespace Slipstream.Cli.Commands;

/// <summary><c>slipstream convert</c>: a checkpoint as one GGUF file.</summary>
internal sealed class ConvertCommand
{
    private readonly CliConsole _console;
    private readonly CommandOption<string> _model, _format, _output, _name, _license, _tokenizer;
    private readonly CommandOption<bool> _json;

    private ConvertCommand(Command command, CliConsole console)
    {
        _console = console;
        _model = ModelPath.Add(command, "The model: a Hugging Face folder or a GGUF file.");
        _format = new(command, "--format", new TextValue("NAME"), $"How matrices are stored ({string.Join(", ", GgufConverter.Formats)}; default {new GgufConversionOptions().Format}); vectors stay F32.");
        _output = new(command, "--output", new PathValue("FILE.gguf"), "The file to make or replace.");
        _name = new(command, "--name", new TextValue(), "The model's name in the file (default: the folder's, or as the GGUF file has it).");
        _license = new(command, "--license", new TextValue(), "The licence of the weights, such as apache-2.0, for the file's metadata.");
        _tokenizer = new(command, "--tokenizer", new PathValue("FILE.gguf"), "A GGUF file whose tokenizer the file takes instead of the model's own, such as the target of a draft.");
        _json = new(command, "--json", new FlagValue(), "Print one JSON object and nothing else.");
    }

    public static Command Create(CliConsole console)
    {
        Command command = new("convert", "Write a model as a GGUF file, its tokenizer and chat template with it.");
        ConvertCommand convert = new(command, console);
        command.SetAction(convert.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult result, CancellationToken cancellationToken)
    {
        if (!_output.TryGet(result, out string output)) throw new UsageException("No output was given; give --output with a .gguf file.");
        string format = _format.Get(result, new GgufConversionOptions().Format);
        if (!GgufConverter.Formats.Contains(format.ToUpperInvariant())) throw new UsageException($"--format is '{format}'; it must be {string.Join(", ", GgufConverter.Formats)}.");
        if (!_model.TryGet(result, out string model)) throw new UsageException("No model was named: give --model with a Hugging Face folder or a GGUF file.");
        GgufConversionOptions options = new()
        {
            Format = format,
            Name = _name.TryGet(result, out string name) ? name : null,
            License = _license.TryGet(result, out string license) ? license : null,
            TokenizerFrom = _tokenizer.TryGet(result, out string tokenizer) ? tokenizer : null,
        };
        GgufConversion made = await ShowAsync(progress =>
            Task.Run(() => GgufConverter.Convert(model, output, options, progress, cancellationToken), CancellationToken.None)).ConfigureAwait(false);
        if (_json.IsGiven(result))
            _console.Out.WriteLine(Json.Object(writer =>
            {
                writer.WriteString("output", made.Output);
                writer.WriteString("format", made.Format);
                writer.WriteNumber("tensors", made.Tensors);
                writer.WriteNumber("source_bytes", made.SourceBytes);
                writer.WriteNumber("bytes", made.Bytes);
            }));
        else
            _console.Status.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[green]{made.Output}[/]: {made.Tensors} tensors, matrices in {made.Format}, {made.Bytes / 1048576.0:0.0} MiB [grey](tensors read: {made.SourceBytes / 1048576.0:0.0} MiB)[/]");
        return ExitCodes.Success;
    }

    private Task<T> ShowAsync<T>(Func<IProgress<double>?, Task<T>> work)
    {
        if (!_console.IsErrorTerminal) return work(null);
        return _console.Status.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .StartAsync(context => work(new ProgressBar(context.AddTask("Writing", maxValue: 1))));
    }
}
