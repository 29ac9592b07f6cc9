using System.CommandLine;
using Slipstream;
using Slipstream.Trainer.Commands;

RootCommand root = new("Trains small language models, their tokenizers and their drafts.") { CorpusCommand.Create(), TokenizerCommand.Create() };
try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (OperationCanceledException)
{
    return 130;
}
catch (SlipstreamException e)
{
    await Console.Error.WriteLineAsync($"slipstream-train: {e.Message}");
    return 1;
}
