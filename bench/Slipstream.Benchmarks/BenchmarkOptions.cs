using System.Globalization;
using Slipstream.Bench;

namespace Slipstream.Benchmarks;

/// <summary>What to run: the command line, read.</summary>
internal sealed record BenchmarkOptions
{
    /// <summary>The text of <c>--help</c>.</summary>
    public const string Help = """
        Benchmarks of Slipstream beside 'slipstream bench'. Always run with -c Release.

          speculation    prompt lookup against plain decoding, interleaved
          first-token    from the start of a process, and from loading, to the first token; against llama.cpp where it is found
          micro          single kernels, with BenchmarkDotNet; what follows is passed on to it (--filter '*Linear*')

          --model PATH       the GGUF file; by default models/SmolLM2-135M-Instruct.Q4_1.gguf under SLIPSTREAM_ASSETS or ../shared
          --peer-path DIR    first-token: the folder with llama.cpp's libraries, or the one in which npm installed @node-llama-cpp/linux-x64
          --threads N        threads; by default one for each processor
          --rounds N         rounds, each A and B in turn, by default 5; fewer are marked as a trial
          --schedule NAME    speculation: how the length of drafts changes, constant (default) or heuristic
          --draft-tokens K   speculation: tokens drafted at once, by default 5
          --prompts N        speculation: Spec-Bench prompts of each of the six groups, by default 2
          --json PATH        also write every figure as JSON
        """;

    public string Command { get; init; } = "help";
    public string? Model { get; init; }
    public string? PeerPath { get; init; }
    public int Threads { get; init; } = Environment.ProcessorCount;
    public int? Rounds { get; init; }
    public string Schedule { get; init; } = "constant";
    public int DraftTokens { get; init; } = 5;
    public int Prompts { get; init; } = 2;
    public string? Json { get; init; }

    /// <summary>Reads the arguments.</summary>
    /// <exception cref="SlipstreamException">One is not known or not valid.</exception>
    public static BenchmarkOptions Parse(IReadOnlyList<string> arguments)
    {
        BenchmarkOptions options = new();
        for (int i = 0; i < arguments.Count; i++)
        {
            string name = arguments[i];
            options = name switch
            {
                "speculation" or "first-token" or "one-token" => options with { Command = name },
                "--help" or "-h" => options with { Command = "help" },
                "--model" => options with { Model = Value() },
                "--peer-path" => options with { PeerPath = Value() },
                "--threads" => options with { Threads = Number(1, 1024) },
                "--rounds" => options with { Rounds = Number(1, 1000) },
                "--schedule" => options with { Schedule = Value() },
                "--draft-tokens" => options with { DraftTokens = Number(1, 16) },
                "--prompts" => options with { Prompts = Number(0, 80) },
                "--json" => options with { Json = Value() },
                _ => throw new SlipstreamException($"The argument '{name}' is not known; --help lists them."),
            };

            string Value() => ++i < arguments.Count ? arguments[i] : throw new SlipstreamException($"{name} needs a value; --help says which.");

            int Number(int least, int most)
            {
                string text = Value();
                return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= least && number <= most
                    ? number
                    : throw new SlipstreamException($"{name} is '{text}'; it must be {least} to {most}.");
            }
        }
        return options;
    }

    /// <summary>The model's file.</summary>
    /// <exception cref="SlipstreamException">It is not there.</exception>
    public string FindModel()
    {
        if (Model is not null) return File.Exists(Model) || Directory.Exists(Model) ? Path.GetFullPath(Model) : throw new SlipstreamException($"The model '{Model}' does not exist.");
        return Asset("models", "SmolLM2-135M-Instruct.Q4_1.gguf")
            ?? throw new SlipstreamException("models/SmolLM2-135M-Instruct.Q4_1.gguf was found neither under SLIPSTREAM_ASSETS nor in 'shared' beside the repository; name the file with --model.");
    }

    /// <summary>A file or folder under <c>SLIPSTREAM_ASSETS</c> or <c>../shared</c>, or null.</summary>
    public static string? Asset(params string[] parts)
    {
        string? root = Environment.GetEnvironmentVariable("SLIPSTREAM_ASSETS") is { Length: > 0 } named ? named : Machine.RepositoryRoot() is { } repository ? Path.Combine(repository, "..", "shared") : null;
        if (root is null) return null;
        string path = Path.GetFullPath(Path.Combine([root, .. parts]));
        return File.Exists(path) || Directory.Exists(path) ? path : null;
    }
}
