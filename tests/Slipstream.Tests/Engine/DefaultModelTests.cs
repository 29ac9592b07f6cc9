using Slipstream.Tests.Checkpoints;
using Slipstream.Tests.Tokenizers;

namespace Slipstream.Tests.Engine;

public sealed class DefaultModelTests
{
    [Fact]
    public void Lies_beside_the_program_and_its_absence_is_one_sentence()
    {
        Assert.Equal(Path.Combine(AppContext.BaseDirectory, "default-model"), DefaultModel.Folder);
        using TempFolder folder = new();
        Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => DefaultModel.Find(folder.Path, "target.gguf")), "target.gguf", "Slipstream.DefaultModel");
        string file = folder.Write("target.gguf", "x");
        Assert.Equal(file, DefaultModel.Find(folder.Path, "target.gguf"));
    }

    [Fact]
    public void Loads_with_its_draft_where_the_build_has_it()
    {
        if (!DefaultModel.IsPresent)
        {
            Failures.AssertSentence(Assert.Throws<SlipstreamException>(() => LanguageModel.LoadDefault()), "Slipstream.DefaultModel");
            return;
        }
        using (LanguageModel model = LanguageModel.LoadDefault())
            Assert.True(model.DraftParameters > 0);
        using LanguageModel plain = LanguageModel.LoadDefault(draft: false);
        Assert.Null(plain.DrafterName);
    }
}
