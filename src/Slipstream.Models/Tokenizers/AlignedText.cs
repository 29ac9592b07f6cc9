using System.Text;

namespace Slipstream.Models;

/// <summary>
/// A text on its way through the tokenizer, which remembers for each UTF-16 unit the code points of the original that it came from.
/// Both units of a surrogate pair have the same entry.
/// </summary>
/// <param name="text">The text as it now is; no lone surrogates.</param>
/// <param name="starts">First code point of the original, for each unit.</param>
/// <param name="ends">Code point after the last, for each unit.</param>
internal sealed class AlignedText(string text, int[] starts, int[] ends)
{
    public string Text { get; } = text;

    /// <summary><c>[start, end)</c> in the original of the units <paramref name="first"/> to <paramref name="last"/>, both included.</summary>
    public (int Start, int End) Origin(int first, int last) => (starts[first], ends[last]);

    /// <summary>The text itself as the original; lone surrogates become U+FFFD.</summary>
    public static AlignedText Of(string text)
    {
        text = WithoutLoneSurrogates(text);
        int[] starts = new int[text.Length], ends = new int[text.Length];
        int point = -1;
        for (int i = 0; i < text.Length; i++)
        {
            if (!char.IsLowSurrogate(text[i]))
                point++;
            starts[i] = point;
            ends[i] = point + 1;
        }
        return new AlignedText(text, starts, ends);
    }

    /// <summary>A range with a space before it that has the origin of the first character.</summary>
    public AlignedText WithSpaceBefore(int from, int to)
    {
        int length = to - from + 1;
        int[] s = new int[length], e = new int[length];
        (s[0], e[0]) = (starts[from], ends[from]);
        Array.Copy(starts, from, s, 1, length - 1);
        Array.Copy(ends, from, e, 1, length - 1);
        return new AlignedText(string.Concat(" ", Text.AsSpan(from, to - from)), s, e);
    }

    /// <summary>
    /// The text that a normalizer made of a range. Each new code point comes with its change: above 0 it was inserted after the one before it,
    /// at 0 it replaces one code point, at -n it replaces one and n more are gone.
    /// </summary>
    public AlignedText Transform(int from, List<(int CodePoint, int Change)> output)
    {
        StringBuilder made = new(output.Count);
        List<int> s = new(output.Count), e = new(output.Count);
        int at = from;
        Span<char> units = stackalloc char[2];
        foreach ((int codePoint, int change) in output)
        {
            int source = at;
            if (change > 0)
                source = Math.Max(at - 1, 0);
            else
                for (int gone = 0; gone <= -change && at < Text.Length; gone++)
                    at += char.IsHighSurrogate(Text[at]) ? 2 : 1;
            int count = new Rune(codePoint).EncodeToUtf16(units);
            for (int u = 0; u < count; u++)
            {
                made.Append(units[u]);
                s.Add(starts[source]);
                e.Add(ends[source]);
            }
        }
        return new AlignedText(made.ToString(), [.. s], [.. e]);
    }

    private static string WithoutLoneSurrogates(string text)
    {
        char[]? copy = null;
        for (int i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i]))
                continue;
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
                i++;
            else
                (copy ??= text.ToCharArray())[i] = '\uFFFD';
        }
        return copy is null ? text : new string(copy);
    }
}

/// <summary>A range of a text, or an added token that was found there.</summary>
/// <param name="Source">The text.</param>
/// <param name="From">First UTF-16 unit.</param>
/// <param name="To">Unit after the last.</param>
/// <param name="Added">The added token's id, or -1 where the range is still text to be encoded.</param>
internal readonly record struct Piece(AlignedText Source, int From, int To, int Added = -1)
{
    public ReadOnlySpan<char> Span => Source.Text.AsSpan(From, To - From);
}
