using System.Text.Json.Nodes;
using Slipstream.Models;

namespace Slipstream.Tests.Tokenizers;

/// <summary>Broken, absurd and foreign tokenizer files: each is refused in one sentence that names the file and the place.</summary>
public sealed class HostileTokenizerTests
{
    [Theory]
    [InlineData("")]
    [InlineData("nonsense")]
    [InlineData("{\"model\":")]
    [InlineData("\u0000\u0001")]
    [InlineData("[1,2]")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("{\"model\":7}")]
    [InlineData("{\"model\":{}}")]
    [InlineData("{\"model\":{\"type\":7}}")]
    [InlineData("{\"model\":{\"type\":\"BPE\"}}")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":[]}}")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\ud800\":1}}}")]
    [InlineData("{\"model\":{\"type\":\"\\ud800\"}}")]
    public void What_is_no_tokenizer_is_refused(string json) => AssertRefused(json);

    [Fact]
    public void Deep_nesting_is_refused()
    {
        AssertRefused(new string('[', 100_000));
        AssertRefused(string.Concat(Enumerable.Repeat("{\"model\":", 10_000)));
    }

    [Fact]
    public void A_truncated_file_is_refused()
    {
        string json = TinyTokenizer.Json().ToJsonString();
        for (int length = 0; length < json.Length; length += 97)
            AssertRefused(json[..length]);
    }

    [Theory]
    [InlineData("2147483647", "absurd")]
    [InlineData("100000000", "absurd")]
    [InlineData("4294967296", "is none")]
    [InlineData("-1", "is none")]
    [InlineData("1.5", "is none")]
    [InlineData("\"1\"", "is none")]
    [InlineData("null", "is none")]
    [InlineData("17", "both")]
    public void Absurd_vocabulary_ids_are_refused(string id, string words) =>
        AssertRefused(Changed(json => json["model"]!["vocab"]!["new"] = JsonNode.Parse(id)), words);

    [Fact]
    public void A_token_twice_is_refused() =>
        AssertRefused(TinyTokenizer.Json().ToJsonString().Replace("\"vocab\":{", "\"vocab\":{\"hell\":400,", StringComparison.Ordinal), "twice");

    [Theory]
    [InlineData("[[\"h\",\"x y\"]]", "x y")]
    [InlineData("[[\"h\",\"l\"]]", "hl")]
    [InlineData("[\"h\"]", "two tokens")]
    [InlineData("[\"h e l\"]", "two tokens")]
    [InlineData("[[\"h\"]]", "two tokens")]
    [InlineData("[[\"h\",7]]", "text")]
    [InlineData("[7]", "list")]
    [InlineData("7", "list")]
    [InlineData("{}", "list")]
    public void Broken_merges_are_refused(string merges, string words) =>
        AssertRefused(Changed(json => json["model"]!["merges"] = JsonNode.Parse(merges)), words);

    [Theory]
    [InlineData("{\"id\":2147483647,\"content\":\"<x>\"}", "absurd")]
    [InlineData("{\"id\":-5,\"content\":\"<x>\"}", "-5")]
    [InlineData("{\"id\":5,\"content\":\"<x>\"}", "'<x>'")]
    [InlineData("{\"id\":400,\"content\":\"hell\"}", "'hell'")]
    [InlineData("{\"id\":400}", "content")]
    [InlineData("{\"content\":\"<x>\"}", "'id'")]
    [InlineData("{\"id\":400,\"content\":\"<x>\",\"special\":1}", "true or false")]
    [InlineData("7", "object")]
    public void Broken_added_tokens_are_refused(string token, string words) =>
        AssertRefused(Changed(json => json["added_tokens"] = new JsonArray(JsonNode.Parse(token))), words);

    [Theory]
    [InlineData("model", "{\"type\":\"Unigram\",\"vocab\":[]}", "'Unigram'")]
    [InlineData("model", "{\"type\":\"WordPiece\",\"vocab\":{}}", "'WordPiece'")]
    [InlineData("normalizer", "{\"type\":\"NFKC\"}", "'NFKC'")]
    [InlineData("normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Strip\"}]}", "'Strip'")]
    [InlineData("pre_tokenizer", "{\"type\":\"Metaspace\"}", "'Metaspace'")]
    [InlineData("pre_tokenizer", "null", "'ByteLevel'")]
    [InlineData("pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{\"type\":\"Digits\"}]}", "'Digits'")]
    [InlineData("post_processor", "{\"type\":\"BertProcessing\"}", "'BertProcessing'")]
    [InlineData("post_processor", "{\"type\":\"RobertaProcessing\",\"cls\":[\"a\"],\"sep\":[\"b\",1]}", "cls")]
    [InlineData("post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}],\"pair\":[],\"special_tokens\":{}}", "'x'")]
    [InlineData("post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"B\"}}],\"pair\":[],\"special_tokens\":{}}", "'B'")]
    [InlineData("decoder", "{\"type\":\"Metaspace\"}", "'Metaspace'")]
    [InlineData("decoder", "null", "decoder")]
    public void Foreign_parts_are_refused_by_name(string field, string value, string words) =>
        AssertRefused(Changed(json => json[field] = JsonNode.Parse(value)), words);

    [Theory]
    [InlineData("byte_fallback", "true", "byte_fallback")]
    [InlineData("dropout", "0.1", "dropout")]
    [InlineData("end_of_word_suffix", "\"</w>\"", "</w>")]
    [InlineData("continuing_subword_prefix", "\"##\"", "##")]
    [InlineData("unk_token", "\"<unk>\"", "<unk>")]
    public void Foreign_kinds_of_bpe_are_refused_by_name(string field, string value, string words) =>
        AssertRefused(Changed(json => json["model"]![field] = JsonNode.Parse(value)), words);

    [Theory]
    [InlineData("")]
    [InlineData("a*")]
    [InlineData("(a+)+b")]
    [InlineData("(a|b){3}")]
    [InlineData("a*?")]
    [InlineData("(?<=a)b")]
    [InlineData("(?i:[a-z])")]
    [InlineData("[a&&b]")]
    [InlineData("[z-a]")]
    [InlineData("[")]
    [InlineData("(")]
    [InlineData(")")]
    [InlineData("a{2000}")]
    [InlineData("a{3,1}")]
    [InlineData("\\")]
    [InlineData("\\p{Greek}")]
    [InlineData("\\p")]
    [InlineData("\\x{110000}")]
    [InlineData("^a")]
    [InlineData("*")]
    public void Patterns_beyond_the_supported_are_refused(string pattern) =>
        AssertRefused(Changed(json => json["pre_tokenizer"] = Split(pattern)), "pattern");

    [Fact]
    public void Patterns_of_absurd_size_are_refused()
    {
        AssertRefused(Changed(json => json["pre_tokenizer"] = Split(new string('a', 10_000))), "longer");
        AssertRefused(Changed(json => json["pre_tokenizer"] = Split(new string('(', 1000) + "a" + new string(')', 1000))), "deeper");
        // Whether it matches the empty text must not take a step for each of 2 to the 1,000 ways through it.
        AssertRefused(Changed(json => json["pre_tokenizer"] = Split(string.Concat(Enumerable.Repeat("(?:a?|b?)", 500)))), "empty");
        Assert.Equal(["c"], TinyTokenizer.Load(Changed(json => json["pre_tokenizer"] = Split(string.Concat(Enumerable.Repeat("(?:a?|b?)", 500)) + "c"))).Encode("c").Tokens);
    }

    [Fact]
    public void A_pattern_that_backtracks_without_end_is_stopped()
    {
        Tokenizer tokenizer = TinyTokenizer.Load(Changed(json => json["pre_tokenizer"] = Split("a+a+a+a+a+a+a+b")));
        Assert.Equal(["aaaa", "aaaa", "b"], tokenizer.Encode("aaaaaaaab").Tokens);
        Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => tokenizer.Encode(new string('a', 500))), "a+a+a+", "500");
    }

    [Fact]
    public void A_folder_without_a_tokenizer_says_what_to_do()
    {
        string folder = Directory.CreateTempSubdirectory("slipstream").FullName;
        try
        {
            Assert.False(TokenizerLoader.Exists(folder));
            Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => TokenizerLoader.FromFolder(folder)), folder, "tokenizer.json", "token ids");
            File.WriteAllText(Path.Combine(folder, "tokenizer.model"), "x");
            Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => TokenizerLoader.FromFolder(folder)), folder, "tokenizer.model");
            Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => TokenizerLoader.FromJson(Path.Combine(folder, "none.json"))), "none.json");

            File.WriteAllText(Path.Combine(folder, "tokenizer.json"), TinyTokenizer.Json().ToJsonString());
            Assert.Null(TokenizerLoader.FromFolder(folder).EndToken);
            File.WriteAllText(Path.Combine(folder, "config.json"), """{"bos_token_id":1,"eos_token_id":[301,300]}""");
            Assert.Equal((1, 301), (TokenizerLoader.FromFolder(folder).BeginToken, TokenizerLoader.FromFolder(folder).EndToken));
            File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"bos_token":"<s>","eos_token":{"content":"<e>"}}""");
            Assert.Equal((300, 301), (TokenizerLoader.FromFolder(folder).BeginToken, TokenizerLoader.FromFolder(folder).EndToken));
            foreach (string broken in (string[])["{", "[]", """{"bos_token":"<none>"}""", """{"bos_token":7}"""])
            {
                File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), broken);
                Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => TokenizerLoader.FromFolder(folder)), "tokenizer_config.json");
            }
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    private static JsonObject Split(string pattern) => new()
    {
        ["type"] = "Sequence",
        ["pretokenizers"] = new JsonArray(
            new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = pattern }, ["behavior"] = "Isolated", ["invert"] = false },
            new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["use_regex"] = false }),
    };

    private static string Changed(Action<JsonObject> change)
    {
        JsonObject json = TinyTokenizer.Json();
        change(json);
        return json.ToJsonString();
    }

    private static void AssertRefused(string json, params string[] words)
    {
        // Absurd sizes must be refused before anything is allocated for them.
        long before = GC.GetAllocatedBytesForCurrentThread();
        Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => TinyTokenizer.Load(json)), [TinyTokenizer.Name, .. words]);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 20_000_000 + 20L * json.Length);
    }
}
