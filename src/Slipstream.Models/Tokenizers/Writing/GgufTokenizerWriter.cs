namespace Slipstream.Models;

/// <summary>Writes a folder's byte-level BPE tokenizer and chat template as GGUF metadata (<c>tokenizer.*</c>).</summary>
internal static class GgufTokenizerWriter
{
    private const string Digits = "digits", Bytes = "bytes", Gpt2Bytes = "bytes by GPT-2's pattern";

    private enum TokenType
    {
        Normal = 1,
        Control = 3,
        UserDefined = 4,
        Unused = 5,
    }

    /// <summary>Adds the tokenizer and, where there is one, the chat template.</summary>
    /// <exception cref="SlipstreamException">GGUF cannot state something that the tokenizer does.</exception>
    public static void Add(GgufWriter writer, Checkpoint checkpoint, ModelConfig config)
    {
        string folder = checkpoint.Folder!;
        ByteLevelTokenizer tokenizer = (ByteLevelTokenizer)TokenizerLoader.FromFolder(folder);
        ByteLevelParts parts = tokenizer.Parts;
        string pre = PreTokenizerName(SpecialTokenFiles.Open(folder, TokenizerLoader.FileName)!.Value, parts);
        if (tokenizer.VocabularySize > config.VocabularySize)
            throw new SlipstreamException($"'{parts.Source}' has {tokenizer.VocabularySize} tokens, but the model only {config.VocabularySize}; take the tokenizer that belongs to the model.");
        (string[] tokens, int[] types) = Tokens(tokenizer, config.VocabularySize);
        writer.Add("tokenizer.ggml.model", "gpt2")
            .Add("tokenizer.ggml.pre", pre)
            .AddList("tokenizer.ggml.tokens", tokens)
            .AddList("tokenizer.ggml.token_type", types)
            .AddList("tokenizer.ggml.merges", (string[])[.. parts.Vocabulary.Merges.Select(merge => $"{parts.Vocabulary.Tokens[merge.Left]} {parts.Vocabulary.Tokens[merge.Right]}")]);
        int? begin = tokenizer.BeginToken ?? config.BeginToken ?? FirstAdded(tokenizer);
        AddIds(writer, checkpoint, config, begin, tokenizer.EndToken);
        AddFlags(writer, tokenizer, begin);
        if (ChatTemplates.TextOf(folder).Text is { } template) writer.Add("tokenizer.chat_template", template);
    }

    /// <summary>Adds what there is to say where the folder has no tokenizer: that tokens are numbers, and which of them begin and end a text.</summary>
    /// <exception cref="SlipstreamException">There are more end tokens than GGUF has keys for.</exception>
    public static void AddNone(GgufWriter writer, Checkpoint checkpoint, ModelConfig config)
    {
        writer.Add("tokenizer.ggml.model", "no_vocab");
        AddIds(writer, checkpoint, config, config.BeginToken, null);
    }

    private static (string[] Tokens, int[] Types) Tokens(ByteLevelTokenizer tokenizer, int count)
    {
        Dictionary<int, AddedToken> added = tokenizer.Parts.Added.ToDictionary(token => token.Id);
        string[] tokens = new string[count];
        int[] types = new int[count];
        for (int id = 0; id < count; id++)
        {
            // Rows that only pad the vocabulary still need a text that no other token has.
            tokens[id] = tokenizer.Spelling(id) ?? $"[PAD{id}]";
            TokenType type = tokenizer.Spelling(id) is null ? TokenType.Unused : TokenType.Normal;
            if (added.TryGetValue(id, out AddedToken? token))
            {
                if (token.LeftStrip || token.RightStrip || token.SingleWord)
                    throw Refused(tokenizer, $"the token '{TokenizerField.Shortened(token.Content)}', which takes white space beside it or stands between words only");
                type = token.Special ? TokenType.Control : TokenType.UserDefined;
            }
            types[id] = (int)type;
        }
        return (tokens, types);
    }

