using System.Text;

namespace Slipstream;

/// <summary>Finds stop strings in text that comes in pieces, and holds back what may become one.</summary>
internal sealed class StopStringMatcher(IReadOnlyList<string> stops)
{
    private readonly StringBuilder _held = new();

    /// <summary>Whether a stop string was found; nothing follows it.</summary>
    public bool Found { get; private set; }

    /// <summary>Adds text and returns what is certain not to be part of a stop string.</summary>
    public string Append(string text)
    {
        if (Found) return "";
        if (stops.Count == 0) return text;
        _held.Append(text);
        string all = _held.ToString();
        int at = -1;
        foreach (string stop in stops)
            if (all.IndexOf(stop, StringComparison.Ordinal) is int found and >= 0 && (at < 0 || found < at)) at = found;
        if (at >= 0)
        {
            Found = true;
            _held.Clear();
            return all[..at];
        }
        int keep = 0;
        foreach (string stop in stops)
            for (int n = Math.Min(stop.Length - 1, all.Length); n > keep; n--)
                if (all.AsSpan(all.Length - n).SequenceEqual(stop.AsSpan(0, n))) keep = n;
        _held.Remove(0, all.Length - keep);
        return all[..^keep];
    }

    /// <summary>What is still held back when the generation ends without a stop string.</summary>
    public string Flush()
    {
        string rest = _held.ToString();
        _held.Clear();
        return rest;
    }
}
