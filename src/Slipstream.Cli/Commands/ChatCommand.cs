using System.CommandLine;
using System.Text;
using Slipstream.Cli.Options;
using Slipstream.Cli.Output;
using Slipstream.Models;
using Slipstream.Scheduling;
using Spectre.Console;

namespace Slipstream.Cli.Commands;

/// <summary><c>slipstream chat</c>: a conversation, line by line.</summary>
internal sealed class ChatCommand
{
    private readonly CliConsole _console;
    private readonly ModelOptionGroup _model;
    private readonly DrafterOptionGroup _drafter;
    private readonly RequestOptionGroup _request;
    private readonly CommandOption<string> _system, _trace;
    private readonly CommandOption<bool> _json;

    private ChatCommand(Command command, CliConsole console)
    {
        _console = console;
        _model = new(command);
        _system = new(command, "--system", new TextValue(), "The system message.");
        _request = new(command);
        _drafter = new(command);
        _trace = new(command, "--trace", new PathValue(), "Write one JSON object a step to this file.");
        _json = new(command, "--json", new FlagValue(), "Not for chat.");
        _json.Option.Hidden = true;
    }

    public static Command Create(CliConsole console)
    {
        Command command = new("chat", "Talk with a model; /help lists what may be said beside messages.");
        ChatCommand chat = new(command, console);
        command.SetAction(chat.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult result, CancellationToken cancellationToken)
    {
        if (_json.IsGiven(result)) throw new UsageException("--json cannot be used with chat; use 'slipstream generate --chat TEXT --json' for one answer as JSON.");
        string path = _model.Path(result);
        RequestSettings settings = _request.Read(result);
        ModelOptions options = _model.Read(result) with { Drafter = _drafter.Read(result, _model.IsDefault(result)) };
        options = options with { MaxAssistantTokens = Math.Max(options.MaxAssistantTokens, settings.DraftLength) };
        // Standard input is the conversation, so '-' is just a text here.
        string? system = _system.TryGet(result, out string text) ? text : null;
        using TraceFile? trace = _trace.TryGet(result, out string name) ? new TraceFile(name) : null;
        if (trace is not null) options = options with { Observers = [trace] };
        (LanguageModel model, TimeSpan load) = await ModelLoader.LoadAsync(_console, path, options, cancellationToken).ConfigureAwait(false);
        using (model)
        {
            ChatSession session = new(_console, model, load, settings.Over(model.Defaults.Sampling), system);
            await session.RunAsync(cancellationToken).ConfigureAwait(false);
        }
        trace?.Complete();
        return ExitCodes.Success;
    }
}

/// <summary>One conversation.</summary>
internal sealed class ChatSession(CliConsole console, LanguageModel model, TimeSpan load, GenerationOptions options, string? system)
{
    private const string Help =
        """
        /help            this list
        /clear           forget the conversation, keep the system message
        /system TEXT     set the system message and forget the conversation
        /undo            take back the last message and its answer
        /stats           speed of the last answer
        /exit            leave (so do the end of the input and Ctrl+C at the prompt)
        Ctrl+C during an answer stops the answer. A line that ends in \ goes on in the next one.
        A message that begins with / is written //.
        """;

    private readonly List<ChatMessage> _messages = [];
    private string? _system = system;
    private (GenerationResult Result, RunFacts Facts)? _last;

    /// <summary>Reads messages and answers them until the input ends.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        Forget();
        console.Note("/help lists the commands; the end of the input leaves.");
        using StreamReader input = new(console.Input, new UTF8Encoding(false), detectEncodingFromByteOrderMarks: true, leaveOpen: true);
        while (true)
        {
            if (console.IsErrorTerminal && console.IsInputTerminal) console.Status.Markup("[bold green]>[/] ");
            // A person thinks as long as they like; Ctrl+C must not wait for the line.
            string? line = await Task.Run(() => ReadMessage(input), CancellationToken.None).WaitAsync(cancellationToken).ConfigureAwait(false);
            if (line is null) break;
            if (string.IsNullOrWhiteSpace(line)) continue;
            if (line.StartsWith('/') && !line.StartsWith("//", StringComparison.Ordinal))
            {
                if (!Command(line)) break;
                continue;
            }
            await AnswerAsync(line.StartsWith('/') ? line[1..] : line, cancellationToken).ConfigureAwait(false);
        }
    }

    private static string? ReadMessage(StreamReader input)
    {
        string? line = input.ReadLine();
        while (line is not null && line.EndsWith('\\') && input.ReadLine() is { } next) line = line[..^1] + "\n" + next;
        return line;
    }

    /// <summary>Does what a line with a slash asks for; false to leave.</summary>
    private bool Command(string line)
    {
        string[] parts = line.Split(' ', 2, StringSplitOptions.TrimEntries);
        switch (parts[0])
        {
            case "/exit" or "/quit":
                return false;
            case "/help":
                console.Error.WriteLine(Help);
                break;
            case "/clear":
                Forget();
                console.Note("The conversation is forgotten.");
                break;
            case "/system":
                _system = parts is [_, { Length: > 0 } text] ? text : null;
                Forget();
                console.Note(_system is null ? "The system message is the model's own; the conversation is forgotten." : "The system message is set; the conversation is forgotten.");
                break;
            case "/undo":
                int at = _messages.FindLastIndex(message => message.Role == "user");
                if (at >= 0) _messages.RemoveRange(at, _messages.Count - at);
                console.Note(at >= 0 ? "The last message is taken back." : "There is no message to take back.");
                break;
            case "/stats":
                if (_last is { } last) Summary.Write(console, last.Result, last.Facts);
                else console.Warn("there is no answer yet.");
                break;
            default:
                console.Warn($"'{parts[0]}' is no command; /help lists them.");
                break;
        }
        return true;
    }

    private async Task AnswerAsync(string message, CancellationToken cancellationToken)
    {
        _messages.Add(new ChatMessage("user", message));
        using CancellationTokenSource answer = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        console.OnInterrupt = () =>
        {
            // The second Ctrl+C means the program.
            if (answer.IsCancellationRequested) return false;
            answer.Cancel();
            return true;
        };
        try
        {
            GenerationPrinter printer = new(console, silent: false);
            GenerationResult result = await printer.RunAsync(model, Prompt.Chat([.. _messages]), options with { Session = "chat" }, answer.Token).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            _messages.Add(new ChatMessage("assistant", result.Text ?? ""));
            _last = (result, new RunFacts(load, printer.FirstToken, model.DrafterName, model.DraftParameters));
            if (result.FinishReason == FinishReason.Cancelled) console.Note("Stopped.");
            else if (result.FinishReason == FinishReason.Length) console.Note("The answer was cut at its limit; --max-tokens raises it.");
        }
        catch (SlipstreamException e)
        {
            // The message was not answered, so it is not part of the conversation; the conversation can go on.
            _messages.RemoveAt(_messages.Count - 1);
            console.Fail(e.Message);
        }
        finally
        {
            console.OnInterrupt = null;
        }
    }

    private void Forget()
    {
        _messages.Clear();
        if (_system is not null) _messages.Add(new ChatMessage("system", _system));
    }
}
