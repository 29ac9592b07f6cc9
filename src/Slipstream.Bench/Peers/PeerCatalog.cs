namespace Slipstream.Bench;

/// <summary>What a peer is made from.</summary>
/// <param name="Path">The checkpoint that our engine runs.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Format">Its format.</param>
/// <param name="Threads">Threads.</param>
/// <param name="Folders">Where to look for libraries and files; empty for the usual places.</param>
/// <param name="CacheFolder">Where to keep what is made.</param>
/// <param name="OwnFormat">The format that llama.cpp is to convert the file to first; null for none.</param>
internal sealed record PeerRequest(string Path, Slipstream.Models.ModelConfig Shape, string Format, int Threads, IReadOnlyList<string> Folders, string CacheFolder, string? OwnFormat = null);

/// <summary>The other engines, by name.</summary>
internal static class PeerCatalog
{
    private static readonly Dictionary<string, Func<PeerRequest, IContender>> Makers = new(StringComparer.Ordinal)
    {
        ["llama.cpp"] = LlamaContender.Load,
        ["openvino"] = OpenVinoContender.Load,
    };

    /// <summary>Their names.</summary>
    public static IReadOnlyCollection<string> Names => Makers.Keys;

    /// <summary>Loads one.</summary>
    /// <exception cref="SlipstreamException">Its library or its files were not found, or it cannot load the model.</exception>
    public static IContender Load(string name, PeerRequest request) => Makers[name](request);
}
