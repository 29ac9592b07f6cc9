namespace Slipstream.Models;

/// <summary>Finds and opens the chat templates of models.</summary>
public static class ChatTemplates
{
    private const string TemplateFile = "chat_template.jinja", ConfigFile = "tokenizer_config.json";

    /// <summary>The template of a model folder: <c>chat_template.jinja</c>, else <c>chat_template</c> in <c>tokenizer_config.json</c>.</summary>
    /// <exception cref="SlipstreamException">There is none, or it cannot be read or is not supported.</exception>
    public static ChatTemplate FromFolder(string folder)
    {
        (string? text, string source) = TextOf(folder);
        return From(text, source);
    }

    /// <summary>The text of a folder's template, or null, and the file it comes from.</summary>
    /// <exception cref="SlipstreamException">It cannot be read.</exception>
    internal static (string? Text, string Source) TextOf(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        string path = Path.Combine(folder, TemplateFile);
        try
        {
            if (File.Exists(path))
                return (File.ReadAllText(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"'{path}' cannot be read: {e.Message}", e);
        }
        return SpecialTokenFiles.Open(folder, ConfigFile)?.Find("chat_template") is { } field
            ? (Default(field), field.Source)
            : (null, folder);
    }

    /// <summary>The template that belongs to a checkpoint: of its folder, or of its GGUF metadata.</summary>
    /// <exception cref="SlipstreamException">There is none, or it cannot be read or is not supported.</exception>
    public static ChatTemplate FromCheckpoint(Checkpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        return checkpoint.Folder is { } folder ? FromFolder(folder) : FromGguf(checkpoint.Config);
    }

    /// <summary>The template of a GGUF file, <c>tokenizer.chat_template</c>.</summary>
    /// <param name="metadata">The file's metadata by its own keys.</param>
    /// <exception cref="SlipstreamException">There is none, or it is not supported.</exception>
    public static ChatTemplate FromGguf(ConfigReader metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        return From(metadata.Text("tokenizer.chat_template"), metadata.Source);
    }

    /// <summary>The template of that text. ChatML and SmolLM2's are supported so far.</summary>
    /// <param name="templateText">Jinja, or null where the model has no template.</param>
    /// <param name="source">The file, for messages.</param>
    /// <exception cref="SlipstreamException">There is no template, or it is not supported.</exception>
    public static ChatTemplate From(string? templateText, string source)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (templateText is null)
            throw new SlipstreamException($"'{source}' has no chat template; use --prompt with the whole text as the model expects it.");
        // Jinja drops one line break at the end of a template.
        string text = templateText.EndsWith('\n') ? templateText[..^1] : templateText;
        if (text == SmolLm2Template.Text)
            return new SmolLm2Template();
        return ChatMlTemplate.Is(text)
            ? new ChatMlTemplate()
            : throw new SlipstreamException(
                $"'{source}': the chat template that begins with '{Beginning(text)}' is not supported (only ChatML and SmolLM2's are); use --prompt with the whole text as the model expects it.");
    }

    private static string Beginning(string text)
    {
        int end = text.AsSpan().IndexOfAny('\r', '\n');
        return TokenizerField.Shortened(end < 0 ? text : text[..end]);
    }

    // A text, or a list of named ones.
    private static string Default(TokenizerField field)
    {
        if (field.Value.ValueKind != System.Text.Json.JsonValueKind.Array)
            return field.Text();
        foreach (TokenizerField item in field.Items())
            if (item.Get("name").Text() == "default")
                return item.Get("template").Text();
        throw field.Invalid("has no template named 'default'");
    }
}
