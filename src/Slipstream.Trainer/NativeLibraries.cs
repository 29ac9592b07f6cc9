using System.Collections.Immutable;
using System.Reflection;
using Slipstream.Distillation.Torch;

namespace Slipstream.Trainer;

/// <summary>Knows where this copy of the trainer has its native libraries.</summary>
internal static class NativeLibraries
{
    /// <summary>Beside the executable, else the package folders of the build.</summary>
    public static ImmutableArray<string> Folders { get; } =
    [
        Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native"),
        AppContext.BaseDirectory,
        .. typeof(NativeLibraries).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Where(data => data.Key == "NativeFolder" && data.Value is { Length: > 0 }).Select(data => data.Value!),
    ];

    /// <summary>Loads them; call it before anything of TorchSharp is used.</summary>
    /// <exception cref="SlipstreamException">They cannot be loaded.</exception>
    public static void Load() => TorchRuntime.Initialize(Folders);
}
