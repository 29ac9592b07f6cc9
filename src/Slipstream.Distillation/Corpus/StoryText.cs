using System.Text;
using Slipstream.Distillation.Tokenizers;

namespace Slipstream.Distillation.Corpus;

/// <summary>What became of the answers of a corpus.</summary>
/// <param name="Documents">Kept, each a document of the text.</param>
/// <param name="Short">Left out: too few words, once an unfinished sentence was cut off.</param>
/// <param name="Repetitive">Left out: they repeat themselves.</param>
/// <param name="Foreign">Left out: they hold letters other than English ones, web addresses or code.</param>
/// <param name="Duplicates">Left out: another answer is the same.</param>
/// <param name="Characters">Characters of the text.</param>
internal sealed record StoryTextReport(int Documents, int Short, int Repetitive, int Foreign, int Duplicates, long Characters);

/// <summary>Turns a model's answers into the documents of a training text: plain stories, and conversations in ChatML.</summary>
internal sealed class StoryText
{
    /// <summary>What stands between documents.</summary>
    public const string Separator = TrainedTokenizer.EndOfText;

    /// <summary>The least share of distinct 3-grams of words: below it, a text goes round in circles.</summary>
    private const double LeastDistinct = 0.85;

    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);
    private int _documents, _short, _repetitive, _foreign, _duplicates;
    private long _characters;

    /// <summary>What became of the answers so far.</summary>
    public StoryTextReport Report => new(_documents, _short, _repetitive, _foreign, _duplicates, _characters);

    /// <summary>The document of an answer, or null where it is left out.</summary>
    /// <param name="prompt">The request.</param>
    /// <param name="answer">The answer's text.</param>
    /// <param name="finished">Whether the answer ended by itself; else its last, unfinished sentence is cut off.</param>
    /// <remarks>Every other story is plain text, to be continued from its first words; the others and all short answers are conversations.</remarks>
    public string? Document(StoryPrompt prompt, string answer, bool finished)
    {
        bool story = prompt.System == StoryPrompts.StorySystem;
        string text = Normalize(answer);
        if (!finished) text = ToLastSentence(text);
        if (!text.All(c => c is '\n' or >= ' ' and <= '~') || text.Contains("http", StringComparison.Ordinal) || text.IndexOfAny(['{', '<', '*', '#', '|', '\\', '_']) >= 0)
            return Skip(ref _foreign);
        string[] words = text.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
        if (words.Length < (story ? 40 : 4)) return Skip(ref _short);
        if (DistinctShare(words) < LeastDistinct) return Skip(ref _repetitive);
        if (!_seen.Add(text)) return Skip(ref _duplicates);
        string document = story && prompt.Seed % 2 == 0 ? text : $"<|im_start|>user\n{prompt.Chat}<|im_end|>\n<|im_start|>assistant\n{text}<|im_end|>\n";
        _documents++;
        _characters += document.Length;
        return document;
    }

    private static string? Skip(ref int count)
    {
        count++;
        return null;
    }

    /// <summary>Plain quotes, dashes and spaces; no blank lines, and no line of praise or moral about the story after it is told.</summary>
    private static string Normalize(string text)
    {
        StringBuilder clean = new(text.Length);
        foreach (char c in text)
        {
            switch (c)
            {
                case '\u2018' or '\u2019': clean.Append('\''); break;
                case '\u201c' or '\u201d': clean.Append('"'); break;
                case '\u2013' or '\u2014': clean.Append(" - "); break;
                case '\u2026': clean.Append("..."); break;
                case '\r' or '\t' or '\u00a0': clean.Append(' '); break;
                default: clean.Append(c); break;
            }
        }
        IEnumerable<string> lines = clean.ToString().Split('\n').Select(line => string.Join(' ', line.Split(' ', StringSplitOptions.RemoveEmptyEntries))).Where(line => line.Length > 0);
        return string.Join('\n', lines.TakeWhile((line, i) => i == 0 || !IsRemark(line)));
    }

    private static bool IsRemark(string line) =>
        line.StartsWith("This story", StringComparison.Ordinal) || line.StartsWith("The story", StringComparison.Ordinal) || line.StartsWith("In this story", StringComparison.Ordinal)
        || line.StartsWith("Note", StringComparison.Ordinal) || line.StartsWith("I hope", StringComparison.Ordinal);

    private static string ToLastSentence(string text)
    {
        for (int i = text.Length - 1; i > 0; i--)
        {
            if (text[i] is not ('.' or '!' or '?')) continue;
            bool quoted = i + 1 < text.Length && text[i + 1] == '"';
            return text[..(i + (quoted ? 2 : 1))];
        }
        return "";
    }

    private static double DistinctShare(string[] words)
    {
        if (words.Length < 10) return 1;
        HashSet<(string, string, string)> distinct = [];
        for (int i = 2; i < words.Length; i++) distinct.Add((words[i - 2], words[i - 1], words[i]));
        return distinct.Count / (double)(words.Length - 2);
    }
}
