using System.Globalization;
using Slipstream.Cli.Commands;
using Slipstream.Speculation;
using Spectre.Console;

namespace Slipstream.Cli.Output;

/// <summary>What a person is told after a generation, on standard error.</summary>
internal static class Summary
{
    /// <summary>Writes it: speed, and what became of the drafts.</summary>
    public static void Write(CliConsole console, GenerationResult result, RunFacts facts)
    {
        GenerationTiming timing = result.Timing;
        IAnsiConsole status = console.Status;
        string reason = ResultJson.Name(result.FinishReason);
        string colour = reason is "stop" or "length" ? "green" : "yellow";
        status.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[{colour}]{reason}[/] after [bold]{result.Tokens.Count}[/] tokens [grey]·[/] prompt {result.PromptTokens.Count} at {Rate(result.PromptTokens.Count, timing.Prefill)} [grey]·[/] decode [bold]{Rate(Math.Max(0, result.Tokens.Count - 1), timing.Decode)}[/] [grey]·[/] load {Milliseconds(facts.Load)}");
        if (facts.Drafter is not null) WriteSpeculation(status, result.Speculation, timing, facts);
    }

    /// <summary>Writes how the request compares with a plain run of it.</summary>
    public static void Write(CliConsole console, PlainComparison comparison)
    {
        string colour = comparison.SpeedUp > 1 ? "green" : "yellow";
        string rounds = comparison.Rounds == 1 ? "one warm round" : $"medians of {comparison.Rounds} warm rounds in turn";
        string same = comparison.IsIdentical ? "the same tokens" : "other tokens";
        console.Status.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[blue]against a plain run[/]: [{colour}]{comparison.SpeedUp:0.00} times as fast[/] [grey]·[/] {comparison.DraftedRate:0.0} against {comparison.PlainRate:0.0} tokens/s, prompt included [grey]({rounds})[/] [grey]·[/] {same}");
    }

    private static void WriteSpeculation(IAnsiConsole status, SpeculationCounts counts, GenerationTiming timing, RunFacts facts)
    {
        string colour = counts.AcceptanceRate switch { >= 0.6 => "green", >= 0.3 => "yellow", _ => "red" };
        status.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[blue]{facts.Drafter}[/]: [bold]{counts.TokensPerVerification:0.00}[/] tokens a verification [grey]·[/] [{colour}]{100 * counts.AcceptanceRate:0} %[/] accepted [grey]({counts.Accepted} of {counts.Evaluated} judged, {counts.Drafted} drafted)[/] [grey]·[/] draft {Milliseconds(timing.Draft)}, verify {Milliseconds(timing.Verify)}, rest {Milliseconds(timing.Rest)}");
        if (counts.PerPosition.Count == 0) return;
        List<string> depths = [];
        foreach ((int drafted, int accepted) in counts.PerPosition)
            depths.Add(string.Create(CultureInfo.InvariantCulture, $"{depths.Count + 1}: {(drafted == 0 ? 0 : 100.0 * accepted / drafted):0} %"));
        status.MarkupLineInterpolated($"[grey]accepted by depth[/] {string.Join("  ", depths)}");
    }

    private static string Rate(int tokens, TimeSpan time)
        => time > TimeSpan.Zero && tokens > 0 ? string.Create(CultureInfo.InvariantCulture, $"{tokens / time.TotalSeconds:0.0} tokens/s") : "no speed";

    private static string Milliseconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0} ms");
}
