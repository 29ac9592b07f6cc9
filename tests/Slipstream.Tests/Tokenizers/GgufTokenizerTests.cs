using Slipstream.Models;

namespace Slipstream.Tests.Tokenizers;

public sealed class GgufTokenizerTests
{
    [Fact]
    public void Reads_vocabulary_types_and_special_ids()
    {
        Tokenizer tokenizer = TokenizerLoader.FromGguf(new FakeMetadata(Metadata()));
        Assert.Equal((258, 259), (tokenizer.BeginToken, tokenizer.EndToken));
        Assert.Equal(["he", "<s>", "l", "<u>", "1", "2"], tokenizer.Encode("he<s>l<u>12").Tokens);
        Assert.True(tokenizer.IsSpecial(258));
        Assert.False(tokenizer.IsSpecial(260));
        Assert.Equal(261, tokenizer.VocabularySize);
    }

    [Fact]
    public void Adds_begin_and_end_where_the_file_says_so()
    {
        Dictionary<string, object> metadata = Metadata();
        metadata["tokenizer.ggml.add_bos_token"] = true;
        metadata["tokenizer.ggml.add_eos_token"] = true;
        Tokenizer tokenizer = TokenizerLoader.FromGguf(new FakeMetadata(metadata));
        Assert.Equal(["<s>", "he", "<e>"], tokenizer.Encode("he").Tokens);
        Assert.Equal(["he"], tokenizer.Encode("he", addSpecialTokens: false).Tokens);
        Assert.Equal(["<s>", "he", "<e>", "<s>", "l", "<e>"], tokenizer.Encode("he", "l").Tokens);
    }

    [Fact]
    public void Llama_3_adds_its_begin_token_unless_told_otherwise_and_takes_words_whole()
    {
        Dictionary<string, object> metadata = Metadata();
        metadata["tokenizer.ggml.pre"] = "llama-bpe";
        metadata["tokenizer.ggml.tokens"] = (string[])[.. (string[])metadata["tokenizer.ggml.tokens"], "123"];
        metadata["tokenizer.ggml.token_type"] = (int[])[.. (int[])metadata["tokenizer.ggml.token_type"], 1];
        Assert.Equal(["<s>", "123", "4"], TokenizerLoader.FromGguf(new FakeMetadata(metadata)).Encode("1234").Tokens);
        metadata["tokenizer.ggml.add_bos_token"] = false;
        Assert.Equal(["123", "4"], TokenizerLoader.FromGguf(new FakeMetadata(metadata)).Encode("1234").Tokens);
    }

    [Fact]
    public void Without_a_pre_tokenizer_only_gpt2_is_read()
    {
        Dictionary<string, object> metadata = Metadata();
        metadata.Remove("tokenizer.ggml.pre");
        AssertRefused(metadata, "tokenizer.ggml.pre");
        metadata["general.architecture"] = "gpt2";
        Assert.Equal(["he"], TokenizerLoader.FromGguf(new FakeMetadata(metadata)).Encode("he").Tokens);
    }

    [Theory]
    [InlineData("tokenizer.ggml.model", "llama", "SentencePiece")]
    [InlineData("tokenizer.ggml.model", "bert", "WordPiece")]
    [InlineData("tokenizer.ggml.model", "rwkv", "rwkv")]
    [InlineData("tokenizer.ggml.pre", "tekken", "tekken")]
    [InlineData("tokenizer.ggml.pre", "default", "default")]
    [InlineData("tokenizer.ggml.bos_token_id", 261, "261")]
    [InlineData("tokenizer.ggml.eos_token_id", -1, "-1")]
    [InlineData("tokenizer.ggml.tokens", new string[0], "empty")]
    [InlineData("tokenizer.ggml.tokens", new[] { "a", "b", "a" }, "twice")]
    [InlineData("tokenizer.ggml.token_type", new[] { 1, 2 }, "2 entries")]
    [InlineData("tokenizer.ggml.merges", new[] { "h e", "h q x" }, "q x")]
    [InlineData("tokenizer.ggml.merges", new[] { "he" }, "not two tokens")]
    [InlineData("tokenizer.ggml.merges", new[] { "" }, "not two tokens")]
    [InlineData("tokenizer.ggml.merges", new[] { "h " }, "not two tokens")]
    public void What_is_broken_or_foreign_is_refused(string field, object value, string words)
    {
        Dictionary<string, object> metadata = Metadata();
        metadata[field] = value;
        AssertRefused(metadata, words);
    }

    [Theory, InlineData("tokenizer.ggml.model"), InlineData("tokenizer.ggml.tokens"), InlineData("tokenizer.ggml.merges")]
    public void What_is_missing_is_named(string field)
    {
        Dictionary<string, object> metadata = Metadata();
        metadata.Remove(field);
        AssertRefused(metadata, field);
        Assert.Equal(field == "tokenizer.ggml.merges", TokenizerLoader.Exists(new FakeMetadata(metadata)));
    }

    private static void AssertRefused(Dictionary<string, object> metadata, string words) =>
        Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => TokenizerLoader.FromGguf(new FakeMetadata(metadata))), "tiny.gguf", words);

    private static Dictionary<string, object> Metadata()
    {
        string[] tokens = [.. Enumerable.Range(0, 256).Select(b => ByteAlphabet.Character((byte)b).ToString()), "he", "12", "<s>", "<e>", "<u>"];
        int[] types = [.. Enumerable.Repeat(1, 258), 3, 3, 4];
        return new Dictionary<string, object>
        {
            ["general.architecture"] = "llama",
            ["tokenizer.ggml.model"] = "gpt2",
            ["tokenizer.ggml.pre"] = "smollm",
            ["tokenizer.ggml.tokens"] = tokens,
            ["tokenizer.ggml.token_type"] = types,
            ["tokenizer.ggml.merges"] = (string[])["h e", "1 2"],
            ["tokenizer.ggml.bos_token_id"] = 258,
            ["tokenizer.ggml.eos_token_id"] = 259,
        };
    }
}
