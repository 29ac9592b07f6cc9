using System.IO.Compression;
using System.Text.Json;
using Slipstream.Models;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Tokenizers;

/// <summary>Every byte-level tokenizer of the reference material, all its cases, against the Rust library.</summary>
public sealed class ByteLevelGoldenTests
{
    public static TheoryData<string> ByteLevel =>
        ["smollm2", "gpt2", "qwen2-like", "llama3-like", "deepseek-like", "roberta-like", "added-tokens", "added-tokens-nonorm"];

    public static TheoryData<string> Others =>
        ["bert-uncased", "bpe-csp", "bpe-no-unk", "bpe-unk-fuse", "bpe-unk-nofuse", "clip-like", "ctc", "gemma-like", "llama-spm-legacy", "pre-fixed", "pre-scripts",
         "pre-split-remove", "spm-small-first", "spm-small-legacy", "spm-small-noprefix", "t5-like-precompiled", "unigram-bytefallback", "unigram-nfkc", "wordlevel",
         "wordpiece-cased", "xlmr-like-precompiled", "added-tokens-unigram"];

    [Theory, MemberData(nameof(ByteLevel))]
    public void Encodes_and_decodes_as_the_reference(string folder)
    {
        Tokenizer tokenizer = Load(folder);
        int cases = 0;
        List<string> wrong = [];
        foreach (JsonElement row in Rows(folder, "cases.jsonl"))
        {
            cases++;
            Assert.False(row.TryGetProperty("error", out _));
            string text = row.GetProperty("text").GetString()!;
            string? pair = row.TryGetProperty("pair", out JsonElement p) ? p.GetString() : null;
            TokenizedText got = tokenizer.Encode(text, pair, row.GetProperty("add_special_tokens").GetBoolean());
            int[] ids = Int32s(row.GetProperty("ids"));
            string expected = Show(ids, [.. row.GetProperty("tokens").EnumerateArray().Select(t => t.GetString()!)],
                [.. row.GetProperty("offsets").EnumerateArray().Select(o => (o[0].GetInt32(), o[1].GetInt32()))],
                row.TryGetProperty("type_ids", out JsonElement types) ? Int32s(types) : [.. got.TypeIds],
                row.GetProperty("decoded").GetString()!, row.GetProperty("decoded_skip").GetString()!);
            string actual = Show(got.Ids, got.Tokens, got.Offsets, got.TypeIds, tokenizer.Decode(ids), tokenizer.Decode(ids, true));
            if (expected != actual)
                wrong.Add($"{JsonSerializer.Serialize(text)}\n  expected {expected}\n  actual   {actual}");
        }
        Assert.True(cases > 100, $"only {cases} cases");
        Assert.True(wrong.Count == 0, $"{wrong.Count} of {cases} differ:\n{string.Join('\n', wrong.Take(5))}");
    }

    [Theory, MemberData(nameof(ByteLevel))]
    public void Streams_what_decoding_gives(string folder)
    {
        Tokenizer tokenizer = Load(folder);
        int rows = 0;
        foreach (JsonElement row in Rows(folder, "stream.jsonl"))
        {
            rows++;
            int[] ids = Int32s(row.GetProperty("ids"));
            TokenStream stream = tokenizer.CreateStream(row.GetProperty("skip_special_tokens").GetBoolean());
            List<string> chunks = [];
            foreach (int id in ids)
            {
                string chunk = stream.Append(id);
                Assert.True(chunk.Length == 0 || !char.IsLowSurrogate(chunk[0]) && !char.IsHighSurrogate(chunk[^1]), $"a character is split: {chunk}");
                chunks.Add(chunk);
            }
            chunks.Add(stream.Flush());
            string whole = string.Concat(chunks);
            Assert.Equal(row.GetProperty("decoded").GetString(), whole);
            if (row.TryGetProperty("error", out _))
                continue;
            // The reference holds back a whole token that ends within a character, and never flushes: what it has given we have given too.
            string reference = "", ours = "";
            int step = 0;
            foreach (JsonElement chunk in row.GetProperty("chunks").EnumerateArray())
            {
                reference += chunk.GetString();
                ours += chunks[step++];
                if (!whole.Contains('\uFFFD', StringComparison.Ordinal))
                    Assert.StartsWith(reference, ours, StringComparison.Ordinal);
            }
            Assert.StartsWith(reference, whole, StringComparison.Ordinal);
        }
        Assert.True(rows > 10, $"only {rows} rows");
    }

