using Slipstream.Benchmarks;

// A report is read by other programs too; the same text in every culture.
try
{
    if (args is ["micro", .. var rest])
    {
        Micro.Run(rest);
        return 0;
    }
    BenchmarkOptions options = BenchmarkOptions.Parse(args);
    switch (options.Command)
    {
        case "help":
            Console.WriteLine(BenchmarkOptions.Help);
            return 0;
        case "first-token":
            Console.WriteLine(EndToEnd.FirstToken(options));
            return 0;
        case "speculation":
            await SpeculationBenchmark.RunAsync(options, args).ConfigureAwait(false);
            return 0;
        default:
            EndToEnd.Run(options, args);
            return 0;
    }
}
catch (Slipstream.SlipstreamException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
