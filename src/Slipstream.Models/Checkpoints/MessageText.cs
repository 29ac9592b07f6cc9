using System.Globalization;
using System.Text;

namespace Slipstream.Models;

/// <summary>Makes text from a file fit for a one-sentence message: a hostile name cannot flood or repaint a terminal.</summary>
internal static class MessageText
{
    private const int Longest = 100;

    /// <summary>The text without control, direction and half characters, cut after 100 characters.</summary>
    public static string Clip(string text)
    {
        StringBuilder clipped = new(Math.Min(text.Length, Longest) + 1);
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, Longest)))
            clipped.Append(IsPlain(c) ? c : '\uFFFD');
        if (text.Length > Longest) clipped.Append('…');
        return clipped.ToString();
    }

    private static bool IsPlain(char c) => char.GetUnicodeCategory(c)
        is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);
}
