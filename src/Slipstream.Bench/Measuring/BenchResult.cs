namespace Slipstream.Bench;

/// <summary>What the rounds gave for one workload.</summary>
/// <param name="Work">The workload.</param>
/// <param name="Milliseconds">Time of one forward pass.</param>
/// <param name="BytesRead">Weights and cached rows that one pass reads, as the kernels counted them.</param>
/// <param name="BandwidthFraction">The rate of reading to the machine's.</param>
/// <param name="RooflineFraction">The least time the pass can take by its bytes and operations, to the time it took.</param>
/// <param name="Peers">The times of the other engines that did it, by name.</param>
internal sealed record BenchResult(Workload Work, Spread Milliseconds, long BytesRead, double BandwidthFraction, double RooflineFraction, IReadOnlyDictionary<string, Spread> Peers)
{
    /// <summary>Multiplications and additions of a pass.</summary>
    public double Operations { get; init; }

    /// <summary>Where the time of the calling thread goes, milliseconds of a pass in the order of the pass; empty unless it was asked for.</summary>
    public IReadOnlyList<(string Stage, double Milliseconds)> Stages { get; init; } = [];

    /// <summary>Tokens a second at the median.</summary>
    public double TokensPerSecond => Work.Rows * 1000 / Milliseconds.Median;

    /// <summary>The fastest peer and its tokens a second, or null.</summary>
    public (string Name, double TokensPerSecond)? FastestPeer
        => Peers.Count == 0 ? null : Peers.Select(p => (p.Key, Work.Rows * 1000 / p.Value.Median)).MaxBy(p => p.Item2);

    /// <summary>Our speed to the fastest peer's, or null.</summary>
    public double? Ratio => FastestPeer is { } peer ? TokensPerSecond / peer.TokensPerSecond : null;
}

/// <summary>A whole run.</summary>
/// <param name="Machine">The machine.</param>
/// <param name="ReadBandwidth">Its read bandwidth, bytes a second, and streams a thread.</param>
/// <param name="PeakInt8">Its peak on 8-bit integers, operations a second, and the instructions.</param>
/// <param name="PeakF32">Its peak on 32-bit floats, operations a second, and the instructions.</param>
/// <param name="PeakBf16">Its peak on 16-bit floats, operations a second, and the instructions; null where it has none for them.</param>
/// <param name="Model">The model's name.</param>
/// <param name="Format">Its format.</param>
/// <param name="Threads">Threads of every engine.</param>
/// <param name="Rounds">Rounds that count.</param>
/// <param name="Engines">Each engine in a line, ours first.</param>
/// <param name="Notes">What was left out, and why.</param>
/// <param name="Results">The figures.</param>
internal sealed record BenchReport(Machine Machine, (double PerSecond, int Streams) ReadBandwidth, (double PerSecond, string Kernel) PeakInt8, (double PerSecond, string Kernel) PeakF32, (double PerSecond, string Kernel)? PeakBf16,
    string Model, string Format, int Threads, int Rounds, IReadOnlyList<string> Engines, IReadOnlyList<string> Notes, IReadOnlyList<BenchResult> Results);
