using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using Slipstream.Cli.Input;
using Slipstream.Cli.Options;
using Slipstream.Cli.Output;
using Slipstream.Scheduling;

namespace Slipstream.Cli.Commands;

/// <summary><c>slipstream generate</c>: one generation, or many from a file.</summary>
internal sealed class GenerateCommand
{
    private readonly CliConsole _console;
    private readonly ModelOptionGroup _model;
    private readonly PromptOptionGroup _prompt;
    private readonly DrafterOptionGroup _drafter;
    private readonly RequestOptionGroup _request;
    private readonly CommandOption<string> _output, _trace;
    private readonly CommandOption<bool> _compare, _json;

    private GenerateCommand(Command command, CliConsole console)
    {
        _console = console;
        _model = new(command);
        _prompt = new(command);
        _output = new(command, "--output", new PathValue("FILE.jsonl"), "Where the results of --prompts go, one JSON object a line; a run that was cut off goes on from there.");
        _request = new(command);
        _drafter = new(command);
        _compare = new(command, "--compare", new FlagValue(), "Then repeat the request without drafts and with them, in turn, and say how much faster drafting made it.");
        _trace = new(command, "--trace", new PathValue(), "Write one JSON object a step to this file.");
        _json = new(command, "--json", new FlagValue(), "Print one JSON object and nothing else.");
    }

    public static Command Create(CliConsole console)
    {
        Command command = new("generate", "Continue a text, answer a message, or work through a file of requests.");
        GenerateCommand generate = new(command, console);
        command.SetAction(generate.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult result, CancellationToken cancellationToken)
    {
        bool isBulk = _prompt.IsBulk(result, out string prompts);
        bool hasOutput = _output.TryGet(result, out string output);
        if (isBulk != hasOutput) throw new UsageException(isBulk ? "--prompts needs --output, a file for the results." : "--output needs --prompts.");
        if (output == "-") throw new UsageException("--output is '-', which stands for standard input; name a file.");
        bool compare = _compare.IsGiven(result);
        if (compare && isBulk) throw new UsageException("--compare cannot be used with --prompts; it measures one request.");
        string path = _model.Path(result);
        RequestSettings settings = _request.Read(result);
        ModelOptions options = _model.Read(result) with { Drafter = _drafter.Read(result, _model.IsDefault(result)) };
        if (compare && options.Drafter is null) throw new UsageException("--compare needs a drafter; give --draft or --drafter prompt-lookup.");
        TextInput input = new(_console);
        BulkJob? job = isBulk ? BulkJob.Read(prompts, input.File("--prompts", prompts), settings) : null;
        Prompt? prompt = isBulk ? null : _prompt.Read(result, input);
        options = options with { MaxAssistantTokens = Math.Max(options.MaxAssistantTokens, job?.DraftLength ?? settings.DraftLength) };
        using TraceFile? trace = _trace.TryGet(result, out string traceName) ? new TraceFile(traceName) : null;
        if (trace is not null) options = options with { Observers = [trace] };
        int code;
        (LanguageModel model, TimeSpan load) = await ModelLoader.LoadAsync(_console, path, options, cancellationToken).ConfigureAwait(false);
        using (model)
        {
            code = job is not null
                ? await new BulkGeneration(_console, model, load, job, path, options, output).RunAsync(_json.IsGiven(result), cancellationToken).ConfigureAwait(false)
                : await RunOneAsync(model, load, prompt!, settings.Over(model.Defaults.Sampling), compare, _json.IsGiven(result), cancellationToken).ConfigureAwait(false);
        }
        trace?.Complete();
        return code;
    }

    private async Task<int> RunOneAsync(LanguageModel model, TimeSpan load, Prompt prompt, GenerationOptions options, bool compare, bool json, CancellationToken cancellationToken)
    {
        // Runs that are to be compared must draw the same numbers.
        if (compare && options.Seed is null) options = options with { Seed = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)) };
        GenerationPrinter printer = new(_console, json);
        GenerationResult result = await printer.RunAsync(model, prompt, options, cancellationToken).ConfigureAwait(false);
        RunFacts facts = new(load, printer.FirstToken, model.DrafterName, model.DraftParameters);
        bool isCancelled = result.FinishReason == FinishReason.Cancelled;
        if (!json) Summary.Write(_console, result, facts);
        PlainComparison? comparison = null;
        if (compare && !isCancelled)
        {
            _console.Note("Repeating the request without drafts and with them…");
            comparison = await PlainComparison.MeasureAsync(model, prompt, options, result, cancellationToken).ConfigureAwait(false);
        }
        if (json) _console.Out.WriteLine(Json.Object(writer =>
        {
            ResultJson.Write(writer, result, facts);
            if (comparison is not null) ResultJson.WriteComparison(writer, comparison);
        }));
        else if (comparison is not null) Summary.Write(_console, comparison);
        return isCancelled ? ExitCodes.Interrupted : ExitCodes.Success;
    }
}

/// <summary>Prints a generation as it comes: its text, or its tokens where there is no tokenizer.</summary>
internal sealed class GenerationPrinter(CliConsole console, bool silent)
{
    /// <summary>From the start of the process to the first token.</summary>
    public TimeSpan? FirstToken { get; private set; }

    /// <summary>Generates, prints, and ends the line.</summary>
    /// <exception cref="SlipstreamException">The prompt or the options cannot be used.</exception>
    public async Task<GenerationResult> RunAsync(LanguageModel model, Prompt prompt, GenerationOptions options, CancellationToken cancellationToken)
    {
        GenerationResult? result = null;
        string last = "";
        bool hasText = model.HasTokenizer;
        await foreach (GenerationUpdate update in model.StreamAsync(prompt, options, cancellationToken).ConfigureAwait(false))
        {
            if (update.Token is not null) FirstToken ??= console.SinceStart;
            result = update.Result ?? result;
            if (silent) continue;
            string piece = hasText ? update.Text : Id(update.Token, last);
            if (piece.Length == 0) continue;
            console.Out.Write(piece);
            last = piece;
        }
        if (!silent && !last.EndsWith('\n')) console.Out.WriteLine();
        return result ?? throw new SlipstreamException("The generation ended without a result.");
    }

    private static string Id(int? token, string before)
        => token is { } id ? (before.Length == 0 ? "" : ",") + id.ToString(CultureInfo.InvariantCulture) : "";
}
