using System.Text;

namespace Slipstream.Models;

/// <summary>Changes text before it is cut into pieces, and keeps track of where it came from. Stateless.</summary>
internal abstract class TextNormalizer
{
    /// <summary>The normalised text of a piece; the piece itself where nothing changes.</summary>
    public abstract Piece Normalize(Piece piece);
}

/// <summary>Canonical composition (NFC).</summary>
/// <remarks>
/// Source: Unicode Standard Annex 15. The changes are counted as the reference library counts them: a composed character has the origin of its base alone.
/// </remarks>
internal sealed class NfcNormalizer : TextNormalizer
{
    public override Piece Normalize(Piece piece)
    {
        // Nothing below U+0300 takes part in a composition or decomposes for good.
        if (piece.Span.IndexOfAnyInRange('\u0300', '\uFFFF') < 0)
            return piece;
        AlignedText made = piece.Source.Transform(piece.From, Compose(Decompose(piece.Span)));
        return new Piece(made, 0, made.Text.Length);
    }

    private static List<(int CodePoint, int Change, int Class)> Decompose(ReadOnlySpan<char> text)
    {
        List<(int CodePoint, int Change, int Class)> output = new(text.Length);
        List<int> parts = [];
        int unordered = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            parts.Clear();
            CanonicalData.Decompose(rune.Value, parts);
            for (int i = 0; i < parts.Count; i++)
            {
                int combiningClass = CanonicalData.CombiningClass(parts[i]);
                if (combiningClass == 0)
                    Order(output, unordered);
                output.Add((parts[i], i > 0 ? 1 : 0, combiningClass));
                if (combiningClass == 0)
                    unordered = output.Count;
            }
        }
        Order(output, unordered);
        return output;
    }

    // A stable sort: marks of one class keep their order.
    private static void Order(List<(int CodePoint, int Change, int Class)> output, int from)
    {
        if (output.Count - from < 2)
            return;
        (int, int, int)[] ordered = [.. output.Skip(from).OrderBy(mark => mark.Class)];
        for (int i = 0; i < ordered.Length; i++)
            output[from + i] = ordered[i];
    }

    private static List<(int CodePoint, int Change)> Compose(List<(int CodePoint, int Change, int Class)> input)
    {
        List<(int CodePoint, int Change)> output = new(input.Count);
        int starter = -1, lastClass = -1;
        foreach ((int codePoint, int change, int combiningClass) in input)
        {
            // Blocked: a mark of the same or a higher class stands between it and the starter.
            int composed = starter >= 0 && lastClass < combiningClass || starter >= 0 && lastClass < 0
                ? CanonicalData.Compose(output[starter].CodePoint, codePoint)
                : -1;
            if (composed >= 0)
            {
                output[starter] = (composed, output[starter].Change + change - 1);
                continue;
            }
            if (combiningClass == 0)
            {
                starter = output.Count;
                lastClass = -1;
            }
            else
                lastClass = combiningClass;
            output.Add((codePoint, change));
        }
        return output;
    }
}

/// <summary>Lower case, one character at a time and without regard to language.</summary>
internal sealed class LowercaseNormalizer : TextNormalizer
{
    public override Piece Normalize(Piece piece)
    {
        List<(int, int)> output = new(piece.To - piece.From);
        bool changed = false;
        foreach (Rune rune in piece.Span.EnumerateRunes())
        {
            // U+0130 is the one character whose lower case is two.
            Rune lower = rune.Value == 0x130 ? new Rune('i') : Rune.ToLowerInvariant(rune);
            changed |= lower != rune;
            output.Add((lower.Value, 0));
            if (rune.Value == 0x130)
                output.Add((0x307, 1));
        }
        if (!changed)
            return piece;
        AlignedText made = piece.Source.Transform(piece.From, output);
        return new Piece(made, 0, made.Text.Length);
    }
}
