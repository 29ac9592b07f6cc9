using System.CommandLine;
using System.Runtime.InteropServices;
using Slipstream;
using Slipstream.Trainer.Commands;

RootCommand root = new("Trains small language models, their tokenizers and their drafts.") { TrainCommand.Create(), TokenizerCommand.Create(), DistillCommand.Create(), CorpusCommand.Create() };
using CancellationTokenSource source = new();
int signal = 0;
// The first signal lets the work end well; a second one ends the process at once.
using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Handle(context, 130));
using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Handle(context, 143));
try
{
    int code = await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, source.Token);
    return signal != 0 ? signal : code;
}
catch (OperationCanceledException)
{
    return signal != 0 ? signal : 130;
}
catch (SlipstreamException e)
{
    await Console.Error.WriteLineAsync($"slipstream-train: {e.Message.ReplaceLineEndings(" ")}");
    return 1;
}
catch (Exception e) when (e is OutOfMemoryException or InsufficientMemoryException)
{
    await Console.Error.WriteLineAsync("slipstream-train: The memory is not enough; give a smaller --batch with more --accumulate, or a smaller model.");
    return 1;
}

void Handle(PosixSignalContext context, int code)
{
    if (Interlocked.CompareExchange(ref signal, code, 0) != 0) Environment.Exit(code);
    context.Cancel = true;
    source.Cancel();
}