    // GGUF has no list of end tokens but one key for each kind of end; a reader ends at any of them.
    private static void AddIds(GgufWriter writer, Checkpoint checkpoint, ModelConfig config, int? begin, int? own)
    {
        if (begin is { } first) writer.Add("tokenizer.ggml.bos_token_id", (uint)first);
        List<int> ends = [.. checkpoint.Generation?.Int32s("eos_token_id") ?? []];
        if (ends.Count == 0) ends.AddRange(config.EndTokens);
        if (own is { } end && (ends.Count == 0 || ends.Remove(end))) ends.Insert(0, end);
        ends = [.. ends.Distinct()];
        string[] keys = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];
        if (ends.Count > keys.Length) throw new SlipstreamException($"'{checkpoint.Path}' has {ends.Count} end tokens, but GGUF has keys for {keys.Length}; name fewer in its 'generation_config.json'.");
        for (int i = 0; i < ends.Count; i++) writer.Add(keys[i], (uint)ends[i]);
    }

    // Where no file names the begin token, the one that is put before a text is it.
    private static int? FirstAdded(ByteLevelTokenizer tokenizer)
    {
        IReadOnlyList<int> bare = tokenizer.Encode("a", addSpecialTokens: false).Ids, full = tokenizer.Encode("a").Ids;
        return full.Count > bare.Count && full[0] != bare[0] ? full[0] : null;
    }

    // What is added to a text is seen on one.
    private static void AddFlags(GgufWriter writer, ByteLevelTokenizer tokenizer, int? begin)
    {
        List<int> bare = [.. tokenizer.Encode("a", addSpecialTokens: false).Ids], full = [.. tokenizer.Encode("a").Ids];
        bool addBegin = begin is { } first && full[0] == first && bare[0] != first, addEnd = tokenizer.EndToken is { } last && full[^1] == last && bare[^1] != last;
        List<int> expected = [.. addBegin ? (int[])[begin!.Value] : [], .. bare, .. addEnd ? (int[])[tokenizer.EndToken!.Value] : []];
        if (!full.SequenceEqual(expected)) throw Refused(tokenizer, "tokens around a text other than its begin and end token");
        writer.Add("tokenizer.ggml.add_bos_token", addBegin).Add("tokenizer.ggml.add_eos_token", addEnd);
    }

    /// <summary>The name GGUF has for how a tokenizer cuts text.</summary>
    /// <exception cref="SlipstreamException">It has none.</exception>
    private static string PreTokenizerName(TokenizerField root, ByteLevelParts parts)
    {
        List<string> steps = [];
        if (root.Find("pre_tokenizer") is { } field) Describe(field, steps);
        string? name = steps switch
        {
            [Gpt2Bytes] => "gpt-2",
            [Digits, Gpt2Bytes] => "smollm",
            [GgufPreTokenizers.Llama3, Bytes] => "llama-bpe",
            [GgufPreTokenizers.Qwen2, Bytes] => "qwen2",
            _ => null,
        };
        // Qwen's normalizer has no key; readers of its files leave it out, as its own converter does.
        if (name is null || (parts.Normalizers.Length > 0 && !(name == "qwen2" && parts.Normalizers is [NfcNormalizer])))
            throw new SlipstreamException($"'{root.Source}' cuts or normalises text in a way that GGUF has no name for; keep the model as a Hugging Face folder.");
        return parts.Vocabulary.IgnoreMerges == (name == "llama-bpe") ? name : throw new SlipstreamException($"'{root.Source}' has 'ignore_merges' other than GGUF readers take it for '{name}'; keep the model as a Hugging Face folder.");
    }

    private static void Describe(TokenizerField field, List<string> steps)
    {
        switch (TokenizerJson.Kind(field))
        {
            case "Sequence":
                foreach (TokenizerField part in field.Get("pretokenizers").Items()) Describe(part, steps);
                break;
            case "Digits" when field.Flag("individual_digits", false):
                steps.Add(Digits);
                break;
            case "ByteLevel" when !field.Flag("add_prefix_space", true):
                steps.Add(field.Flag("use_regex", true) ? Gpt2Bytes : Bytes);
                break;
            // To keep the matches alone is the same as to drop what is none, for patterns that match everything.
            case "Split" when field.Get("pattern").Find("Regex") is not null && (field.Get("behavior").Text(), field.Flag("invert", false)) is ("Isolated", false) or ("Removed", true):
                steps.Add(field.Get("pattern").Get("Regex").Text());
                break;
            default:
                steps.Add("");
                break;
        }
    }

    private static SlipstreamException Refused(ByteLevelTokenizer tokenizer, string what) => new($"'{tokenizer.Parts.Source}' has {what}, which GGUF cannot state; keep the model as a Hugging Face folder.");
}
