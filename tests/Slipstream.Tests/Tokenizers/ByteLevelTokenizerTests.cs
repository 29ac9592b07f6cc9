using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Slipstream.Models;

namespace Slipstream.Tests.Tokenizers;

public sealed class ByteLevelTokenizerTests
{
    private static readonly Tokenizer Tiny = TinyTokenizer.Load(TinyTokenizer.Json());

    [Fact]
    public void Merges_the_lowest_rank_first()
    {
        TokenizedText encoded = Tiny.Encode("hello wo");
        Assert.Equal(["hell", "o", "Ġw", "o"], encoded.Tokens);
        Assert.Equal([(0, 4), (4, 5), (5, 7), (7, 8)], encoded.Offsets);
    }

    [Fact]
    public void Any_text_comes_back()
    {
        // A special token written in the text is that token, and leaves no text.
        Gen.String.Where(text => !text.Contains("<e>", StringComparison.Ordinal) && !text.Contains("<s>", StringComparison.Ordinal)).Sample(text =>
        {
            string expected = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
            TokenizedText encoded = Tiny.Encode(text);
            return Tiny.Decode([.. encoded.Ids]) == expected && Stream(encoded.Ids) == expected;
        });
    }

    [Fact]
    public void A_lone_surrogate_counts_as_the_replacement_character()
    {
        Assert.Equal(Tiny.Encode("a\uFFFDb").Ids, Tiny.Encode("a\uD800b").Ids);
        Assert.Equal(Tiny.Encode("\uFFFD\uFFFD").Offsets, Tiny.Encode("\uDC00\uD800").Offsets);
    }

    [Fact]
    public void Offsets_are_code_points()
    {
        TokenizedText encoded = Tiny.Encode("😀a");
        Assert.Equal([(0, 1), (0, 1), (0, 1), (0, 1), (1, 2)], encoded.Offsets);
    }

    [Fact]
    public void Added_tokens_are_found_in_text_and_skipped_on_demand()
    {
        TokenizedText encoded = Tiny.Encode("he<s>he<e>");
        Assert.Equal([256, 300, 256, 301], encoded.Ids);
        Assert.Equal("he<s>he<e>", Tiny.Decode([.. encoded.Ids]));
        Assert.Equal("hehe", Tiny.Decode([.. encoded.Ids], skipSpecialTokens: true));
        Assert.True(Tiny.IsSpecial(300));
        Assert.False(Tiny.IsSpecial(256));
        Assert.Equal(302, Tiny.VocabularySize);
        Assert.Equal(300, Tiny.TokenId("<s>"));
        Assert.Null(Tiny.TokenId("<none>"));
    }

