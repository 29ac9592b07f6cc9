using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Slipstream.Benchmarks;

/// <summary>What was measured, where and how.</summary>
/// <param name="Machine">The machine.</param>
/// <param name="Engines">Each engine in a line.</param>
/// <param name="Measurements">The figures, round by round.</param>
/// <param name="Notes">What a reader must know beside them.</param>
internal sealed record Report(Machine Machine, IReadOnlyList<string> Engines, IReadOnlyList<Measurement> Measurements, IReadOnlyList<string> Notes)
{
    /// <summary>Fewer rounds say nothing about noise.</summary>
    internal const int FewestRounds = 5;

    /// <summary>How figures are written.</summary>
    internal static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    /// <summary>The report as a page.</summary>
    public string ToMarkdown(string title, int rounds, string? peer)
    {
        StringBuilder text = new();
        text.AppendLine($"# {title}").AppendLine().AppendLine(Machine.ToMarkdown());
        foreach (string engine in Engines) text.AppendLine($"- {engine}");
        if (rounds < FewestRounds) text.AppendLine().AppendLine($"**A trial: {rounds} of at least {FewestRounds} rounds. Not a result.**");
        text.AppendLine().AppendLine(peer is null
            ? $"Rounds: {rounds}, after two that do not count: median (least–greatest)."
            : $"Rounds: {rounds}, Slipstream and {peer} in turn, after two that do not count: median (least–greatest). Gain: how many times better Slipstream is in the same round, above 1 where it is faster or cheaper.");
        text.AppendLine();
        if (peer is null)
        {
            text.AppendLine("| | unit | Slipstream |").AppendLine("|---|---|---|");
            foreach (Measurement m in Measurements) text.AppendLine($"| {m.Name} | {m.Unit} | {Spread.Of(m.Ours)} |");
        }
        else
        {
            text.AppendLine($"| | unit | Slipstream | {peer} | gain |").AppendLine("|---|---|---|---|---|");
            foreach (Measurement m in Measurements)
                text.AppendLine($"| {m.Name} | {m.Unit} | {Spread.Of(m.Ours)} | {(m.Peer.Count == 0 ? "" : Spread.Of(m.Peer).ToString())} | {m.Gain?.ToString() ?? ""} |");
        }
        text.AppendLine();
        foreach (string note in Notes) text.AppendLine($"- {note}");
        return text.ToString();
    }

    /// <summary>Writes everything as JSON, one value a round.</summary>
    /// <param name="path">Where; null for nowhere.</param>
    public void WriteJson(string? path)
    {
        if (path is not null) File.WriteAllText(path, JsonSerializer.Serialize(this, Indented));
    }
}
