namespace Slipstream.Models;

/// <summary>Reads the tokenizer of a GGUF file from its metadata (<c>tokenizer.ggml.*</c>), as far as it is byte-level BPE.</summary>
internal static class GgufTokenizer
{
    private const string Model = "tokenizer.ggml.model", Tokens = "tokenizer.ggml.tokens", Types = "tokenizer.ggml.token_type", MergeList = "tokenizer.ggml.merges";

    private enum TokenType
    {
        Unknown = 2,
        Control = 3,
        UserDefined = 4,
    }

    /// <summary>Whether the file has a tokenizer, of whatever kind.</summary>
    public static bool Exists(ConfigReader metadata) => metadata.Has(Model) && metadata.Has(Tokens);

    /// <summary>Reads the tokenizer.</summary>
    /// <exception cref="SlipstreamException">There is none, or it is broken or of a kind that is not supported.</exception>
    public static ByteLevelTokenizer Read(ConfigReader metadata)
    {
        string source = metadata.Source;
        string model = metadata.Text(Model) ?? throw new SlipstreamException($"'{source}' has no tokenizer ({Model}); give token ids instead of text.");
        if (model != "gpt2")
            throw new SlipstreamException(
                $"'{source}': the tokenizer '{Kind(model)}' is not supported (only byte-level BPE, 'gpt2', is); give token ids instead of text.");
        IReadOnlyList<string> tokens = metadata.Texts(Tokens) ?? throw metadata.Invalid(Tokens, "is missing");
        Dictionary<string, int> ids = ReadIds(metadata, tokens, out string?[] spellings);
        (PreTokenizer[] preTokenizers, bool isLlama3) = GgufPreTokenizers.Find(PreTokenizerName(metadata), source);
        int? begin = SpecialId(metadata, "tokenizer.ggml.bos_token_id", tokens.Count), end = SpecialId(metadata, "tokenizer.ggml.eos_token_id", tokens.Count);
        return new ByteLevelTokenizer(new ByteLevelParts
        {
            Source = source,
            Vocabulary = new BpeVocabulary(spellings, ids, ReadMerges(metadata, ids), IgnoreMerges: isLlama3),
            Added = ReadAdded(metadata, spellings),
            PreTokenizers = preTokenizers,
            PostProcessor = Template(
                metadata.Flag("tokenizer.ggml.add_bos_token", isLlama3) ? begin : null,
                metadata.Flag("tokenizer.ggml.add_eos_token", false) ? end : null, spellings),
            BeginToken = begin,
            EndToken = end,
        });
    }

    // Files from before the field was made have none. GPT-2's own are safe to read; with others, guessing would cut their text wrongly and say nothing.
    private static string PreTokenizerName(ConfigReader metadata) =>
        metadata.Text("tokenizer.ggml.pre")
        ?? (metadata.Text("general.architecture") == "gpt2"
            ? "gpt-2"
            : throw metadata.Invalid("tokenizer.ggml.pre", "is missing, so that it is unknown how the model cuts text into words; convert the model again with a newer converter, or give token ids instead of text"));

    private static string Kind(string model) => model switch
    {
        "llama" => "llama (SentencePiece)",
        "bert" => "bert (WordPiece)",
        "t5" => "t5 (Unigram)",
        _ => TokenizerField.Shortened(model),
    };

    private static Dictionary<string, int> ReadIds(ConfigReader metadata, IReadOnlyList<string> tokens, out string?[] spellings)
    {
        if (tokens.Count == 0)
            throw metadata.Invalid(Tokens, "is empty");
        Dictionary<string, int> ids = new(tokens.Count);
        spellings = new string?[tokens.Count];
        for (int id = 0; id < tokens.Count; id++)
        {
            // Read once: the file decodes the text at each access.
            string token = tokens[id];
            // Converters leave rows that only pad the vocabulary without a text.
            if (token.Length == 0)
                continue;
            if (!ids.TryAdd(token, id))
                throw metadata.Invalid(Tokens, $"has the token '{TokenizerField.Shortened(token)}' twice, as {ids[token]} and {id}");
            spellings[id] = token;
        }
        return ids;
    }

    private static List<(int, int, int)> ReadMerges(ConfigReader metadata, Dictionary<string, int> ids)
    {
        IReadOnlyList<string> merges = metadata.Texts(MergeList) ?? throw metadata.Invalid(MergeList, "is missing");
        List<(int, int, int)> output = new(merges.Count);
        for (int i = 0; i < merges.Count; i++)
        {
            string merge = merges[i];
            int space = merge.Length > 2 ? merge.IndexOf(' ', 1) : -1;
            if (space < 0 || space == merge.Length - 1)
                throw metadata.Invalid(MergeList, $"has '{TokenizerField.Shortened(merge)}' as merge {i}, which is not two tokens");
            output.Add(BpeJson.Merge(merge.AsSpan(0, space), merge.AsSpan(space + 1), ids, metadata.Source, i));
        }
        return output;
    }

    private static List<AddedToken> ReadAdded(ConfigReader metadata, string?[] spellings)
    {
        List<AddedToken> added = [];
        if (!metadata.Has(Types))
            return added;
        IReadOnlyList<int> types = metadata.Int32s(Types);
        if (types.Count != spellings.Length)
            throw metadata.Invalid(Types, $"has {types.Count} entries, but there are {spellings.Length} tokens");
        for (int id = 0; id < types.Count; id++)
            if (spellings[id] is { } token && (TokenType)types[id] is var type and (TokenType.Unknown or TokenType.Control or TokenType.UserDefined))
                added.Add(new AddedToken(id, token, false, false, false, false, type != TokenType.UserDefined));
        return added;
    }

    private static int? SpecialId(ConfigReader metadata, string field, int count)
    {
        if (!metadata.Has(field))
            return null;
        int id = metadata.Int32(field, min: 0);
        return id < count ? id : throw metadata.Invalid(field, $"is {id}, but there are only {count} tokens");
    }

    private static TemplatePostProcessor? Template(int? begin, int? end, string?[] spellings)
    {
        if (begin is null && end is null)
            return null;
        List<TemplatePart> single = [.. Special(begin), new TemplatePart(0, 0, []), .. Special(end)];
        return new TemplatePostProcessor(single, [.. single, .. Special(begin), new TemplatePart(1, 1, []), .. Special(end)]);

        TemplatePart[] Special(int? id) => id is { } known ? [new TemplatePart(-1, 0, [(known, spellings[known] ?? "")])] : [];
    }
}
