using Slipstream.Distillation.Tokenizers;
using Slipstream.Models;

namespace Slipstream.Distillation.Tests.Tokenizers;

public sealed class BpeTrainerTests
{
    private const int Unlimited = 1 << 20;

    /// <summary>The merges that the trainer of Hugging Face's <c>tokenizers</c> learnt from the same lines, in its order.</summary>
    [Fact]
    public void Merges_are_those_of_the_reference()
    {
        string[] lines = File.ReadAllLines(Golden("text.txt"));
        TrainedTokenizer tokenizer = Train(Unlimited, 1, [.. lines.Select(line => line + "\n")]);
        Assert.Equal(File.ReadAllLines(Golden("merges.txt")), tokenizer.Merges.Select(merge => $"{tokenizer.Tokens[merge.Left]} {tokenizer.Tokens[merge.Right]}"));
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 3)]
    [InlineData(3, 5)]
    [InlineData(4, 8)]
    public void Merges_are_those_of_the_definition(int seed, int letters)
    {
        Random random = new(seed);
        Dictionary<string, long> words = [];
        for (int i = 0; i < 200; i++)
            words[string.Concat(Enumerable.Range(0, random.Next(1, 15)).Select(_ => (char)('a' + random.Next(letters))))] = random.Next(1, 4);
        TrainedTokenizer tokenizer = BpeTrainer.Train(words, new BpeTrainerOptions { VocabularySize = 259 + 300 });
        Assert.Equal(Naive(words, 300, 2), tokenizer.Merges.Select(merge => (merge.Left, merge.Right)));
    }

    [Fact]
    public void Special_tokens_come_first_then_the_bytes_in_the_order_of_their_characters()
    {
        TrainedTokenizer tokenizer = Train(260, 1, "aa aa");
        Assert.Equal(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "!", "\""], tokenizer.Tokens.Take(5));
        Assert.Equal(256, tokenizer.Tokens.Skip(3).Take(256).Distinct().Count());
        Assert.Equal("aa", tokenizer.Tokens[259]);
        Assert.Equal(260, tokenizer.Tokens.Count);
    }

    [Fact]
    public void Special_tokens_in_the_text_are_neither_learnt_from_nor_reached_across()
    {
        TrainedTokenizer tokenizer = Train(Unlimited, 1, "ab<|endoftext|>cd<|im_start|>ab");
        Assert.Equal(["ab", "cd"], tokenizer.Tokens.Skip(259));
    }

    [Fact]
    public void A_text_that_runs_out_of_pairs_gives_a_smaller_vocabulary()
    {
        Assert.Equal(260, Train(4096, 2, "ab ab xy").Tokens.Count);
        Assert.Equal(259, Train(4096, 2, "a").Tokens.Count);
    }

    [Fact]
    public void Too_small_a_vocabulary_no_text_and_bad_special_tokens_are_refused()
    {
        Assert.Contains("259", Assert.Throws<SlipstreamException>(() => Train(258, 2, "a")).Message, StringComparison.Ordinal);
        Assert.Contains("empty", Assert.Throws<SlipstreamException>(() => Train(4096, 2, "")).Message, StringComparison.Ordinal);
        Assert.Contains("empty", Assert.Throws<SlipstreamException>(() => Train(4096, 2, "<|endoftext|>")).Message, StringComparison.Ordinal);
        Assert.Contains("twice", Assert.Throws<SlipstreamException>(() => BpeTrainer.Train(Count("a"), new BpeTrainerOptions { VocabularySize = 4096, SpecialTokens = ["x", "x"] })).Message, StringComparison.Ordinal);
        Assert.Contains("empty", Assert.Throws<SlipstreamException>(() => BpeTrainer.Train(Count("a"), new BpeTrainerOptions { VocabularySize = 4096, SpecialTokens = [""] })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Can_be_cancelled() => Assert.Throws<OperationCanceledException>(() =>
        BpeTrainer.Train(Count("aa aa"), new BpeTrainerOptions { VocabularySize = 4096 }, null, new CancellationToken(true)));

    [Fact]
    public void What_is_written_is_read_by_the_engine_with_its_template_and_end_tokens()
    {
        string folder = Directory.CreateTempSubdirectory("slipstream").FullName;
        try
        {
            TrainedTokenizer trained = Train(400, 1, File.ReadAllText(Golden("text.txt")));
            trained.Write(folder);
            Assert.Equal(["tokenizer.json", "tokenizer_config.json"], Directory.EnumerateFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
            Tokenizer tokenizer = TokenizerLoader.FromFolder(folder);
            Assert.Equal(trained.Tokens, Enumerable.Range(0, tokenizer.VocabularySize).Select(tokenizer.TokenText));
            Assert.Equal((0, 2), (tokenizer.BeginToken, tokenizer.EndToken));
            foreach (string text in (string[])["", " ", "banana 3042 ٣٤\n\n<|im_start|>user\nxé🙂<|im_end|>\n<|endoftext|>", "\0\u007f\r\n\t", "don't stop"])
            {
                IReadOnlyList<int> ids = tokenizer.Encode(text).Ids;
                Assert.Equal(text, tokenizer.Decode([.. ids]));
                Assert.Equal(text.Contains("<|im_start|>", StringComparison.Ordinal), ids.Contains(1));
            }
            Assert.Equal("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", ChatTemplates.FromFolder(folder).Render([new ChatMessage("user", "Hi")]));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(64)]
    public void Files_read_in_parts_give_the_words_of_the_whole(int partLength)
    {
        string[] special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
        string path = Path.GetTempFileName();
        try
        {
            string text = File.ReadAllText(Golden("text.txt")) + "\n\n  <|endoftext|>\nend \n x<|im_end|>  y\n\n\nz";
            File.WriteAllText(path, text);
            string[] parts = [.. TextFiles.Parts(path, special, partLength)];
            Assert.Equal(text, string.Concat(parts));
            Assert.True(parts.Length > 10);
            WordCounter counter = new(special);
            foreach (string part in parts)
                counter.Add(part);
            Assert.Equal(Count(text).OrderBy(word => word.Key, StringComparer.Ordinal), counter.Counts.OrderBy(word => word.Key, StringComparer.Ordinal));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_missing_file_and_one_that_is_not_utf8_are_refused_by_name()
    {
        Assert.Contains("does not exist", Assert.Throws<SlipstreamException>(() => TextFiles.Read(["absent.txt"], []).Count()).Message, StringComparison.Ordinal);
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, [0x61, 0xff, 0x62]);
            string message = Assert.Throws<SlipstreamException>(() => TextFiles.Read([path], []).Count()).Message;
            Assert.Contains(path, message, StringComparison.Ordinal);
            Assert.Contains("not UTF-8", message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    // Counts afresh before each merge.
    private static List<(int, int)> Naive(Dictionary<string, long> words, int most, int minimum)
    {
        List<(List<int> Symbols, long Count)> corpus = [.. words.Select(word => (word.Key.Select(letter => letter - '!' + 3).ToList(), word.Value))];
        List<(int, int)> merges = [];
        for (int id = 259; merges.Count < most; id++)
        {
            Dictionary<(int, int), long> pairs = [];
            foreach ((List<int> symbols, long count) in corpus)
                for (int i = 1; i < symbols.Count; i++)
                    pairs[(symbols[i - 1], symbols[i])] = pairs.GetValueOrDefault((symbols[i - 1], symbols[i])) + count;
            if (pairs.Count == 0)
                break;
            ((int Left, int Right) pair, long best) = pairs.OrderByDescending(p => p.Value).ThenBy(p => p.Key).First();
            if (best < minimum)
                break;
            merges.Add(pair);
            foreach ((List<int> symbols, _) in corpus)
                for (int i = 0; i + 1 < symbols.Count; i++)
                    if (symbols[i] == pair.Left && symbols[i + 1] == pair.Right)
                    {
                        symbols[i] = id;
                        symbols.RemoveAt(i + 1);
                    }
        }
        return merges;
    }

    private static TrainedTokenizer Train(int size, int minimum, params string[] texts) =>
        BpeTrainer.Train(Count(texts), new BpeTrainerOptions { VocabularySize = size, MinimumFrequency = minimum });

    private static IReadOnlyDictionary<string, long> Count(params string[] texts)
    {
        WordCounter counter = new(new BpeTrainerOptions { VocabularySize = 4096 }.SpecialTokens);
        foreach (string text in texts)
            counter.Add(text);
        return counter.Counts;
    }

    private static string Golden(string name) => Path.Combine(AppContext.BaseDirectory, "Tokenizers", "Golden", name);
}
