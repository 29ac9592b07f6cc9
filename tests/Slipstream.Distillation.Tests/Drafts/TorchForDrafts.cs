using Slipstream.Distillation.Torch;

namespace Slipstream.Distillation.Tests.Drafts;

/// <summary>Loads libtorch from the package folder.</summary>
internal static class TorchForDrafts
{
    public static void Require()
    {
        string packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        TorchRuntime.Initialize([Native("libtorch-cpu-linux-x64", "2.10.0"), Native("torchsharp", "0.107.0")]);

        string Native(string package, string version) => Path.Combine(packages, package, version, "runtimes", "linux-x64", "native");
    }
}
