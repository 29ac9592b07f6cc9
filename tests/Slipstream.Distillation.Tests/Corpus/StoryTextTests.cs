using Slipstream.Distillation.Corpus;

namespace Slipstream.Distillation.Tests.Corpus;

public sealed class StoryTextTests
{
    internal const string Story =
        "Once there was a fox. He lived by a river and liked to swim in the cold water every morning. One day he met a duck who could not find her nest. "
        + "\"I will help you,\" said the fox. They looked under the old bridge and behind the tall grass, and there it was. The duck was glad.";

    private static StoryPrompt Request(ulong seed, string? system = StoryPrompts.StorySystem) => new("Write a story.", system, 220, seed);

    [Fact]
    public void Every_other_story_is_plain_and_the_rest_are_conversations()
    {
        StoryText text = new();
        Assert.Equal(Story, text.Document(Request(2), Story, finished: true));
        Assert.Equal("<|im_start|>user\nWrite a story.<|im_end|>\n<|im_start|>assistant\nIt is wet and cold, my friend.<|im_end|>\n", text.Document(Request(2, StoryPrompts.AnswerSystem), "It is wet and cold, my friend.", finished: true));
        Assert.Null(text.Document(Request(3), Story, finished: true));
        Assert.Equal(new StoryTextReport(2, 0, 0, 0, 1, Story.Length + "<|im_start|>user\nWrite a story.<|im_end|>\n<|im_start|>assistant\nIt is wet and cold, my friend.<|im_end|>\n".Length), text.Report);
    }

    [Fact]
    public void An_unfinished_sentence_is_cut_off() => Assert.Equal(Story, new StoryText().Document(Request(2), Story + " But then the", finished: false));

    [Fact]
    public void A_remark_about_the_story_is_left_out() => Assert.Equal(Story, new StoryText().Document(Request(2), Story + "\n\nThis story teaches us to help.", finished: true));

    [Fact]
    public void Typographic_marks_become_plain() =>
        Assert.Equal("It's \"wet\" - and cold...", new StoryText().Document(Request(2, null) with { Seed = 2, System = null }, "It’s “wet”—and cold…", finished: true)?.Split("assistant\n")[1].Split("<|im_end|>")[0]);

    [Theory]
    [InlineData("It is. So it is. It is. So it is. It is. So it is. It is. So it is. It is. So it is. It is. So it is. It is. So it is. It is. So it is. It is. So it is. It is. So it is.")]
    [InlineData("Él vive cerca del río.")]
    [InlineData("Look at http://example.org to see it.")]
    [InlineData("Too short.")]
    public void What_is_no_story_is_left_out(string answer) => Assert.Null(new StoryText().Document(Request(2), answer, finished: true));
}
