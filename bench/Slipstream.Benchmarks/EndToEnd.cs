using System.Diagnostics;
using System.Globalization;

namespace Slipstream.Benchmarks;

/// <summary>SmolLM2-135M-Instruct in both engines: prefill, decode, the cost of several rows, the first token.</summary>
internal static class EndToEnd
{
    private const int Depth = 100, Steps = 64, MostRows = 9, RowRepeats = 7, DefaultRounds = 9, ProcessStarts = 5;

    /// <summary>Measures and prints a report.</summary>
    /// <exception cref="SlipstreamException">The model or the peer cannot be used.</exception>
    public static void Run(BenchmarkOptions options, IReadOnlyList<string> arguments)
    {
        string model = options.FindModel();
        int rounds = options.Rounds ?? DefaultRounds;
        Machine machine = Machine.Describe(arguments);
        using SlipstreamContender ours = new(model, options.Threads);
        (IContender? peer, string note) = Peer(options, model);
        using (peer)
        using (ReadBandwidth bandwidth = new(options.Threads))
        {
            int[] tokens = Tokens(ours, 512 + Steps + Depth);
            List<double> read = [];
            List<Measurement> measured = Interleaved.Run(Scenarios(tokens), ours, peer, rounds, () => read.Add(bandwidth.Measure()));
            measured.AddRange(RowCosts(measured));
            Measurement readBandwidth = new("read bandwidth of the machine", "GB/s", read, [], false);
            Measurement starts = new("process start to first token", "ms", StartProcesses(options, model), [], true);
            Report report = new(machine, [ours.Description, .. peer is null ? [] : (string[])[peer.Description]], [.. measured, readBandwidth, .. starts.Ours.Count > 0 ? [starts] : (Measurement[])[]],
                [note, .. Checks(ours, peer, tokens), DecodeShare(ours, tokens, measured.First(m => m.Name == DecodeName), readBandwidth)]);
            Console.WriteLine(report.ToMarkdown("End to end", rounds, peer?.Name));
            report.WriteJson(options.Json);
        }
    }

    /// <summary>Loads the model, generates one token and says which: what <see cref="StartProcesses"/> runs.</summary>
    public static string FirstToken(BenchmarkOptions options)
    {
        using LanguageModel model = LanguageModel.Load(options.FindModel(), new ModelOptions { Threads = options.Threads, MaxBatch = 1 });
        GenerationResult result = model.GenerateAsync(Texts.Question, new GenerationOptions { MaxNewTokens = 1, Sampling = new Sampling.SamplingOptions(), IgnoreEndTokens = true }).GetAwaiter().GetResult();
        return string.Create(CultureInfo.InvariantCulture, $"token {result.Tokens[0]}");
    }

    private static string DecodeName => $"decode, {Steps} tokens at depth {Depth}";

    private static (IContender? Peer, string Note) Peer(BenchmarkOptions options, string model)
    {
        if (options.NoPeer) return (null, "No peer was asked for.");
        if (LlamaLibrary.TryLoad(options.PeerPath, out IReadOnlyList<string> looked) is not { } library)
            return (null, $"llama.cpp was not found, so these are our figures alone. Looked for libllama, libggml and libggml-base in {string.Join(" and ", looked)}, there and in node_modules/@node-llama-cpp/<platform>/bins/<platform>. Get it with `npm install @node-llama-cpp/linux-x64` in any folder and name the folder with --peer-path.");
        string path = options.PeerModel ?? model;
        if (options.PeerFormat is { } format) path = LlamaQuantizer.Convert(library, path, format);
        LlamaContender peer = new(library, path, options.Threads);
        return (peer, path == model ? "Both engines read the same file." : $"llama.cpp read another file: {Path.GetFileName(path)}.");
    }

    private static List<Scenario> Scenarios(int[] tokens)
    {
        int[] rows = [.. Enumerable.Range(1, MostRows)];
        List<Scenario> scenarios =
        [
            Prefill(128), Prefill(512),
            new([DecodeName], "tok/s", false, c =>
            {
                Reset(c);
                long start = Stopwatch.GetTimestamp();
                for (int i = 0; i < Steps; i++) c.Forward(tokens.AsSpan(Depth + i, 1), 1);
                return [Steps / Stopwatch.GetElapsedTime(start).TotalSeconds];
            }),
            new([.. rows.Select(RowName)], "ms", true, c =>
            {
                Reset(c);
                double[][] times = [.. rows.Select(_ => new double[RowRepeats])];
                for (int repeat = 0; repeat < RowRepeats; repeat++)
                    foreach (int m in rows)
                    {
                        c.Truncate(Depth);
                        long start = Stopwatch.GetTimestamp();
                        c.Forward(tokens.AsSpan(Depth, m), m);
                        times[m - 1][repeat] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                    }
                return [.. times.Select(t => Spread.Of(t).Median)];
            }),
            new(["first token of a question (with tokenizing)", $"greedy text, {Steps} tokens after it: a token"], "ms", true, c =>
            {
                GenerationTimes times = c.Generate(Texts.Question, Steps);
                return [times.First.TotalMilliseconds, times.Rest.TotalMilliseconds / (Steps - 1)];
            }),
            new(["load the model, to the first token"], "ms", true, c => [c.LoadToFirstToken(Texts.Question).TotalMilliseconds]),
        ];
        return scenarios;

        Scenario Prefill(int count) => new([$"prefill, {count} tokens"], "tok/s", false, c =>
        {
            c.Truncate(0);
            long start = Stopwatch.GetTimestamp();
            c.Forward(tokens.AsSpan(0, count), 1);
            return [count / Stopwatch.GetElapsedTime(start).TotalSeconds];
        });

        void Reset(IContender c)
        {
            c.Truncate(0);
            c.Forward(tokens.AsSpan(0, Depth), 1);
            // One step that does not count: threads that slept are awake again.
            c.Forward(tokens.AsSpan(Depth, 1), 1);
            c.Truncate(Depth);
        }
    }

