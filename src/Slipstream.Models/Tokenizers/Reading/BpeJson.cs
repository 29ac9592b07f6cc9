using System.Text.Json;

namespace Slipstream.Models;

/// <summary>Reads the <c>model</c> of <c>tokenizer.json</c>, where it is BPE.</summary>
internal static class BpeJson
{
    // Ids without a token are harmless, but a table is as long as the highest id.
    private const int AllowedGap = 65_536;

    public static BpeVocabulary Read(TokenizerField model)
    {
        string kind = model.Find("type") is { } type ? TokenizerField.Shortened(type.Text()) : model.Find("merges") is null ? "without a type" : "BPE";
        if (kind != "BPE")
            throw model.Unsupported($"the model '{kind}'");
        foreach (string affix in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
            if (model.Find(affix) is { } field && field.Text().Length > 0)
                throw field.Unsupported($"the {affix} '{TokenizerField.Shortened(field.Text())}'");
        if (model.Flag("byte_fallback", false))
            throw model.Unsupported("byte_fallback");
        if (model.Find("dropout") is { } dropout && !(dropout.Value.ValueKind == JsonValueKind.Number && dropout.Value.TryGetDouble(out double rate) && rate == 0))
            throw dropout.Unsupported("dropout");

        (string?[] tokens, Dictionary<string, int> ids) = ReadVocabulary(model.Get("vocab"));
        int? unknown = null;
        if (model.Find("unk_token") is { } unkToken)
            unknown = ids.TryGetValue(unkToken.Text(), out int id)
                ? id
                : throw unkToken.Invalid($"names '{TokenizerField.Shortened(unkToken.Text())}', which is not in the vocabulary");
        return new BpeVocabulary(tokens, ids, ReadMerges(model.Get("merges"), ids), unknown, model.Flag("fuse_unk", false), model.Flag("ignore_merges", false));
    }

    /// <summary>Refuses an id far beyond the number of tokens.</summary>
    public static void CheckGap(int highest, int count, TokenizerField field)
    {
        if (highest >= 2L * count + AllowedGap)
            throw field.Invalid($"has the token id {highest}, which is absurd for {count} tokens");
    }

    /// <summary>The ids of the two parts and the result of a merge.</summary>
    /// <exception cref="SlipstreamException">One of them is not in the vocabulary.</exception>
    public static (int Left, int Right, int Result) Merge(ReadOnlySpan<char> left, ReadOnlySpan<char> right, Dictionary<string, int> ids, string source, int index)
    {
        // Tens of thousands of merges are read while a user waits: no text is made of their parts.
        Span<char> room = stackalloc char[128];
        ReadOnlySpan<char> both = left.Length + right.Length <= room.Length && left.TryCopyTo(room) && right.TryCopyTo(room[left.Length..])
            ? room[..(left.Length + right.Length)]
            : string.Concat(left, right);
        Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> lookup = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        return (Id(lookup, left, source, index), Id(lookup, right, source, index), Id(lookup, both, source, index));
    }

    private static int Id(Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> ids, ReadOnlySpan<char> token, string source, int index) => ids.TryGetValue(token, out int id)
        ? id
        : throw new SlipstreamException($"'{source}': merge {index} needs the token '{TokenizerField.Shortened(token.ToString())}', which is not in the vocabulary.");

    private static (string?[] Tokens, Dictionary<string, int> Ids) ReadVocabulary(TokenizerField vocab)
    {
        if (vocab.Value.ValueKind != JsonValueKind.Object)
            throw vocab.Invalid("must be an object of tokens and ids");
        Dictionary<string, int> ids = [];
        int highest = -1;
        foreach (JsonProperty entry in vocab.Value.EnumerateObject())
        {
            string name;
            try
            {
                name = entry.Name;
            }
            catch (InvalidOperationException e)
            {
                throw new SlipstreamException($"'{vocab.Source}': the field '{vocab.Place}' has a token that is no valid Unicode text.", e);
            }
            if (entry.Value.ValueKind != JsonValueKind.Number || !entry.Value.TryGetInt32(out int id) || id < 0)
                throw vocab.Invalid($"gives the token '{TokenizerField.Shortened(name)}' the id {TokenizerField.Shortened(entry.Value.GetRawText())}, which is none");
            if (!ids.TryAdd(name, id))
                throw vocab.Invalid($"has the token '{TokenizerField.Shortened(name)}' twice");
            highest = Math.Max(highest, id);
        }
        if (ids.Count == 0)
            throw vocab.Invalid("is empty");
        CheckGap(highest, ids.Count, vocab);
        string?[] tokens = new string?[highest + 1];
        foreach ((string token, int id) in ids)
        {
            if (tokens[id] is { } other)
                throw vocab.Invalid($"gives the id {id} to both '{TokenizerField.Shortened(other)}' and '{TokenizerField.Shortened(token)}'");
            tokens[id] = token;
        }
        return (tokens, ids);
    }

    private static List<(int, int, int)> ReadMerges(TokenizerField merges, Dictionary<string, int> ids)
    {
        if (merges.Value.ValueKind != JsonValueKind.Array)
            throw merges.Invalid("must be a list");
        List<(int, int, int)> output = new(merges.Value.GetArrayLength());
        int index = 0;
        foreach (JsonElement merge in merges.Value.EnumerateArray())
        {
            TokenizerField field = new(merge, merges.Source, $"model.merges[{index}]");
            string[] parts = merge.ValueKind == JsonValueKind.String
                ? field.Text().Split(' ')
                : [.. field.Items().Select(part => part.Text())];
            if (parts.Length != 2)
                throw field.Invalid("must be two tokens");
            output.Add(Merge(parts[0], parts[1], ids, merges.Source, index++));
        }
        return output;
    }
}
