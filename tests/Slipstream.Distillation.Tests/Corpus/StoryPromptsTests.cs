using Slipstream.Distillation.Corpus;

namespace Slipstream.Distillation.Tests.Corpus;

public sealed class StoryPromptsTests
{
    [Fact]
    public void No_two_prompts_are_alike_and_a_longer_list_begins_with_the_shorter()
    {
        StoryPrompt[] many = [.. StoryPrompts.Create(5000, 1, new HashSet<string>())];
        Assert.Equal(5000, many.Select(x => x.Chat).Distinct(StringComparer.Ordinal).Count());
        Assert.Equal(many.Take(200), StoryPrompts.Create(200, 1, new HashSet<string>()));
        Assert.NotEqual(many.Take(200), StoryPrompts.Create(200, 2, new HashSet<string>()));
    }

    [Fact]
    public void Excluded_messages_do_not_occur()
    {
        StoryPrompt[] first = [.. StoryPrompts.Create(50, 1, new HashSet<string>())];
        HashSet<string> excluded = [.. first.Take(10).Select(x => x.Chat)];
        Assert.DoesNotContain(StoryPrompts.Create(50, 1, excluded), x => excluded.Contains(x.Chat));
    }

    [Fact]
    public void Every_placeholder_is_filled() => Assert.DoesNotContain(StoryPrompts.Create(5000, 3, new HashSet<string>()), x => x.Chat.Contains('{', StringComparison.Ordinal));
}
