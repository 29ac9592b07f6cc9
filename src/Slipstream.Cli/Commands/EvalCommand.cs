using System.CommandLine;

namespace Slipstream.Cli.Commands;

/// <summary><c>slipstream eval</c>: what a model makes of given tokens.</summary>
internal static class EvalCommand
{
    public static Command Create(CliConsole console) => new("eval", "Evaluate a model on given tokens or text.")
    {
        EvalLogitsCommand.Create(console),
        EvalPerplexityCommand.Create(console),
    };
}
