namespace Slipstream.TestSupport;

/// <summary>Finds the read-only test material: <c>SLIPSTREAM_ASSETS</c>, or a folder <c>shared</c> beside the repository.</summary>
internal static class Assets
{
    public static string? Root { get; } = Find();

    /// <summary>The full path of a file or folder of the material; skips the test, saying why, where the material is absent.</summary>
    public static string Path(params string[] parts)
    {
        Assert.SkipWhen(Root is null, "The test material was not found: set SLIPSTREAM_ASSETS, or place it in 'shared' beside the repository.");
        return System.IO.Path.Combine([Root!, .. parts]);
    }

    public static string SmolLm2 => Path("models", "SmolLM2-135M-Instruct.Q4_1.gguf");

    private static string? Find()
    {
        if (Environment.GetEnvironmentVariable("SLIPSTREAM_ASSETS") is { Length: > 0 } named)
            return Directory.Exists(named) ? named : null;
        for (DirectoryInfo? d = new(AppContext.BaseDirectory); d is not null; d = d.Parent)
            if (File.Exists(System.IO.Path.Combine(d.FullName, "Slipstream.slnx")))
            {
                string beside = System.IO.Path.Combine(d.Parent?.FullName ?? d.FullName, "shared");
                return Directory.Exists(beside) ? beside : null;
            }
        return null;
    }
}
