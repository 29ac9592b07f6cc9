using System.Globalization;
using Slipstream.Bench;
using Spectre.Console;

namespace Slipstream.Cli.Output;

/// <summary>The figures of <c>bench</c> as a table: drawn on a terminal, Markdown on a pipe.</summary>
internal static class BenchReportTable
{
    /// <summary>Prints it.</summary>
    public static void Print(CliConsole console, BenchReport report)
    {
        List<string> head = [.. Head(report)];
        List<(string Title, bool Right)> columns = [("kind", false), ("rows", true), ("depth", true), ("tok/s", true), ("ms (least–greatest)", true), ("reads GB/s", true), ("bandwidth", true), ("roofline", true)];
        List<string> names = [.. report.Results.SelectMany(r => r.Peers.Keys).Distinct()];
        foreach (string name in names) columns.Add((name + " tok/s", true));
        if (names.Count > 0) columns.Add(("ratio", true));
        List<string[]> rows = [.. report.Results.Select(result => Row(result, names))];
        if (console.IsOutputTerminal) Draw(console.Rendered, head, columns, rows, report.Notes);
        else Write(console.Out, head, columns, rows, report.Notes);
        if (report.Results.FirstOrDefault(r => r.Stages.Count > 0) is not { } profiled) return;
        columns = [("milliseconds of the calling thread", false), .. profiled.Stages.Select(s => (s.Stage, true)), ("all", true)];
        rows = [.. report.Results.Where(r => r.Stages.Count > 0).Select(r => (string[])[r.Work.ToString(), .. r.Stages.Select(s => Spread.Format(s.Milliseconds)), Spread.Format(r.Stages.Sum(s => s.Milliseconds))])];
        if (console.IsOutputTerminal) Draw(console.Rendered, [], columns, rows, []);
        else Write(console.Out, [], columns, rows, []);
    }

    private static IEnumerable<string> Head(BenchReport report)
    {
        Machine machine = report.Machine;
        yield return $"{report.Model}, {report.Format}, {report.Threads} {(report.Threads == 1 ? "thread" : "threads")}, {report.Rounds} {(report.Rounds == 1 ? "round" : "rounds")} after two that do not count";
        yield return $"{machine.Cpu}, {machine.Cores} processors, {string.Join(' ', machine.InstructionSets)}; {machine.System}; commit {machine.Commit ?? "not known"}{(machine.Load is { } load ? string.Create(CultureInfo.InvariantCulture, $"; load before {load:0.00}") : "")}";
        yield return string.Create(CultureInfo.InvariantCulture, $"reads {report.ReadBandwidth.PerSecond / 1e9:0.0} GB/s ({report.ReadBandwidth.Streams} streams a thread); {report.PeakInt8.PerSecond / 1e9:0} GOP/s on 8-bit integers ({report.PeakInt8.Kernel}); {report.PeakF32.PerSecond / 1e9:0} GFLOP/s on 32-bit floats ({report.PeakF32.Kernel}){(report.PeakBf16 is { } bf16 ? $"; {bf16.PerSecond / 1e9:0} on 16-bit floats ({bf16.Kernel})" : "")}");
        foreach (string engine in report.Engines) yield return engine;
    }

    private static string[] Row(BenchResult result, List<string> names)
    {
        List<string> cells =
        [
            result.Work.Name, Text(result.Work.Rows), Text(result.Work.Depth), Spread.Format(result.TokensPerSecond),
            $"{Spread.Format(result.Milliseconds.Median)} ({Spread.Format(result.Milliseconds.Min)}–{Spread.Format(result.Milliseconds.Max)})",
            $"{Spread.Format(result.ReadBandwidth.Median / 1e9)} ({Spread.Format(result.ReadBandwidth.Min / 1e9)}–{Spread.Format(result.ReadBandwidth.Max / 1e9)})",
            Percent(result.BandwidthFraction), Percent(result.RooflineFraction),
        ];
        IReadOnlyDictionary<string, Spread> peers = result.Peers;
        foreach (string name in names) cells.Add(peers.TryGetValue(name, out Spread? times) ? $"{Spread.Format(result.Work.Rows * 1000 / times.Median)} ({Spread.Format(result.Work.Rows * 1000 / times.Max)}–{Spread.Format(result.Work.Rows * 1000 / times.Min)})" : "");
        if (names.Count > 0) cells.Add(result.FastestPeer is { } fastest ? Ratio(result, fastest) : "");
        return [.. cells];
    }

    private static string Ratio(BenchResult result, string peer)
    {
        (double ratio, int rounds) = result.Against(peer);
        string alike = rounds == result.Ours.Count ? "" : rounds == 0 ? ", no round alike" : $", {rounds} of {result.Ours.Count} rounds alike";
        return string.Create(CultureInfo.InvariantCulture, $"{ratio:0.00} ({peer}{alike})");
    }

    private static void Draw(IAnsiConsole console, List<string> head, List<(string Title, bool Right)> columns, List<string[]> rows, IReadOnlyList<string> notes)
    {
        foreach (string line in head) console.MarkupLineInterpolated($"[grey]{line}[/]");
        Table table = new Table().Border(TableBorder.Rounded);
        foreach ((string title, bool right) in columns) table.AddColumn(new TableColumn(title) { Alignment = right ? Justify.Right : Justify.Left });
        foreach (string[] row in rows) table.AddRow([.. row.Select(Markup.Escape)]);
        console.Write(table);
        foreach (string note in notes) console.MarkupLineInterpolated($"[grey]{note}[/]");
    }

    private static void Write(TextWriter writer, List<string> head, List<(string Title, bool Right)> columns, List<string[]> rows, IReadOnlyList<string> notes)
    {
        foreach (string line in head) writer.WriteLine("- " + line);
        writer.WriteLine();
        writer.WriteLine($"| {string.Join(" | ", columns.Select(c => c.Title))} |");
        writer.WriteLine($"|{string.Join('|', columns.Select(c => c.Right ? "---:" : "---"))}|");
        foreach (string[] row in rows) writer.WriteLine($"| {string.Join(" | ", row)} |");
        if (notes.Count > 0) writer.WriteLine();
        foreach (string note in notes) writer.WriteLine("- " + note);
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Percent(double fraction) => string.Create(CultureInfo.InvariantCulture, $"{100 * fraction:0} %");
}
