using System.CommandLine;

namespace Slipstream.Cli.Options;

/// <summary>Where drafts come from.</summary>
internal sealed class DrafterOptionGroup
{
    private enum Kind
    {
        None,
        PromptLookup,
    }

    private readonly CommandOption<Kind> _drafter;
    private readonly CommandOption<string> _draft;
    private readonly CommandOption<int> _ngram;

    public DrafterOptionGroup(Command command)
    {
        _drafter = new(command, "--drafter", new ChoiceValue<Kind>(("none", Kind.None), ("prompt-lookup", Kind.PromptLookup)), "Draft tokens from what was said before (default none; with the default model, its own draft).");
        _draft = new(command, "--draft", new PathValue("PATH"), "Draft tokens with this smaller model of the same vocabulary.");
        _ngram = new(command, "--max-matching-ngram-size", new WholeValue(1, 64), "The longest n-gram that prompt lookup looks for (default 2).");
    }

    /// <summary>The drafter asked for, or null.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="isDefaultModel">Whether the default model runs, which has a draft of its own.</param>
    /// <exception cref="UsageException">Two were asked for.</exception>
    public DrafterOptions? Read(ParseResult result, bool isDefaultModel)
    {
        if (isDefaultModel && !_drafter.IsGiven(result) && !_draft.IsGiven(result) && !_ngram.IsGiven(result)) return DefaultModel.Draft;
        Kind kind = _drafter.Get(result, Kind.None);
        bool hasNgram = _ngram.TryGet(result, out int ngram);
        if (_draft.TryGet(result, out string path))
        {
            // '--drafter none --draft D' contradicts itself as much as two drafters do.
            if (_drafter.IsGiven(result)) throw new UsageException("--drafter and --draft cannot be used together; give one of them.");
            if (hasNgram) throw new UsageException($"{_ngram.Flag} needs --drafter prompt-lookup.");
            return new DrafterOptions.DraftModel(path);
        }
        if (kind == Kind.PromptLookup) return hasNgram ? new DrafterOptions.PromptLookup(ngram) : new DrafterOptions.PromptLookup();
        return hasNgram ? throw new UsageException($"{_ngram.Flag} needs --drafter prompt-lookup.") : null;
    }
}
