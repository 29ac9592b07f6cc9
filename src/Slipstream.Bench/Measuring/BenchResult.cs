namespace Slipstream.Bench;

/// <summary>What one round gave for one engine and workload.</summary>
/// <param name="Milliseconds">Time of one forward pass.</param>
/// <param name="ReadBandwidth">What the machine read around it, bytes a second: the mean of a reading before and one after.</param>
internal readonly record struct Sample(double Milliseconds, double ReadBandwidth);

/// <summary>What the rounds gave for one workload.</summary>
/// <param name="Work">The workload.</param>
/// <param name="Ours">Our passes, one a round.</param>
/// <param name="BytesRead">Weights and cached rows that one pass reads, as the kernels counted them.</param>
/// <param name="OperationSeconds">The least time that its operations take on this machine.</param>
/// <param name="Others">The passes of the other engines that did it, by name, one a round.</param>
/// <remarks>
/// Machines that are shared change under a run: one of those measured reads at either of two rates and goes from one to the other within seconds. So every fraction is of the reading around its
/// own pass, and engines are compared within rounds in which the readings around both were alike.
/// </remarks>
internal sealed record BenchResult(Workload Work, IReadOnlyList<Sample> Ours, long BytesRead, double OperationSeconds, IReadOnlyDictionary<string, IReadOnlyList<Sample>> Others)
{
    /// <summary>Readings are alike that differ by less than this part of the greater one.</summary>
    public const double Alike = 0.2;

    /// <summary>Time of one forward pass.</summary>
    public Spread Milliseconds => Times(Ours);

    /// <summary>What the machine read around our passes, bytes a second.</summary>
    public Spread ReadBandwidth => Spread.Of(Ours.Select(sample => sample.ReadBandwidth));

    /// <summary>The rate of reading to the machine's around the pass, the median of the rounds.</summary>
    public double BandwidthFraction => Spread.Of(Ours.Select(sample => BytesRead / sample.ReadBandwidth / (sample.Milliseconds / 1000))).Median;

    /// <summary>The least time the pass can take by its bytes and operations, to the time it took, the median of the rounds.</summary>
    public double RooflineFraction => Spread.Of(Ours.Select(sample => Math.Max(BytesRead / sample.ReadBandwidth, OperationSeconds) / (sample.Milliseconds / 1000))).Median;

    /// <summary>The times of the other engines, by name.</summary>
    public IReadOnlyDictionary<string, Spread> Peers => Others.ToDictionary(peer => peer.Key, peer => Times(peer.Value));

    /// <summary>Multiplications and additions of a pass.</summary>
    public double Operations { get; init; }

    /// <summary>Where the time of the calling thread goes, milliseconds of a pass in the order of the pass; empty unless it was asked for.</summary>
    public IReadOnlyList<(string Stage, double Milliseconds)> Stages { get; init; } = [];

    /// <summary>Tokens a second at the median.</summary>
    public double TokensPerSecond => Work.Rows * 1000 / Milliseconds.Median;

    /// <summary>The peer that leaves us the least ratio, or null.</summary>
    public string? FastestPeer => Others.Count == 0 ? null : Others.Keys.MinBy(name => Against(name).Ratio);

    /// <summary>Our speed to a peer's, the median over the rounds in which the machine read alike around both (all rounds where there is none), and how many these are.</summary>
    public (double Ratio, int Rounds) Against(string peer)
    {
        (Sample Ours, Sample Theirs)[] pairs = [.. Ours.Zip(Others[peer])];
        (Sample Ours, Sample Theirs)[] alike = [.. pairs.Where(pair => Math.Abs(pair.Ours.ReadBandwidth - pair.Theirs.ReadBandwidth) < Alike * Math.Max(pair.Ours.ReadBandwidth, pair.Theirs.ReadBandwidth))];
        return (Spread.Of((alike.Length > 0 ? alike : pairs).Select(pair => pair.Theirs.Milliseconds / pair.Ours.Milliseconds)).Median, alike.Length);
    }

    private static Spread Times(IEnumerable<Sample> samples) => Spread.Of(samples.Select(sample => sample.Milliseconds));
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
