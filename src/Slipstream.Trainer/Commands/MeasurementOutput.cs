using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Slipstream.Distillation.Drafts.Measuring;
using Spectre.Console;
using static Slipstream.Trainer.Texts;

namespace Slipstream.Trainer.Commands;

/// <summary>A measurement of drafts as a table and as JSON.</summary>
internal static class MeasurementOutput
{
    private static readonly JsonWriterOptions OneLine = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Prints the table and the verdicts.</summary>
    public static void WriteTable(TextWriter output, MeasurementReport report, bool terminal)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(output),
            Ansi = terminal ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = terminal && Environment.GetEnvironmentVariable("NO_COLOR") is null or "" ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
        });
        // A file has no width at which lines would have to wrap.
        if (!terminal) console.Profile.Width = 200;
        Table table = new Table().Border(terminal ? TableBorder.Rounded : TableBorder.Markdown);
        foreach (string column in (ReadOnlySpan<string>)["draft", "temperature", "K =", "acceptance", "tokens/verification", "c", "v", "predicted", "speed-up", "over prompts"])
            table.AddColumn(new TableColumn(column) { Alignment = column == "draft" ? Justify.Left : Justify.Right });
        foreach (DraftReport draft in report.Drafts)
            foreach (DraftLine line in draft.Lines)
                table.AddRow(
                    Markup.Escape(draft.Draft.Name), line.Temperature == 0 ? "greedy" : Invariant($"{line.Temperature:0.##}"), Invariant($"{line.Length}"), Invariant($"{100 * line.Acceptance:0.0} %"),
                    Invariant($"{line.TokensPerVerification:0.00}"), Invariant($"{line.DraftCost:0.000}"), Invariant($"{line.VerifyCost:0.00}"), Invariant($"{line.Predicted:0.00}x"), Invariant($"{line.SpeedUp:0.00}x"),
                    Invariant($"{line.SpeedUps.Min():0.00}-{line.SpeedUps.Max():0.00}x"));
        console.Write(table);
        string speeds = string.Join(", ", report.PlainTokensPerSecond.Select(entry => Invariant($"{entry.Speed:0.0} tokens/s {(entry.Temperature == 0 ? "greedy" : Invariant($"at temperature {entry.Temperature:0.##}"))}")));
        console.WriteLine(Invariant($"{report.Prompts} prompts; plain decoding {speeds}{(double.IsNaN(report.DistinctTrigrams) ? "" : Invariant($"; distinct 3-grams of the greedy answers {report.DistinctTrigrams:0.00}"))}"));
        foreach (DraftReport draft in report.Drafts)
        {
            foreach ((double temperature, DraftVerdict verdict) in draft.Verdicts)
                console.WriteLine(Invariant($"{draft.Draft.Name}, {(temperature == 0 ? "greedy" : Invariant($"temperature {temperature:0.##}"))}: {verdict.Name}: {verdict.Reason}"));
            console.MarkupLineInterpolated($"[bold]{draft.Draft.Name}: [{(draft.Use ? "green" : "yellow")}]{(draft.Use ? "use it" : "no gain")}[/][/]");
        }
    }

    /// <summary>The measurement as one line of JSON, after members of the caller's own.</summary>
    public static string Json(MeasurementReport? report, Action<Utf8JsonWriter>? before = null)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, OneLine))
        {
            json.WriteStartObject();
            before?.Invoke(json);
            if (report is not null) Write(json, report);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void Write(Utf8JsonWriter json, MeasurementReport report)
    {
        json.WriteString("target", report.Target);
        json.WriteNumber("prompts", report.Prompts);
        if (double.IsFinite(report.DistinctTrigrams)) Number(json, "distinct_3_grams", report.DistinctTrigrams);
        json.WriteStartArray("plain");
        foreach ((double temperature, double speed) in report.PlainTokensPerSecond)
        {
            json.WriteStartObject();
            json.WriteNumber("temperature", temperature);
            Number(json, "tokens_per_second", speed);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteNumber("least_speed_up", DraftVerdict.Least);
        json.WriteStartArray("drafts");
        foreach (DraftReport draft in report.Drafts) Write(json, draft);
        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, DraftReport draft)
    {
        json.WriteStartObject();
        json.WriteString("name", draft.Draft.Name);
        json.WriteString("draft", draft.Draft.Path);
        json.WriteNumber("draft_parameters", draft.Parameters);
        json.WriteString("verdict", draft.Use ? "use it" : "no gain");
        json.WriteStartArray("verdicts");
        foreach ((double temperature, DraftVerdict verdict) in draft.Verdicts)
        {
            json.WriteStartObject();
            json.WriteNumber("temperature", temperature);
            json.WriteString("verdict", verdict.Name);
            json.WriteNumber("draft_length", verdict.Length);
            Number(json, "speed_up", verdict.SpeedUp);
            json.WriteString("reason", verdict.Reason);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartArray("lines");
        foreach (DraftLine line in draft.Lines)
        {
            json.WriteStartObject();
            json.WriteNumber("temperature", line.Temperature);
            json.WriteNumber("draft_length", line.Length);
            Number(json, "acceptance_rate", line.Acceptance);
            Number(json, "draft_efficiency", line.Efficiency);
            Number(json, "tokens_per_verification", line.TokensPerVerification);
            Number(json, "draft_cost", line.DraftCost);
            Number(json, "verify_cost", line.VerifyCost);
            Number(json, "predicted_speed_up", line.Predicted);
            Number(json, "textbook_bound", SpeculationModel.TextbookBound(line.Acceptance, line.Length, line.DraftCost));
            Number(json, "speed_up", line.SpeedUp);
            json.WriteStartArray("speed_ups");
            foreach (double speedUp in line.SpeedUps) json.WriteNumberValue(Math.Round(speedUp, 4));
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    // JSON has no number for what could not be measured.
    private static void Number(Utf8JsonWriter json, string name, double value)
    {
        if (double.IsFinite(value)) json.WriteNumber(name, Math.Round(value, 4));
        else json.WriteNull(name);
    }
}
