using Slipstream.Models;
using Slipstream.Tests.Hostile;

namespace Slipstream.Tests.Checkpoints;

/// <summary>A draft of a GGUF target is trained without a tokenizer; converted, it takes the target's.</summary>
public sealed class TokenizerOfAnotherFileTests
{
    private const string Text = "Once upon a time, 12 foxes <|im_end|> lived\nby the sea.";

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_file_has_the_other_ones_tokenizer_template_and_end_tokens(bool fromGguf)
    {
        using TempFolder folder = new();
        string target = DefaultModel.TargetPath, model = new TinyModel(vocabulary: 4096).Write(folder), output = folder.File("draft.gguf");
        if (fromGguf)
        {
            GgufConverter.Convert(model, folder.File("none.gguf"), new GgufConversionOptions { Format = "F32" });
            model = folder.File("none.gguf");
        }
        GgufConverter.Convert(model, output, new GgufConversionOptions { Format = "F32", TokenizerFrom = target });
        using Checkpoint made = Checkpoint.Open(output), other = Checkpoint.Open(target);
        Assert.Equal(CheckpointText.Tokenizer(other).Encode(Text).Ids, CheckpointText.Tokenizer(made).Encode(Text).Ids);
        List<string> keys = [.. other.Gguf!.Keys.Where(key => key.StartsWith("tokenizer.", StringComparison.Ordinal))];
        Assert.Contains("tokenizer.chat_template", keys);
        Assert.Equal(keys.Select(other.Gguf.Describe), keys.Select(made.Gguf!.Describe));
        Assert.Equal(keys.Order(), made.Gguf.Keys.Where(key => key.StartsWith("tokenizer.", StringComparison.Ordinal)).Order());
        Assert.Equal("llama", made.Architecture);
    }

    [Fact]
    public void What_does_not_fit_is_refused_by_name()
    {
        using TempFolder folder = new();
        string small = new TinyModel().Write(folder, "small"), none = folder.File("none.gguf"), target = DefaultModel.TargetPath;
        Assert.Equal($"'{target}' has a vocabulary of 4096 tokens, '{small}' one of 32; name a file of the model's vocabulary.", Refusal(small, target));
        Assert.Equal($"'{small}' is no GGUF file, so its tokenizer cannot be taken over; put the folder's tokenizer.json beside the model instead.", Refusal(small, small));
        GgufConverter.Convert(small, none, new GgufConversionOptions { Format = "F32" });
        Assert.Equal($"'{none}' has no tokenizer; name a file that has one.", Refusal(small, none));
        Assert.False(File.Exists(folder.File("out.gguf")));

        string Refusal(string model, string tokenizer) =>
            Assert.Throws<SlipstreamException>(() => GgufConverter.Convert(model, folder.File("out.gguf"), new GgufConversionOptions { TokenizerFrom = tokenizer })).Message;
    }
}
