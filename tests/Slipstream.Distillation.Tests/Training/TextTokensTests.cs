using Slipstream.Distillation.Tokenizers;
using Slipstream.Distillation.Training;
using Slipstream.Models;

namespace Slipstream.Distillation.Tests.Training;

/// <summary>Text to tokens, and the order in which its windows come.</summary>
public sealed class TextTokensTests
{
    [Fact]
    public void Documents_follow_each_other_and_the_last_ones_are_held_out()
    {
        using TorchFixture.Folder folder = new();
        Tokenizer tokenizer = Learn(folder, TorchFixture.Text(200));
        int end = TextTokens.EndToken(tokenizer);
        TokenDataset data = TextTokens.Read(tokenizer, "t", [folder["text"]], 0.1, null, folder["tokens"]);
        string[] documents = TorchFixture.Text(200).Split(TextTokens.Separator);
        Assert.Equal(documents.SelectMany(document => tokenizer.Encode(document, addSpecialTokens: false).Ids.Append(end)), data.Training.ToArray().Concat(data.HeldOut.ToArray()));
        Assert.Equal(20, data.HeldOut.ToArray().Count(id => id == end));
        Assert.Equal(documents[..180].Sum(document => document.Length), data.TrainingBytes);
        Assert.Equal(documents[180..].Sum(document => document.Length), data.HeldOutBytes);

        TokenDataset kept = TextTokens.Read(tokenizer, "t", [folder["text"]], 0.1, null, folder["tokens"], (_, _) => Assert.Fail("The text was read again."));
        Assert.Equal(data.Training.ToArray(), kept.Training.ToArray());
        Assert.Equal(data.HeldOut.ToArray(), kept.HeldOut.ToArray());
        Assert.Equal((data.TrainingBytes, data.HeldOutBytes, data.Fingerprint), (kept.TrainingBytes, kept.HeldOutBytes, kept.Fingerprint));
        Assert.NotEqual(data.Fingerprint, TextTokens.Read(tokenizer, "t", [folder["text"]], 0.2, null, folder["tokens"]).Fingerprint);
    }

    [Fact]
    public void A_long_document_is_cut_without_changing_a_token()
    {
        using TorchFixture.Folder folder = new();
        string text = TorchFixture.Text(3000).Replace(TextTokens.Separator, "\n\n", StringComparison.Ordinal);
        Tokenizer tokenizer = Learn(folder, text);
        TokenDataset data = TextTokens.Read(tokenizer, "t", [folder["text"]], 0.05, null, null);
        Assert.Equal([.. tokenizer.Encode(text, addSpecialTokens: false).Ids, TextTokens.EndToken(tokenizer)], data.Training.ToArray().Concat(data.HeldOut.ToArray()));
        Assert.InRange((double)data.HeldOutBytes / text.Length, 0.03, 0.08);
        Assert.Equal(text.Length, data.TrainingBytes + data.HeldOutBytes);
    }

    [Fact]
    public void A_damaged_cache_is_made_again()
    {
        using TorchFixture.Folder folder = new();
        Tokenizer tokenizer = Learn(folder, TorchFixture.Text(30));
        TokenDataset data = TextTokens.Read(tokenizer, "t", [folder["text"]], 0.1, null, folder["tokens"]);
        byte[] cache = File.ReadAllBytes(folder["tokens"]);
        cache[^9] ^= 1;
        File.WriteAllBytes(folder["tokens"], cache);
        Assert.Equal(data.HeldOut.ToArray(), TextTokens.Read(tokenizer, "t", [folder["text"]], 0.1, null, folder["tokens"]).HeldOut.ToArray());
    }

    [Fact]
    public void An_absent_or_empty_file_is_named()
    {
        using TorchFixture.Folder folder = new();
        Tokenizer tokenizer = Learn(folder, TorchFixture.Text(30));
        Assert.Contains($"'{folder["none"]}' does not exist", Assert.Throws<SlipstreamException>(() => TextTokens.Read(tokenizer, "t", [folder["none"]], 0, null, null)).Message, StringComparison.Ordinal);
        File.WriteAllText(folder["empty"], "");
        Assert.Contains($"'{folder["empty"]}'", Assert.Throws<SlipstreamException>(() => TextTokens.Read(tokenizer, "t", [folder["empty"]], 0, null, null)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Each_epoch_has_every_window_once_and_depends_on_nothing_else()
    {
        WindowOrder order = new(9, windows: 50, length: 16), other = new(9, 50, 16);
        for (int epoch = 0; epoch < 4; epoch++)
        {
            long[] offsets = [.. Enumerable.Range(0, 50).Select(i => order.Offset(epoch * 50 + i))];
            Assert.Equal(50, offsets.Select(offset => offset / 16).Distinct().Count());
            Assert.All(offsets, offset => Assert.InRange(offset, 0, 50 * 16 + 15 - 16));
            Assert.Single(offsets.Select(offset => offset % 16).Distinct());
            Assert.Equal(offsets[49], new WindowOrder(9, 50, 16).Offset(epoch * 50 + 49));
        }
        Assert.Equal(order.Offset(173), other.Offset(173));
        Assert.NotEqual(Enumerable.Range(0, 50).Select(i => order.Offset(i)), Enumerable.Range(0, 50).Select(i => order.Offset(50 + i)));
    }

    private static Tokenizer Learn(TorchFixture.Folder folder, string text)
    {
        File.WriteAllText(folder["text"], text);
        BpeTrainerOptions options = new() { VocabularySize = 300 };
        WordCounter counter = new(options.SpecialTokens);
        counter.Add(text);
        BpeTrainer.Train(counter.Counts, options).Write(folder.Path);
        return TokenizerLoader.FromFolder(folder.Path);
    }
}
