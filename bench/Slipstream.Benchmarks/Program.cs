using Slipstream.Benchmarks;

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
        case "one-token":
            Console.WriteLine(FirstToken.OneToken(options));
            return 0;
        case "first-token":
            FirstToken.Run(options, args);
            return 0;
        case "speculation":
            await SpeculationBenchmark.RunAsync(options, args).ConfigureAwait(false);
            return 0;
        default:
            Console.WriteLine(BenchmarkOptions.Help);
            return 0;
    }
}
catch (Slipstream.SlipstreamException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
