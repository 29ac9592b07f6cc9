using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Slipstream.Bench;
using Slipstream.Sampling;

namespace Slipstream.Benchmarks;

/// <summary>How soon the first token of a question comes: from the start of a process, and from loading the model in a running one, in turn with llama.cpp.</summary>
internal static class FirstToken
{
    private const int DefaultRounds = 5, PeerBatch = 512;

    /// <summary>Measures and prints a report.</summary>
    /// <exception cref="SlipstreamException">The model cannot be used.</exception>
    public static void Run(BenchmarkOptions options, IReadOnlyList<string> arguments)
    {
        string model = options.FindModel();
        int rounds = options.Rounds ?? DefaultRounds;
        Machine machine = Machine.Describe();
        LlamaLibrary? library = LlamaLibrary.TryLoad(options.PeerPath is { } path ? [path] : [], out IReadOnlyList<string> looked);
        List<double> starts = [], loads = [], peerLoads = [];
        // The first round reads files from the disk and compiles code.
        for (int round = -1; round < rounds; round++)
        {
            double start = StartProcess(options, model), load = Time(() => OneToken(options)), peer = library is null ? 0 : Time(() => PeerToken(library, model, options.Threads));
            if (round < 0) continue;
            starts.Add(start);
            loads.Add(load);
            if (library is not null) peerLoads.Add(peer);
        }
        Console.WriteLine(Report.Head("First token of a question", machine, arguments, rounds));
        Console.WriteLine("| | ms |\n|---|---|");
        Console.WriteLine($"| Slipstream, from the start of the process | {Spread.Of(starts)} |");
        Console.WriteLine($"| Slipstream, from loading in a running process | {Spread.Of(loads)} |");
        Console.WriteLine(library is null
            ? $"\nllama.cpp was not found in {string.Join(" and ", looked)}; name its folder with --peer-path."
            : $"| llama.cpp {library.Version}, from loading in a running process | {Spread.Of(peerLoads)} |");
        if (options.Json is { } json) File.WriteAllText(json, JsonSerializer.Serialize(new { machine, starts, loads, peerLoads }, Report.Indented));
    }

    /// <summary>Loads the model, generates one token and says which: what <see cref="Run"/> starts as a process.</summary>
    public static string OneToken(BenchmarkOptions options)
    {
        using LanguageModel model = LanguageModel.Load(options.FindModel(), new ModelOptions { Threads = options.Threads, MaxBatch = 1 });
        GenerationResult result = model.GenerateAsync(Texts.Question, new GenerationOptions { MaxNewTokens = 1, Sampling = new SamplingOptions(), IgnoreEndTokens = true }).GetAwaiter().GetResult();
        return string.Create(CultureInfo.InvariantCulture, $"token {result.Tokens[0]}");
    }

    private static int? PeerToken(LlamaLibrary library, string path, int threads)
    {
        using LlamaContender peer = new(library, path, threads);
        int[] tokens = peer.Encode(Texts.Question);
        Workload work = new(WorkKind.Prefill, Math.Max(tokens.Length, PeerBatch), 0);
        peer.Begin([work]);
        peer.Prepare(work);
        peer.Forward(tokens, all: false);
        return peer.Best(tokens.Length - 1);
    }

    private static double Time<T>(Func<T> work)
    {
        long start = Stopwatch.GetTimestamp();
        work();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private static double StartProcess(BenchmarkOptions options, string model)
    {
        string program = Environment.ProcessPath ?? throw new SlipstreamException("The program's own path is not known, so no process of it can be started.");
        bool host = string.Equals(Path.GetFileNameWithoutExtension(program), "dotnet", StringComparison.OrdinalIgnoreCase);
        string[] arguments = [.. host ? [typeof(FirstToken).Assembly.Location] : (string[])[], "one-token", "--model", model, "--threads", options.Threads.ToString(CultureInfo.InvariantCulture)];
        long begin = Stopwatch.GetTimestamp();
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true }) ?? throw new SlipstreamException($"'{program}' could not be started.");
        string? line = process.StandardOutput.ReadLine();
        double milliseconds = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
        process.WaitForExit();
        return line is null ? throw new SlipstreamException($"'{program} one-token' printed nothing.") : milliseconds;
    }
}
