using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>What one cached row holds.</summary>
/// <param name="Layers">Layers with keys and values of their own.</param>
/// <param name="KvHeads">Key-value heads in a layer.</param>
/// <param name="HeadSize">Numbers in a head.</param>
/// <param name="Type">How the numbers are stored.</param>
public sealed record KvLayout(int Layers, int KvHeads, int HeadSize, CacheType Type = CacheType.F32)
{
    /// <summary>Numbers in the keys (or values) of one row in one layer.</summary>
    public int Width => KvHeads * HeadSize;

    /// <summary>Bytes of one row: keys and values of all layers.</summary>
    public long BytesPerRow => 2L * Layers * KvHeads * HeadBytes;

    /// <summary>Bytes of the keys (or values) of one head of one row.</summary>
    internal int HeadBytes => CacheRows.HeadBytes(Type, HeadSize);
}
