using Slipstream.Models;
using Slipstream.Numerics;

namespace Slipstream.Bench;

/// <summary>What to measure and how.</summary>
internal sealed record BenchOptions
{
    /// <summary>A checkpoint; null where <see cref="Shape"/> says what to make.</summary>
    public string? Model { get; init; }

    /// <summary>The shape of a model with random weights.</summary>
    public ModelShape? Shape { get; init; }

    /// <summary>Its formats.</summary>
    public FormatMix Mix { get; init; } = FormatMix.Get("Q8_0");

    /// <summary>Where made files are kept.</summary>
    public string CacheFolder { get; init; } = RandomModel.DefaultFolder;

    /// <summary>What is measured.</summary>
    public required BenchPlan Plan { get; init; }

    /// <summary>Threads of every engine; 0 for one a processor.</summary>
    public int Threads { get; init; }

    /// <summary>How activations enter our products.</summary>
    public ActivationPrecision Activations { get; init; } = ActivationPrecision.Auto;

    /// <summary>How our cache stores its rows; null for the type the model takes by itself.</summary>
    public CacheType? CacheType { get; init; }

    /// <summary>Where the machine code of the matrix kernels comes from.</summary>
    public KernelTier Kernels { get; init; } = KernelTier.Auto;

    /// <summary>Whether to measure where the time of our passes goes.</summary>
    public bool Profile { get; init; }

    /// <summary>The other engines.</summary>
    public IReadOnlyList<string> Peers { get; init; } = [];

    /// <summary>The format that llama.cpp is to convert the model to first; null for the same file.</summary>
    public string? PeerFormat { get; init; }

    /// <summary>Where their libraries and files are.</summary>
    public IReadOnlyList<string> PeerPaths { get; init; } = [];
}

/// <summary>A measurement from options to report.</summary>
internal static class BenchSession
{
    /// <summary>Makes or finds the model, loads the engines and measures.</summary>
    /// <param name="options">What and how.</param>
    /// <param name="progress">Told what is being done.</param>
    /// <param name="cancellationToken">Ends the run.</param>
    /// <exception cref="SlipstreamException">The model or a peer cannot be used.</exception>
    public static BenchReport Run(BenchOptions options, Action<string> progress, CancellationToken cancellationToken)
    {
        int last = -1;
        string path = options.Shape is { } shape
            ? RandomModel.Get(shape, options.Mix, options.CacheFolder, new Steps(share => ReportShare(share)), cancellationToken)
            : options.Model!;
        progress($"loading {Path.GetFileName(path)}");
        BenchPlan plan = options.Plan;
        using SlipstreamContender ours = new(path, options.Threads, options.Activations, plan.All.Max(w => w.Rows), options.CacheType, options.Kernels);
        string format = options.Shape is null ? MainFormat(ours.Tensors) : options.Mix.Name;
        List<IContender> peers = [];
        try
        {
            Operations operations = new(ours.Config, ours.Tensors, options.Activations, options.CacheType);
            foreach (string peer in options.Peers)
            {
                progress($"loading {peer}");
                peers.Add(PeerCatalog.Load(peer, new PeerRequest(path, ours.Config, format, ours.Pool.Threads, options.PeerPaths, options.CacheFolder, options.PeerFormat)));
            }
            string name = options.Shape?.FileName ?? Path.GetFileName(Path.TrimEndingDirectorySeparator(path));
            using BenchRun run = new(plan, ours, peers, operations, options.Profile, progress);
            return run.Run(name, format, cancellationToken);
        }
        finally
        {
            foreach (IContender peer in peers) peer.Dispose();
        }

        void ReportShare(double share)
        {
            int percent = (int)(100 * share);
            if (percent == last) return;
            last = percent;
            progress($"writing {options.Shape!.FileName}.{options.Mix.Name}.gguf: {percent} %");
        }
    }

    /// <summary>The format that takes most bytes.</summary>
    internal static string MainFormat(IEnumerable<TensorInfo> tensors) => tensors.GroupBy(t => t.Format).MaxBy(g => g.Sum(t => t.Bytes))!.Key;

    private sealed class Steps(Action<double> report) : IProgress<double>
    {
        public void Report(double value) => report(value);
    }
}
