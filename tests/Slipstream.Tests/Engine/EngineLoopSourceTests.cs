namespace Slipstream.Tests.Engine;

/// <summary>The engine loop knows no technique by name: flags of one feature would make its file grow with each new one.</summary>
public sealed class EngineLoopSourceTests
{
    private static readonly string? Repository = FindRepository();

    [Fact]
    public void No_technique_is_named()
    {
        string[] words = BannedWords();
        string[] lines = File.ReadAllLines(Path.Combine(Repository!, "src", "Slipstream.Engine", "Scheduling", "EngineLoop.cs"));
        Assert.Contains(lines, line => line.Contains("class EngineLoop", StringComparison.Ordinal));
        Assert.Empty(Hits(lines, words));
    }

    [Fact]
    public void A_named_technique_is_found()
    {
        Assert.Equal(["2: lookup", "3: quant"], Hits(["if (_drafter is null) return;", "if (_drafter is PromptLookupDrafter)", "bool useQuantizedCache;"], BannedWords()));
    }

    private static string[] BannedWords()
    {
        Assert.SkipWhen(Repository is null, "The sources were not found above the test program: it runs outside the repository.");
        return [.. File.ReadLines(Path.Combine(Repository!, "build", "engine-loop-banned-words.txt")).Where(line => line.Length > 0 && line[0] != '#')];
    }

    private static List<string> Hits(string[] lines, string[] words)
    {
        List<string> hits = [];
        for (int i = 0; i < lines.Length; i++)
            foreach (string word in words)
                if (lines[i].Contains(word, StringComparison.OrdinalIgnoreCase))
                    hits.Add($"{i + 1}: {word}");
        return hits;
    }

    private static string? FindRepository()
    {
        for (DirectoryInfo? d = new(AppContext.BaseDirectory); d is not null; d = d.Parent)
            if (File.Exists(Path.Combine(d.FullName, "Slipstream.slnx")))
                return d.FullName;
        return null;
    }
}
