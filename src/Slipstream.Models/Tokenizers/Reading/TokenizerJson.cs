using System.Text.Json;

namespace Slipstream.Models;

/// <summary>Reads Hugging Face's <c>tokenizer.json</c>, as far as it describes byte-level BPE. Truncation and padding are the caller's affair and are not read.</summary>
internal static class TokenizerJson
{
    /// <summary>Reads a tokenizer.</summary>
    /// <param name="stream">The file.</param>
    /// <param name="source">What it is called in messages.</param>
    /// <exception cref="SlipstreamException">It is no such file, or describes a tokenizer that is not supported.</exception>
    public static ByteLevelTokenizer Read(Stream stream, string source)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(stream);
        }
        catch (Exception e) when (e is JsonException or ArgumentException or OutOfMemoryException)
        {
            throw e is JsonException json ? JsonFile.NotJson(source, json) : new SlipstreamException($"'{source}' is no tokenizer.json: {FirstSentence(e.Message)}", e);
        }
        using (document)
            return Read(new TokenizerField(document.RootElement, source, ""));
    }

    private static ByteLevelTokenizer Read(TokenizerField root)
    {
        BpeVocabulary vocabulary = BpeJson.Read(root.Get("model"));
        List<TextNormalizer> normalizers = [];
        if (root.Find("normalizer") is { } normalizer)
            ReadNormalizer(normalizer, normalizers);
        List<PreTokenizer> preTokenizers = [];
        bool byteLevel = false;
        if (root.Find("pre_tokenizer") is { } preTokenizer)
            ReadPreTokenizer(preTokenizer, preTokenizers, ref byteLevel);
        if (!byteLevel)
            throw root.Unsupported("a BPE tokenizer without the pre-tokenizer 'ByteLevel'");
        TokenizerField decoder = root.Find("decoder") ?? throw root.Unsupported("a tokenizer without a decoder");
        if (Kind(decoder) != "ByteLevel")
            throw decoder.Unsupported($"the decoder '{Kind(decoder)}'");
        List<AddedToken> added = ReadAdded(root, vocabulary);
        return new ByteLevelTokenizer(new ByteLevelParts
        {
            Source = root.Source,
            Vocabulary = vocabulary,
            Added = added,
            Normalizers = [.. normalizers],
            PreTokenizers = preTokenizers,
            PostProcessor = root.Find("post_processor") is { } postProcessor ? PostProcessorJson.Read(postProcessor) : null,
        });
    }

    private static void ReadNormalizer(TokenizerField field, List<TextNormalizer> output)
    {
        switch (Kind(field))
        {
            case "Sequence":
                foreach (TokenizerField part in field.Get("normalizers").Items())
                    ReadNormalizer(part, output);
                break;
            case "NFC":
                output.Add(new NfcNormalizer());
                break;
            case "Lowercase":
                output.Add(new LowercaseNormalizer());
                break;
            case var other:
                throw field.Unsupported($"the normalizer '{other}'");
        }
    }

    /// <summary>Reads a pre-tokenizer, flattened.</summary>
    /// <param name="field">Its description.</param>
    /// <param name="output">What it consists of.</param>
    /// <param name="byteLevel">Whether the last one was <c>ByteLevel</c>, after which text is no longer text.</param>
    internal static void ReadPreTokenizer(TokenizerField field, List<PreTokenizer> output, ref bool byteLevel)
    {
        string kind = Kind(field);
        if (byteLevel)
            throw field.Unsupported($"the pre-tokenizer '{kind}' after 'ByteLevel'");
        switch (kind)
        {
            case "Sequence":
                foreach (TokenizerField part in field.Get("pretokenizers").Items())
                    ReadPreTokenizer(part, output, ref byteLevel);
                break;
            case "ByteLevel":
                byteLevel = true;
                output.Add(new ByteLevelPreTokenizer(field.Flag("add_prefix_space", true), field.Flag("use_regex", true)));
                break;
            case "Digits":
                output.Add(new SplitPreTokenizer(SplitPattern.One(CodePointSet.Number),
                    field.Flag("individual_digits", false) ? SplitBehavior.Isolated : SplitBehavior.Contiguous, false));
                break;
            case "Split":
                output.Add(ReadSplit(field));
                break;
            default:
                throw field.Unsupported($"the pre-tokenizer '{kind}'");
        }
    }

    private static SplitPreTokenizer ReadSplit(TokenizerField field)
    {
        TokenizerField pattern = field.Get("pattern");
        SplitPattern? compiled = pattern.Find("Regex") is { } regex
            ? SplitPattern.Compile(regex.Text(), field.Source)
            : pattern.Get("String").Text() is { Length: > 0 } literal ? SplitPattern.Literal(literal) : null;
        TokenizerField behavior = field.Get("behavior");
        if (!Enum.TryParse(behavior.Text(), out SplitBehavior parsed) || !Enum.IsDefined(parsed))
            throw behavior.Unsupported($"the behavior '{TokenizerField.Shortened(behavior.Text())}'");
        return new SplitPreTokenizer(compiled, parsed, field.Flag("invert", false));
    }

    private static List<AddedToken> ReadAdded(TokenizerField root, BpeVocabulary vocabulary)
    {
        List<AddedToken> added = [];
        if (root.Find("added_tokens") is not { } list)
            return added;
        Dictionary<int, string> contents = [];
        foreach (TokenizerField item in list.Items())
        {
            string content = item.Get("content").Text();
            TokenizerField idField = item.Get("id");
            int id = idField.Id();
            string? before = id < vocabulary.Tokens.Length ? vocabulary.Tokens[id] : contents.GetValueOrDefault(id);
            if (before is not null && before != content)
                throw idField.Invalid($"gives '{TokenizerField.Shortened(content)}' the id {id}, which '{TokenizerField.Shortened(before)}' has");
            if (vocabulary.Ids.TryGetValue(content, out int known) && known != id)
                throw idField.Invalid($"gives '{TokenizerField.Shortened(content)}' the id {id}, but the vocabulary gives it {known}");
            contents[id] = content;
            bool special = item.Flag("special", false);
            added.Add(new AddedToken(id, content, item.Flag("single_word", false), item.Flag("lstrip", false), item.Flag("rstrip", false),
                item.Flag("normalized", !special), special));
        }
        if (added.Count > 0)
            BpeJson.CheckGap(added.Max(token => token.Id), vocabulary.Ids.Count + added.Count, list);
        return added;
    }

    internal static string Kind(TokenizerField field) => TokenizerField.Shortened(field.Get("type").Text());

    private static string FirstSentence(string message)
    {
        int end = message.IndexOf(". ", StringComparison.Ordinal);
        return end < 0 ? message : message[..(end + 1)];
    }
}