    [Theory, InlineData(-1), InlineData(290), InlineData(302), InlineData(int.MaxValue)]
    public void Decoding_an_id_without_a_token_fails_in_one_sentence(int id)
    {
        Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => Tiny.Decode([id])), TinyTokenizer.Name, $"{id}");
        Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => Tiny.TokenText(id)), TinyTokenizer.Name, $"{id}");
        Assert.Equal("", Tiny.CreateStream().Append(id));
    }

    [Fact]
    public void A_stream_never_splits_a_character_and_flushes_what_is_incomplete()
    {
        TokenStream stream = Tiny.CreateStream();
        byte[] bytes = Encoding.UTF8.GetBytes("é😀");
        Assert.Equal(["", "é", "", "", "", "😀"], [.. bytes.Select(b => stream.Append(b))]);
        Assert.Equal("", stream.Append(0xF0));
        Assert.Equal("", stream.Append(300));
        Assert.Equal("\uFFFDh", stream.Append('h'));
        Assert.Equal("", stream.Append(0xC3));
        Assert.Equal("\uFFFD", stream.Flush());
        Assert.Equal("", stream.Flush());
    }

    [Fact]
    public void Bytes_without_a_token_are_dropped_or_become_unknown()
    {
        JsonObject json = TinyTokenizer.Json();
        JsonObject model = json["model"]!.AsObject();
        model["vocab"]!.AsObject().Remove(ByteAlphabet.Character(0xC3).ToString());
        model["vocab"]!.AsObject().Remove(ByteAlphabet.Character(0xA9).ToString());
        Assert.Equal(["a", "b"], TinyTokenizer.Load(json).Encode("aéb").Tokens);
        model["unk_token"] = "?";
        Assert.Equal(["a", "?", "?", "b"], TinyTokenizer.Load(json).Encode("aéb").Tokens);
        model["fuse_unk"] = true;
        TokenizedText fused = TinyTokenizer.Load(json).Encode("aéb");
        Assert.Equal(["a", "?", "b"], fused.Tokens);
        Assert.Equal([(0, 1), (1, 2), (2, 3)], fused.Offsets);
    }

    [Fact]
    public void A_word_of_the_vocabulary_is_taken_whole_where_merges_are_ignored()
    {
        JsonObject json = TinyTokenizer.Json();
        json["model"]!["vocab"]!["helo"] = 280;
        Assert.Equal(["he", "l", "o"], TinyTokenizer.Load(json).Encode("helo").Tokens);
        json["model"]!["ignore_merges"] = true;
        Assert.Equal(["helo"], TinyTokenizer.Load(json).Encode("helo").Tokens);
    }

    [Fact]
    public void Merges_may_be_written_as_texts()
    {
        JsonObject json = TinyTokenizer.Json();
        json["model"]!["merges"] = new JsonArray("h e", "l l", "he ll");
        Assert.Equal(["hell", "o"], TinyTokenizer.Load(json).Encode("hello").Tokens);
    }

    // Quadratic merging of a word that long would take minutes.
    [Fact]
    public void A_very_long_word_is_no_trap()
    {
        string word = new('a', 1_000_003);
        TokenizedText encoded = Tiny.Encode(word);
        Assert.Equal(250_001 + 1, encoded.Ids.Count);
        Assert.Equal(word, Tiny.Decode([.. encoded.Ids]));
    }

    [Fact]
    public void Many_threads_get_the_same()
    {
        string[] texts = [.. Enumerable.Range(0, 2000).Select(i => $"hello {i} world {i * i}")];
        IReadOnlyList<int>[] alone = [.. texts.Select(text => Tiny.Encode(text).Ids)];
        IReadOnlyList<int>[] together = new IReadOnlyList<int>[texts.Length];
        Tokenizer shared = TinyTokenizer.Load(TinyTokenizer.Json());
        Parallel.For(0, texts.Length, i => together[i] = shared.Encode(texts[i]).Ids);
        for (int i = 0; i < texts.Length; i++)
            Assert.Equal(alone[i], together[i]);
    }

    [Fact]
    public void A_template_lays_out_text_and_pair()
    {
        JsonObject json = TinyTokenizer.Json();
        json["post_processor"] = JsonNode.Parse("""
            {"type":"TemplateProcessing",
             "single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
             "pair":[{"Sequence":{"id":"B","type_id":1}},{"SpecialToken":{"id":"<s>","type_id":2}},{"Sequence":{"id":"A","type_id":0}}],
             "special_tokens":{"<s>":{"id":"<s>","ids":[300],"tokens":["<s>"]}}}
            """);
        Tokenizer tokenizer = TinyTokenizer.Load(json);
        Assert.Equal(["<s>", "he"], tokenizer.Encode("he").Tokens);
        Assert.Equal(["he"], tokenizer.Encode("he", addSpecialTokens: false).Tokens);
        TokenizedText pair = tokenizer.Encode("he", "ll");
        Assert.Equal(["ll", "<s>", "he"], pair.Tokens);
        Assert.Equal([1, 2, 0], pair.TypeIds);
    }

    private static string Stream(IReadOnlyList<int> ids)
    {
        TokenStream stream = Tiny.CreateStream();
        StringBuilder text = new();
        foreach (int id in ids)
            text.Append(stream.Append(id));
        return text.Append(stream.Flush()).ToString();
    }
}
