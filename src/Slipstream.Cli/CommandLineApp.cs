using System.CommandLine;
using System.Runtime.InteropServices;
using Slipstream.Cli.Commands;
using Slipstream.Cli.Output;

namespace Slipstream.Cli;

/// <summary>The tool: its commands, and how a run ends.</summary>
internal static class CommandLineApp
{
    private const string Description =
        """
        Transformer language models in pure C#: generate, chat, inspect, tokenize, evaluate, convert, measure, train.

        Results go to standard output; progress, summaries and errors to standard error. '-' as a text or file is standard input.
        Exit codes: 0 success (a closed pipe too), 1 failure, 2 wrong usage, 130 Ctrl+C, 143 terminated.
        """;

    /// <summary>The commands.</summary>
    public static RootCommand CreateRoot(CliConsole console)
    {
        RootCommand root = new(Description)
        {
            GenerateCommand.Create(console),
            ChatCommand.Create(console),
            InspectCommand.Create(console),
            TokenizeCommand.Create(console),
            DetokenizeCommand.Create(console),
            EvalCommand.Create(console),
            ConvertCommand.Create(console),
            BenchCommand.Create(console),
        };
        foreach (Command command in TrainerTool.Commands) root.Add(command);
        return root;
    }

    /// <summary>Runs a command line to its exit code; every failure is one line on standard error.</summary>
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, CliConsole console)
    {
        using Interruption interruption = new(console);
        int code = await RunAsync(arguments, console, interruption.Token).ConfigureAwait(false);
        return interruption.ExitCode ?? code;
    }

    /// <summary>The same with a token instead of the process's signals.</summary>
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, CliConsole console, CancellationToken cancellationToken)
    {
        try
        {
            // Its options are not this tool's, so nothing of them is rewritten.
            if (TrainerTool.Takes(arguments)) return await TrainerTool.RunAsync(arguments, console, cancellationToken).ConfigureAwait(false);
            RootCommand root = CreateRoot(console);
            // Files of arguments would make an '@' at the beginning of a text mean something else.
            ParseResult result = root.Parse(ArgumentRewriter.Rewrite(root, arguments), new ParserConfiguration { ResponseFileTokenReplacer = null, EnablePosixBundling = false });
            // What is not known explains more than what is missing because of it.
            List<string> errors = [.. result.Errors.Select(error => error.Message)];
            if (errors.Count > 0)
                throw new UsageException((errors.Find(error => error.StartsWith("Unrecognized", StringComparison.Ordinal)) ?? errors[0]).Split('\n')[0].TrimEnd('.', ' ') + $"; see '{Invoked(result)} --help'.");
            InvocationConfiguration configuration = new() { Output = console.Out, Error = console.Error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
            return await result.InvokeAsync(configuration, cancellationToken).ConfigureAwait(false);
        }
        catch (ClosedPipeException)
        {
            return ExitCodes.Success;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return ExitCodes.Interrupted;
        }
        catch (SlipstreamException e)
        {
            console.Fail(e.Message);
            return e is UsageException ? ExitCodes.Usage : ExitCodes.Failure;
        }
        catch (Exception e) when (e is OutOfMemoryException or InsufficientMemoryException)
        {
            console.Fail("The memory is not enough; 'slipstream inspect' states what a model needs, and --kv-memory and --max-batch lower it.");
            return ExitCodes.Failure;
        }
        catch (Exception e)
        {
            console.Fail($"A defect ended the command: {e.GetType().Name}: {e.Message}");
            if (Environment.GetEnvironmentVariable("SLIPSTREAM_STACKTRACE") is { Length: > 0 }) await console.Error.WriteLineAsync(e.ToString()).ConfigureAwait(false);
            return ExitCodes.Failure;
        }
    }

    private static string Invoked(ParseResult result)
    {
        List<string> names = [];
        for (System.CommandLine.Parsing.SymbolResult? symbol = result.CommandResult; symbol is System.CommandLine.Parsing.CommandResult command; symbol = symbol.Parent)
            names.Add(command.Command is RootCommand ? "slipstream" : command.Command.Name);
        names.Reverse();
        return string.Join(' ', names);
    }

    /// <summary>Turns the first Ctrl+C or request to end into a cancellation; the second one ends the process at once.</summary>
    private sealed class Interruption : IDisposable
    {
        private readonly CancellationTokenSource _source = new();
        private readonly List<PosixSignalRegistration> _registrations = [];
        private readonly CliConsole _console;
        private int _code;

        public Interruption(CliConsole console)
        {
            _console = console;
            _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Handle(context, ExitCodes.Interrupted)));
            _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Handle(context, ExitCodes.Terminated)));
        }

        public CancellationToken Token => _source.Token;

        /// <summary>The exit code of the signal that came, or null.</summary>
        public int? ExitCode => Volatile.Read(ref _code) is var code and not 0 ? code : null;

        public void Dispose()
        {
            foreach (PosixSignalRegistration registration in _registrations) registration.Dispose();
            _source.Dispose();
        }

        private void Handle(PosixSignalContext context, int code)
        {
            if (code == ExitCodes.Interrupted && _console.OnInterrupt?.Invoke() == true)
            {
                context.Cancel = true;
                return;
            }
            if (Interlocked.CompareExchange(ref _code, code, 0) != 0) Environment.Exit(_code);
            context.Cancel = true;
            _source.Cancel();
        }
    }
}
