using System.CommandLine;
using System.Globalization;
using Slipstream.Distillation.Drafts.Measuring;

namespace Slipstream.Trainer.Commands;

/// <summary><c>slipstream-train distill measure</c>: what drafts bring, measured through the engine. Needs no libtorch.</summary>
internal static class DistillMeasureCommand
{
    public static Command Create()
    {
        Option<string> target = new("--target") { Description = "The model that verifies: a folder or a file.", Required = true, HelpName = "PATH" };
        Option<string[]> draft = new("--draft") { Description = "A draft of the same vocabulary; may be given more than once, also as NAME=PATH.", Required = true, HelpName = "PATH" };
        Option<string> prompts = new("--prompts") { Description = "Prompts the drafts have not been trained on: a JSON object a line, with 'prompt' or 'chat' and 'system'.", Required = true, HelpName = "FILE.jsonl" };
        Option<int> threads = new("--threads") { Description = "Threads; 0 is one for each processor.", HelpName = "N" };
        Option<bool> json = new("--json") { Description = "Print one JSON object and nothing else." };
        Command command = new("measure", "Measure drafts against plain decoding: acceptance, tokens a verification, speed-up, and the verdict.") { target, draft, prompts, threads, json };
        MeasureSettings settings = new();
        settings.AddTo(command);
        command.SetAction(async (result, cancellationToken) =>
        {
            MeasureOptions options = settings.Of(result, result.GetValue(threads));
            List<Prompt> all = MeasurePrompts.Read(result.GetValue(prompts)!);
            DraftMeasurement measurement = new(result.GetValue(target)!, [.. result.GetValue(draft)!.Select(Named)], options);
            MeasurementReport report = await RunAsync(measurement, all, result.InvocationConfiguration.Error, cancellationToken);
            Write(result, report, result.GetValue(json));
            return 0;
        });
        return command;
    }

    /// <summary>Measures, with progress on standard error.</summary>
    public static Task<MeasurementReport> RunAsync(DraftMeasurement measurement, IReadOnlyList<Prompt> prompts, TextWriter error, CancellationToken cancellationToken)
        => measurement.RunAsync(prompts, new ImmediateProgress<(int Done, int All, TimeSpan Left)>(step =>
            error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"measured {step.Done} of {step.All} prompts, {step.Left.TotalSeconds:0} s left"))), cancellationToken);

    /// <summary>Prints the report as it was asked for.</summary>
    public static void Write(ParseResult result, MeasurementReport report, bool json)
    {
        TextWriter output = result.InvocationConfiguration.Output;
        if (json) output.WriteLine(MeasurementOutput.Json(report));
        else MeasurementOutput.WriteTable(output, report, !Console.IsOutputRedirected && output == Console.Out);
    }

    // A path may have '=' in it: what is there as it stands is no name.
    private static MeasuredDraft Named(string text)
    {
        int at = text.IndexOf('=', StringComparison.Ordinal);
        return at > 0 && !Path.Exists(text) ? new MeasuredDraft(text[..at], text[(at + 1)..]) : new MeasuredDraft(Path.GetFileName(Path.TrimEndingDirectorySeparator(text)), text);
    }
}
