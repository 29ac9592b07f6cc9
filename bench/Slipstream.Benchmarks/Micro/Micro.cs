using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace Slipstream.Benchmarks;

/// <summary>Benchmarks of single kernels, run on demand.</summary>
internal static class Micro
{
    /// <summary>Runs those that the arguments choose; without any, BenchmarkDotNet asks.</summary>
    public static void Run(string[] arguments)
    {
        // In this process: the kernels' types are internal to the repository, and nothing is built or restored while measuring.
        IConfig config = DefaultConfig.Instance.AddJob(Job.ShortRun.WithIterationCount(9).WithToolchain(InProcessEmitToolchain.Instance)).WithOptions(ConfigOptions.JoinSummary);
        BenchmarkSwitcher.FromAssembly(typeof(Micro).Assembly).Run(arguments.Length == 0 ? ["--filter", "*"] : arguments, config);
    }
}
