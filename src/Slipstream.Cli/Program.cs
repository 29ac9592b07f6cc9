using Slipstream.Cli;

using CliConsole console = CliConsole.OfProcess();
return await CommandLineApp.RunAsync(args, console);
