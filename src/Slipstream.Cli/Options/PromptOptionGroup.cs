using System.CommandLine;
using Slipstream.Cli.Input;

namespace Slipstream.Cli.Options;

/// <summary>What to continue: exactly one of the sources.</summary>
internal sealed class PromptOptionGroup
{
    private readonly CommandOption<string> _prompt, _promptFile, _chat, _system, _tokens;
    private readonly CommandOption<string> _prompts;

    public PromptOptionGroup(Command command)
    {
        _prompt = new(command, "--prompt", new TextValue(), "A text to continue; '-' is standard input.");
        _promptFile = new(command, "--prompt-file", new PathValue(), "A file whose text to continue.");
        _chat = new(command, "--chat", new TextValue(), "A message to answer, by the model's chat template.");
        _system = new(command, "--system", new TextValue(), "The system message of --chat.");
        _tokens = new(command, "--prompt-tokens", new TextValue("IDS"), "Token ids to continue, 1,2,3; needs no tokenizer.");
        _prompts = new(command, "--prompts", new PathValue("FILE.jsonl"), "Many requests, one JSON object a line; needs --output.");
    }

    private CommandOption<string>[] Sources => [_prompt, _promptFile, _chat, _tokens, _prompts];

    /// <summary>Whether many requests are asked for, and from which file.</summary>
    /// <exception cref="UsageException">No source was given, or two.</exception>
    public bool IsBulk(ParseResult result, out string path)
    {
        CommandOption<string>[] given = [.. Sources.Where(source => source.IsGiven(result))];
        string all = $"{string.Join(", ", Sources[..^1].Select(source => source.Flag))} and {_prompts.Flag}";
        if (given.Length == 0) throw new UsageException($"No prompt was given; give one of {all}.");
        if (given.Length > 1) throw new UsageException($"{given[0].Flag} and {given[1].Flag} cannot be used together; give one of {all}.");
        if (_system.IsGiven(result) && given[0] != _chat) throw new UsageException("--system needs --chat.");
        return _prompts.TryGet(result, out path);
    }

    /// <summary>The prompt.</summary>
    /// <exception cref="SlipstreamException">A value is none, or a file cannot be read.</exception>
    public Prompt Read(ParseResult result, TextInput input)
    {
        if (_tokens.TryGet(result, out string ids)) return Prompt.Tokens(input.Tokens(_tokens.Flag, ids));
        if (_promptFile.TryGet(result, out string path)) return Prompt.Text(input.File(_promptFile.Flag, path));
        if (_prompt.TryGet(result, out string text)) return Prompt.Text(input.Text(_prompt.Flag, text));
        string message = input.Text(_chat.Flag, _chat.Get(result, ""));
        return Prompt.Chat(message, _system.TryGet(result, out string system) ? input.Text(_system.Flag, system) : null);
    }
}
