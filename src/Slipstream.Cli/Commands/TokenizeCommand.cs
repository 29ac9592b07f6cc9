using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Slipstream.Cli.Input;
using Slipstream.Cli.Options;
using Slipstream.Cli.Output;
using Slipstream.Models;
using Spectre.Console;

namespace Slipstream.Cli.Commands;

/// <summary><c>slipstream tokenize</c>: text to token ids, one text or a file of them.</summary>
internal sealed class TokenizeCommand
{
    private static readonly string[] Colours = ["black on skyblue1", "black on lightgreen", "black on khaki1", "black on lightpink1", "black on plum1"];
    private readonly CliConsole _console;
    private readonly CommandOption<string> _model, _text, _pair, _jsonl;
    private readonly CommandOption<bool> _noSpecial, _json;

    private TokenizeCommand(Command command, CliConsole console)
    {
        _console = console;
        _model = ModelPath.Add(command, "The model: a folder with a tokenizer.json, that file, or a GGUF file (default: the tool's own small model).");
        _text = new(command, "--text", new TextValue(), "The text; '-' is standard input.");
        _pair = new(command, "--pair", new TextValue(), "A second text, for tokenizers whose template takes one.");
        _noSpecial = new(command, "--no-special-tokens", new FlagValue(), "Do not add the tokenizer's own begin and end tokens.");
        _jsonl = new(command, "--jsonl", new PathValue("FILE.jsonl"), "Many texts, one {\"text\", \"pair\", \"add_special_tokens\"} a line; one answer a line.");
        _json = new(command, "--json", new FlagValue(), "Print one JSON object and nothing else.");
    }

    public static Command Create(CliConsole console)
    {
        Command command = new("tokenize", "Turn text into token ids.");
        TokenizeCommand tokenize = new(command, console);
        command.SetAction((result, cancellationToken) => Task.Run(() => tokenize.Run(result, cancellationToken), CancellationToken.None));
        return command;
    }

    private int Run(ParseResult result, CancellationToken cancellationToken)
    {
        bool hasText = _text.TryGet(result, out string text), hasJsonl = _jsonl.TryGet(result, out string jsonl);
        if (hasText == hasJsonl) throw new UsageException(hasText ? "--text and --jsonl cannot be used together; give one of them." : "No text was given; give --text or --jsonl.");
        if (hasJsonl && (_pair.IsGiven(result) || _noSpecial.IsGiven(result)))
            throw new UsageException($"{(_pair.IsGiven(result) ? _pair.Flag : _noSpecial.Flag)} cannot be used with --jsonl; write it into the lines.");
        string path = ModelPath.Get(_model, result);
        TextInput input = new(_console);
        string content = hasText ? input.Text(_text.Flag, text) : input.File(_jsonl.Flag, jsonl);
        string? pair = _pair.TryGet(result, out string second) ? input.Text(_pair.Flag, second) : null;
        Tokenizer tokenizer = TokenizerSource.Open(path);
        if (hasJsonl)
        {
            foreach (string line in JsonLine.Split(content))
            {
                cancellationToken.ThrowIfCancellationRequested();
                _console.Out.WriteLine(Answer(tokenizer, line));
            }
            return ExitCodes.Success;
        }
        TokenizedText encoded = tokenizer.Encode(content, pair, !_noSpecial.IsGiven(result));
        if (_json.IsGiven(result)) _console.Out.WriteLine(Json.Object(writer => Write(writer, encoded)));
        else Print(encoded);
        return ExitCodes.Success;
    }

    /// <summary>The answer to a line: the encoded text, or the reason why there is none.</summary>
    private static string Answer(Tokenizer tokenizer, string line)
    {
        try
        {
            using JsonDocument document = JsonLine.Parse(line);
            string? text = null, pair = null;
            bool special = true;
            foreach (JsonProperty property in document.RootElement.EnumerateObject())
            {
                if (property.Name == "text") text = Text(property);
                else if (property.Name == "pair") pair = property.Value.ValueKind == JsonValueKind.Null ? null : Text(property);
                else if (property.Name == "add_special_tokens") special = new FlagValue().Read(property.Name, property.Value);
                else throw new UsageException($"the field '{property.Name}' is not known; known are text, pair and add_special_tokens.");
            }
            TokenizedText encoded = tokenizer.Encode(text ?? throw new UsageException("the line has no text."), pair, special);
            return Json.Object(writer => Write(writer, encoded));
        }
        catch (SlipstreamException e)
        {
            return Json.Object(writer => writer.WriteString("error", e.Message));
        }
    }

    private static string Text(JsonProperty property) => property.Value.ValueKind == JsonValueKind.String ? JsonText.Get(property.Value) : throw new UsageException($"{property.Name} must be a text.");

    private static void Write(Utf8JsonWriter writer, TokenizedText encoded)
    {
        writer.Numbers("ids", encoded.Ids);
        writer.WriteStartArray("tokens");
        foreach (string token in encoded.Tokens) writer.WriteStringValue(token);
        writer.WriteEndArray();
        writer.WriteStartArray("offsets");
        foreach ((int start, int end) in encoded.Offsets)
        {
            writer.WriteStartArray();
            writer.WriteNumberValue(start);
            writer.WriteNumberValue(end);
            writer.WriteEndArray();
        }
        writer.WriteEndArray();
        writer.Numbers("type_ids", encoded.TypeIds);
    }

    /// <summary>The ids, as other commands take them; for a person the tokens too, told apart by colour.</summary>
    private void Print(TokenizedText encoded)
    {
        if (_console.IsOutputTerminal)
        {
            for (int i = 0; i < encoded.Tokens.Count; i++) _console.Rendered.Markup($"[{Colours[i % Colours.Length]}]{Markup.Escape(encoded.Tokens[i])}[/]");
            _console.Rendered.WriteLine();
        }
        _console.Out.WriteLine(string.Join(',', encoded.Ids.Select(id => id.ToString(CultureInfo.InvariantCulture))));
    }
}
