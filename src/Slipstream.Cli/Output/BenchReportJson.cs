using System.Text.Json;
using Slipstream.Bench;

namespace Slipstream.Cli.Output;

/// <summary>The JSON of <c>bench</c>.</summary>
internal static class BenchReportJson
{
    /// <summary>Writes the members.</summary>
    public static void Write(Utf8JsonWriter writer, BenchReport report)
    {
        writer.WriteString("model", report.Model);
        writer.WriteNumber("threads", report.Threads);
        writer.WriteNumber("repeat", report.Rounds);
        writer.WriteStartObject("machine");
        writer.WriteString("cpu", report.Machine.Cpu);
        writer.WriteNumber("cores", report.Machine.Cores);
        writer.WriteStartArray("instruction_sets");
        foreach (string set in report.Machine.InstructionSets) writer.WriteStringValue(set);
        writer.WriteEndArray();
        Number(writer, "read_bandwidth_gb_per_second", report.ReadBandwidth.PerSecond / 1e9, 2);
        Number(writer, "peak_int8_gops", report.PeakInt8.PerSecond / 1e9, 1);
        Number(writer, "peak_f32_gflops", report.PeakF32.PerSecond / 1e9, 1);
        if (report.PeakBf16 is { } bf16) Number(writer, "peak_bf16_gflops", bf16.PerSecond / 1e9, 1);
        else writer.WriteNull("peak_bf16_gflops");
        writer.WriteString("commit", report.Machine.Commit);
        writer.WriteEndObject();
        Texts(writer, "engines", report.Engines);
        Texts(writer, "notes", report.Notes);
        writer.WriteStartArray("results");
        foreach (BenchResult result in report.Results) WriteResult(writer, report, result);
        writer.WriteEndArray();
    }

    private static void WriteResult(Utf8JsonWriter writer, BenchReport report, BenchResult result)
    {
        writer.WriteStartObject();
        writer.WriteString("kind", result.Work.Name);
        writer.WriteString("format", report.Format);
        writer.WriteNumber("rows", result.Work.Rows);
        writer.WriteNumber("depth", result.Work.Depth);
        Number(writer, "tokens_per_second", result.TokensPerSecond, 3);
        Range(writer, "milliseconds", result.Milliseconds);
        writer.WriteNumber("bytes_read", result.BytesRead);
        Range(writer, "read_bandwidth_gb_per_second", result.ReadBandwidth, 1e-9);
        Number(writer, "bandwidth_fraction", result.BandwidthFraction, 4);
        Number(writer, "roofline_fraction", result.RooflineFraction, 4);
        if (result.Stages.Count > 0)
        {
            writer.WriteStartObject("profile_milliseconds");
            foreach ((string stage, double milliseconds) in result.Stages) Number(writer, stage, milliseconds, 4);
            writer.WriteEndObject();
        }
        if (result.FastestPeer is { } fastest)
        {
            IReadOnlyDictionary<string, Spread> peers = result.Peers;
            (double ratio, int rounds) = result.Against(fastest);
            writer.WriteString("peer", fastest);
            Number(writer, "peer_tokens_per_second", result.Work.Rows * 1000 / peers[fastest].Median, 3);
            Number(writer, "ratio", ratio, 4);
            writer.WriteNumber("alike_rounds", rounds);
            writer.WriteStartObject("peers");
            foreach ((string name, Spread times) in peers)
            {
                writer.WriteStartObject(name);
                Number(writer, "tokens_per_second", result.Work.Rows * 1000 / times.Median, 3);
                Range(writer, "milliseconds", times);
                Range(writer, "read_bandwidth_gb_per_second", Spread.Of(result.Others[name].Select(sample => sample.ReadBandwidth)), 1e-9);
                writer.WriteEndObject();
            }
            writer.WriteEndObject();
        }
        writer.WriteEndObject();
    }

    private static void Range(Utf8JsonWriter writer, string name, Spread values, double factor = 1)
    {
        writer.WriteStartObject(name);
        Number(writer, "min", factor * values.Min, 4);
        Number(writer, "median", factor * values.Median, 4);
        Number(writer, "max", factor * values.Max, 4);
        writer.WriteEndObject();
    }

    private static void Texts(Utf8JsonWriter writer, string name, IReadOnlyList<string> texts)
    {
        writer.WriteStartArray(name);
        foreach (string text in texts) writer.WriteStringValue(text);
        writer.WriteEndArray();
    }

    private static void Number(Utf8JsonWriter writer, string name, double value, int digits) => writer.WriteNumber(name, Math.Round(value, digits));
}