    [Theory, MemberData(nameof(Others))]
    public void Refuses_other_kinds_by_name(string folder)
    {
        SlipstreamException failure = Assert.Throws<SlipstreamException>(() => Load(folder));
        Assert.Contains("not supported", failure.Message, StringComparison.Ordinal);
        Assert.Contains("token ids", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Splits_as_the_reference()
    {
        int rows = 0;
        Dictionary<string, SplitPreTokenizerChain?> chains = [];
        List<string> wrong = [];
        foreach (JsonElement row in Lines(Assets.Path("goldens", "tokenizers", "components", "pre_tokenizers.jsonl")))
        {
            string json = row.GetProperty("pre_tokenizer").GetRawText();
            if (!chains.TryGetValue(json, out SplitPreTokenizerChain? chain))
                chains[json] = chain = SplitPreTokenizerChain.Create(json);
            if (chain is null)
                continue;
            rows++;
            string expected = string.Join(' ', row.GetProperty("out").EnumerateArray().Select(o => $"{o[1][0]}-{o[1][1]}"));
            string actual = chain.Split(row.GetProperty("text").GetString()!);
            if (expected != actual)
                wrong.Add($"{json} on {row.GetProperty("text").GetRawText()}\n  expected {expected}\n  actual   {actual}");
        }
        Assert.True(rows > 400, $"only {rows} rows");
        Assert.True(wrong.Count == 0, $"{wrong.Count} of {rows} differ:\n{string.Join('\n', wrong.Take(5))}");
    }

    [Fact]
    public void Normalizes_as_the_reference()
    {
        int rows = 0;
        foreach (JsonElement row in Lines(Assets.Path("goldens", "tokenizers", "components", "normalizers.jsonl")))
        {
            TextNormalizer? normalizer = row.GetProperty("normalizer").GetProperty("type").GetString() switch
            {
                "NFC" => new NfcNormalizer(),
                "Lowercase" => new LowercaseNormalizer(),
                _ => null,
            };
            if (normalizer is null)
                continue;
            rows++;
            AlignedText text = AlignedText.Of(row.GetProperty("text").GetString()!);
            Assert.Equal(row.GetProperty("out").GetString(), normalizer.Normalize(new Piece(text, 0, text.Text.Length)).Span.ToString());
        }
        Assert.True(rows > 50, $"only {rows} rows");
    }

    internal static Tokenizer Load(string folder)
    {
        string path = Assets.Path("goldens", "tokenizers", folder, "tokenizer.json");
        if (File.Exists(path))
            return TokenizerLoader.FromFolder(Path.GetDirectoryName(path)!);
        using FileStream file = File.OpenRead(path + ".gz");
        using GZipStream stream = new(file, CompressionMode.Decompress);
        return TokenizerLoader.FromJson(stream, folder);
    }

    private static IEnumerable<JsonElement> Rows(string folder, string file) => Lines(Assets.Path("goldens", "tokenizers", folder, file));

    private static IEnumerable<JsonElement> Lines(string path)
    {
        foreach (string line in File.ReadLines(path))
            yield return JsonDocument.Parse(line).RootElement;
    }

    private static int[] Int32s(JsonElement list) => [.. list.EnumerateArray().Select(i => i.GetInt32())];

    private static string Show(IReadOnlyList<int> ids, IReadOnlyList<string> tokens, IReadOnlyList<(int, int)> offsets, IReadOnlyList<int> types, string decoded, string skipped) =>
        JsonSerializer.Serialize(new { ids, tokens, offsets = offsets.Select(o => new[] { o.Item1, o.Item2 }), types, decoded, skipped });

    /// <summary>A pre-tokenizer of the components' table, where it is one of ours.</summary>
    private sealed class SplitPreTokenizerChain(List<PreTokenizer> parts)
    {
        public static SplitPreTokenizerChain? Create(string json)
        {
            List<PreTokenizer> parts = [];
            bool byteLevel = false;
            try
            {
                TokenizerJson.ReadPreTokenizer(new TokenizerField(JsonDocument.Parse(json).RootElement, "components", ""), parts, ref byteLevel);
            }
            catch (SlipstreamException)
            {
                return null;
            }
            return new SplitPreTokenizerChain(parts);
        }

        public string Split(string text)
        {
            if (text.Length == 0)
                return "";
            AlignedText aligned = AlignedText.Of(text);
            List<Piece> pieces = [new Piece(aligned, 0, aligned.Text.Length)];
            foreach (PreTokenizer part in parts)
            {
                List<Piece> next = [];
                foreach (Piece piece in pieces)
                    part.Split(piece, next);
                pieces = next;
            }
            return string.Join(' ', pieces.Select(piece => piece.Source.Origin(piece.From, piece.To - 1)).Select(o => $"{o.Start}-{o.End}"));
        }
    }
}
