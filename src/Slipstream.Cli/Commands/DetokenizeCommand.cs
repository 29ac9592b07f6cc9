using System.CommandLine;
using Slipstream.Cli.Input;
using Slipstream.Cli.Options;
using Slipstream.Cli.Output;

namespace Slipstream.Cli.Commands;

/// <summary><c>slipstream detokenize</c>: token ids to text.</summary>
internal sealed class DetokenizeCommand
{
    private readonly CliConsole _console;
    private readonly CommandOption<string> _model, _tokens;
    private readonly CommandOption<bool> _skip, _json;

    private DetokenizeCommand(Command command, CliConsole console)
    {
        _console = console;
        _model = ModelPath.Add(command, "The model: a folder with a tokenizer.json, that file, or a GGUF file (default: the tool's own small model).");
        _tokens = new(command, "--tokens", new TextValue("IDS"), "Token ids, 1,2,3; '-' is standard input.");
        _skip = new(command, "--skip-special-tokens", new FlagValue(), "Leave special tokens out.");
        _json = new(command, "--json", new FlagValue(), "Print one JSON object and nothing else.");
    }

    public static Command Create(CliConsole console)
    {
        Command command = new("detokenize", "Turn token ids into text.");
        DetokenizeCommand detokenize = new(command, console);
        command.SetAction((result, _) => Task.FromResult(detokenize.Run(result)));
        return command;
    }

    private int Run(ParseResult result)
    {
        if (!_tokens.TryGet(result, out string list)) throw new UsageException("No tokens were given; give --tokens, such as --tokens 1,2,3.");
        string path = ModelPath.Get(_model, result);
        int[] ids = [.. new TextInput(_console).Tokens(_tokens.Flag, list)];
        string text = TokenizerSource.Open(path).Decode(ids, _skip.IsGiven(result));
        if (_json.IsGiven(result)) _console.Out.WriteLine(Json.Object(writer => writer.WriteString("text", text)));
        else if (text.EndsWith('\n')) _console.Out.Write(text);
        else _console.Out.WriteLine(text);
        return ExitCodes.Success;
    }
}
