using System.CommandLine;
using System.Globalization;
using Slipstream.Analysis;
using Slipstream.Cli.Input;
using Slipstream.Cli.Options;
using Slipstream.Cli.Output;
using Spectre.Console;

namespace Slipstream.Cli.Commands;

/// <summary><c>slipstream eval perplexity</c>: how well a model foresees a text.</summary>
internal sealed class EvalPerplexityCommand
{
    private readonly CliConsole _console;
    private readonly ModelOptionGroup _model;
    private readonly CommandOption<string> _text;
    private readonly CommandOption<int> _maxTokens, _window, _stride;
    private readonly CommandOption<bool> _json;

    private EvalPerplexityCommand(Command command, CliConsole console)
    {
        _console = console;
        _model = new(command);
        _text = new(command, "--text", new PathValue(), "The file, UTF-8; '-' is standard input.");
        _maxTokens = new(command, "--max-tokens", new WholeValue(2, int.MaxValue), "Take the first N tokens of the text.");
        _window = new(command, "--window", new WholeValue(2, int.MaxValue), "Tokens in a window (default: the context length).");
        _stride = new(command, "--stride", new WholeValue(1, int.MaxValue), "Tokens a window moves by (default: half the window).");
        _json = new(command, "--json", new FlagValue(), "Print one JSON object and nothing else.");
    }

    public static Command Create(CliConsole console)
    {
        Command command = new("perplexity", "The perplexity of a text: each token but the first is scored once, with the longest context a window gives it.");
        EvalPerplexityCommand perplexity = new(command, console);
        command.SetAction(perplexity.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult result, CancellationToken cancellationToken)
    {
        if (!_text.TryGet(result, out string file)) throw new UsageException("No text was given; give --text with a file.");
        string path = _model.Path(result);
        ModelOptions options = _model.Read(result);
        int? maxTokens = Optional(_maxTokens, result), window = Optional(_window, result), stride = Optional(_stride, result);
        string text = new TextInput(_console).File(_text.Flag, file);
        using ModelEvaluator evaluator = await ModelLoader.LoadEvaluatorAsync(_console, path, options, cancellationToken).ConfigureAwait(false);
        // No begin token: a text in the middle of nowhere is what a window sees too.
        IReadOnlyList<int> ids = evaluator.Tokenizer.Encode(text, addSpecialTokens: false).Ids;
        int[] tokens = [.. ids.Take(maxTokens ?? int.MaxValue)];
        PerplexityResult perplexity = await ShowAsync(progress =>
            Task.Run(() => evaluator.Perplexity(tokens, window, stride, progress, cancellationToken), CancellationToken.None)).ConfigureAwait(false);
        if (_json.IsGiven(result))
        {
            _console.Out.WriteLine(Json.Object(writer =>
            {
                // A hopeless model's perplexity overflows, and JSON has no infinity.
                if (double.IsFinite(perplexity.Perplexity)) writer.WriteNumber("perplexity", perplexity.Perplexity);
                else writer.WriteNull("perplexity");
                writer.WriteNumber("nll", perplexity.Nll);
                writer.WriteNumber("tokens", perplexity.Tokens);
                writer.WriteNumber("scored", perplexity.Scored);
                writer.WriteNumber("window", window ?? evaluator.Config.ContextLength);
                writer.WriteNumber("stride", stride ?? Math.Max(1, (window ?? evaluator.Config.ContextLength) / 2));
            }));
        }
        else
        {
            _console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"perplexity {perplexity.Perplexity:0.0000}  nll {perplexity.Nll:0.000000}  tokens {perplexity.Tokens}  scored {perplexity.Scored}"));
        }
        return ExitCodes.Success;
    }

    private static int? Optional(CommandOption<int> option, ParseResult result) => option.TryGet(result, out int value) ? value : null;

    private Task<T> ShowAsync<T>(Func<IProgress<double>?, Task<T>> work)
    {
        if (!_console.IsErrorTerminal) return work(null);
        return _console.Status.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .StartAsync(context => work(new ProgressBar(context.AddTask("Tokens", maxValue: 1))));
    }
}