    private static string RowName(int rows) => rows == 1 ? "forward pass of 1 row" : $"forward pass of {rows} rows";

    private static IEnumerable<Measurement> RowCosts(List<Measurement> measured)
    {
        Measurement one = measured.First(m => m.Name == RowName(1));
        for (int rows = 2; rows <= MostRows; rows++)
        {
            Measurement many = measured.First(m => m.Name == RowName(rows));
            yield return new Measurement($"cost of {rows} rows to 1", "×", [.. many.Ours.Zip(one.Ours, (a, b) => a / b)], [.. many.Peer.Zip(one.Peer, (a, b) => a / b)], true);
        }
    }

    /// <summary>Whether both compute the same model: the best token after each of the same 64 tokens, and the same greedy text.</summary>
    private static IEnumerable<string> Checks(SlipstreamContender ours, IContender? peer, int[] tokens)
    {
        if (peer is null) yield break;
        int[] a = Best(ours), b = Best(peer);
        yield return $"Best next token after each of the same {Steps} tokens at depth {Depth}: equal in {a.Zip(b).Count(p => p.First == p.Second)} of {Steps}.";
        GenerationTimes x = ours.Generate(Texts.Question, Steps), y = peer.Generate(Texts.Question, Steps);
        int equal = x.Tokens.Zip(y.Tokens).TakeWhile(p => p.First == p.Second).Count();
        yield return $"The question has {x.PromptTokens} tokens for Slipstream and {y.PromptTokens} for {peer.Name}; of {Steps} greedy tokens the first {equal} are equal.";
        peer.Rest();

        int[] Best(IContender c)
        {
            c.Truncate(0);
            c.Forward(tokens.AsSpan(0, Depth), 1);
            int[] best = new int[Steps];
            for (int i = 0; i < Steps; i++)
            {
                c.Forward(tokens.AsSpan(Depth + i, 1), 1);
                best[i] = c.Best(0);
            }
            return best;
        }
    }

    private static string DecodeShare(SlipstreamContender ours, int[] tokens, Measurement decode, Measurement read)
    {
        long before = ours.WeightBytesRead;
        ours.Truncate(Depth);
        ours.Forward(tokens.AsSpan(Depth, 1), 1);
        double bytes = ours.WeightBytesRead - before, rate = bytes * Spread.Of(decode.Ours).Median / 1e9, ceiling = Spread.Of(read.Ours).Median;
        return string.Create(CultureInfo.InvariantCulture, $"A token reads {bytes / 1e6:f1} MB of weights, so decoding reads {rate:f1} GB/s: {100 * rate / ceiling:f0}% of the {ceiling:f1} GB/s that the machine can read (weights that fit the cache can pass 100%).");
    }

    private static List<double> StartProcesses(BenchmarkOptions options, string model)
    {
        List<double> times = [];
        if (Environment.ProcessPath is not { } program) return times;
        bool host = string.Equals(Path.GetFileNameWithoutExtension(program), "dotnet", StringComparison.OrdinalIgnoreCase);
        string[] arguments = [.. host ? [typeof(EndToEnd).Assembly.Location] : (string[])[], "first-token", "--model", model, "--threads", options.Threads.ToString(CultureInfo.InvariantCulture)];
        for (int i = -1; i < ProcessStarts; i++)
        {
            ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true };
            long begin = Stopwatch.GetTimestamp();
            using Process? process = Process.Start(start);
            string? line = process?.StandardOutput.ReadLine();
            double milliseconds = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
            process?.WaitForExit();
            // The first start reads the program from the disk.
            if (i >= 0 && line is not null) times.Add(milliseconds);
        }
        return times;
    }

    private static int[] Tokens(SlipstreamContender ours, int count)
    {
        List<int> tokens = [];
        while (tokens.Count < count) tokens.AddRange(ours.Tokenizer.Encode(Texts.Prose, addSpecialTokens: false).Ids);
        return [.. tokens.Take(count)];
    }
}
