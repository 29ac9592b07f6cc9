using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Slipstream.Bench;

namespace Slipstream.Benchmarks;

/// <summary>What reports have in common.</summary>
internal static class Report
{
    /// <summary>Fewer rounds say nothing about noise.</summary>
    internal const int FewestRounds = 5;

    /// <summary>How figures are written.</summary>
    internal static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    /// <summary>The head of a page: title, machine, command, and a warning where the rounds are few.</summary>
    public static string Head(string title, Machine machine, IReadOnlyList<string> arguments, int rounds) => string.Create(CultureInfo.InvariantCulture, $"""
        # {title}

        - CPU: {machine.Cpu}, {machine.Cores} processors, {string.Join(' ', machine.InstructionSets)}
        - System: {machine.System}
        - Commit: {machine.Commit ?? "not known"}
        - Date: {DateTime.UtcNow:yyyy-MM-dd HH:mm} UTC
        - Command: `dotnet run -c Release --project bench/Slipstream.Benchmarks -- {string.Join(' ', arguments.Select(Short))}`
        - Load average at the start: {(machine.Load is { } load ? load.ToString("f2", CultureInfo.InvariantCulture) : "not known")} (what other work ran beside the measurement)
        {(rounds < FewestRounds ? $"\n**A trial: {rounds} of at least {FewestRounds} rounds. Not a result.**\n" : "")}
        """);

    // Folders of one's own machine say nothing to others.
    private static string Short(string argument) => Path.IsPathRooted(argument) ? $"…/{Path.GetFileName(argument.TrimEnd('/'))}" : argument;
}
