using System.Collections.Immutable;
using System.Text.Json;

namespace Slipstream.Distillation.Corpus;

/// <summary>A request for one text of the corpus, as <c>slipstream generate --prompts</c> reads it.</summary>
/// <param name="Chat">The message to answer.</param>
/// <param name="System">The system message that sets the style, or null.</param>
/// <param name="MaxTokens">The most tokens of the answer.</param>
/// <param name="Seed">The seed of the sampling: the request's own number, so that a corpus can be made again.</param>
internal sealed record StoryPrompt(string Chat, string? System, int MaxTokens, ulong Seed);

/// <summary>Prompts for a corpus of simple stories and short dialogues: word lists filled into patterns, no two alike.</summary>
/// <remarks>The idea is that of TinyStories (Eldan and Li 2023, arXiv:2305.07759): random words in the request keep a model from writing the same story again.</remarks>
internal static class StoryPrompts
{
    /// <summary>The system message of stories.</summary>
    public const string StorySystem = "You tell short stories to small children in short sentences and easy words.";

    /// <summary>The system message of answers.</summary>
    public const string AnswerSystem = "You are a kind friend. You answer small children in one or two short sentences with easy words.";

    private static readonly string[] Sizes = ["little", "big", "young", "small", "brave", "shy"];

    private static readonly string[] Openings = ["Once upon a time", "One day", "One morning", "There was once", "It was a sunny day", "Long ago", "Every day", "Last winter", "One night", "It was late"];

    /// <summary>Makes prompts.</summary>
    /// <param name="count">How many, at least 0.</param>
    /// <param name="seed">The same seed gives the same prompts; a longer list begins with the shorter one.</param>
    /// <param name="excluded">Messages that must not occur, such as those held out for evaluation.</param>
    /// <returns>The prompts, with distinct messages.</returns>
    /// <exception cref="InvalidOperationException">The patterns have no more new messages to give.</exception>
    public static IEnumerable<StoryPrompt> Create(int count, int seed, IReadOnlySet<string> excluded)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentNullException.ThrowIfNull(excluded);
        return Generate(count, seed, excluded);
    }

    private static IEnumerable<StoryPrompt> Generate(int count, int seed, IReadOnlySet<string> excluded)
    {
        Words words = Words.Read();
        var random = new Random(seed);
        var seen = new HashSet<string>(excluded, StringComparer.Ordinal);
        int repeats = 0;
        for (ulong number = 0; number < (ulong)count;)
        {
            (string chat, string? system, int maxTokens) = One(words, random);
            if (!seen.Add(chat))
            {
                if (++repeats > 100_000)
                    throw new InvalidOperationException($"the patterns gave {number} different prompts and no more; ask for fewer than {count}");
                continue;
            }

            yield return new StoryPrompt(chat, system, maxTokens, number + 1);
            number++;
        }
    }

    private static (string Chat, string? System, int MaxTokens) One(Words words, Random random)
    {
        string Pick(ImmutableArray<string> list) => list[random.Next(list.Length)];
        string Thing() => WithArticle(Pick(words.Things));
        string Event() => Pick(words.Events).Replace("{thing}", Thing(), StringComparison.Ordinal);
        string Hero() => random.Next(5) switch
        {
            0 => $"a child named {Pick(words.Names)} who",
            1 => $"a {Pick([.. Sizes])} {Pick(words.Animals)} named {Pick(words.Names)} who",
            2 => $"{WithArticle(Pick(words.Animals))} named {Pick(words.Names)} who",
            3 => $"{WithArticle(Pick(words.Animals))} who",
            _ => WithArticle(Pick(words.People)) + " who",
        };
        string Wanted() => $"Use the words \"{Pick(words.Wanted)}\" and \"{Pick(words.Wanted)}\".";

        int kind = random.Next(100);
        if (kind < 66)
        {
            string story = random.Next(4) switch
            {
                0 => $"Write a story about {Hero()} {Event()} {Pick(words.Places)}.",
                1 => $"Tell a story about {Hero()} {Event()}. {Wanted()}",
                2 => $"Write a story about {WithArticle(Pick(words.Animals))} and {WithArticle(Pick(words.Animals))} {Pick(words.Places)}. {Wanted()}",
                _ => $"Tell a story about {Hero()} {Event()}. Begin with \"{Pick([.. Openings])}\".",
            };
            return (story, StorySystem, 220);
        }

        if (kind < 74)
            return ($"Write a story in which {WithArticle(Pick(words.Animals))} and {WithArticle(Pick(words.Animals))} talk about {Pick(words.Topics)} {Pick(words.Places)}. {Wanted()}", StorySystem, 200);
        string question = random.Next(8) switch
        {
            0 => $"What is {Pick(words.Topics)}? Tell it to {Pick(words.Names)}, who is {random.Next(3, 9)} years old.",
            1 => $"Hello! My name is {Pick(words.Names)}. I like {Pick(words.Topics)} and {Pick(words.Subjects)}. What do you like?",
            2 => $"Why do {Pick(words.Subjects)} like {Pick(words.Topics)}?",
            3 => $"I am {Pick(words.Feelings)} because I saw {WithArticle(Pick(words.Animals))} {Pick(words.Places)}. What can I do?",
            4 => $"How do I {Pick(words.Activities)} when I am {Pick(words.Feelings)}?",
            5 => $"Tell me something nice about {Pick(words.Subjects)} and {Pick(words.Topics)}.",
            6 => $"My friend {Pick(words.Names)} is {Pick(words.Feelings)}. Should we {Pick(words.Activities).Replace(" my ", " our ", StringComparison.Ordinal)}?",
            _ => $"What can I do with {Thing()} {Pick(words.Places)}?",
        };
        return (question, AnswerSystem, 90);
    }

    private static string WithArticle(string noun)
    {
        string article = "aeiou".Contains(noun[0], StringComparison.Ordinal) ? "an " : "a ";
        return article + noun;
    }

    private sealed record Words(
        ImmutableArray<string> Names, ImmutableArray<string> Animals, ImmutableArray<string> People, ImmutableArray<string> Things, ImmutableArray<string> Places,
        ImmutableArray<string> Events, ImmutableArray<string> Wanted, ImmutableArray<string> Topics, ImmutableArray<string> Subjects, ImmutableArray<string> Feelings,
        ImmutableArray<string> Activities)
    {
        public static Words Read()
        {
            using Stream stream = typeof(StoryPrompts).Assembly.GetManifestResourceStream("Slipstream.Distillation.Corpus.story-words.json")
                ?? throw new InvalidOperationException("the word lists are missing from the assembly");
            using JsonDocument document = JsonDocument.Parse(stream);
            ImmutableArray<string> List(string name) => [.. document.RootElement.GetProperty(name).EnumerateArray().Select(x => x.GetString()!)];
            return new Words(
                List("names"), List("animals"), List("people"), List("things"), List("places"), List("events"), List("words"), List("topics"), List("subjects"),
                List("feelings"), List("activities"));
        }
    }
}
