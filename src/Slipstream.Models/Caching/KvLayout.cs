namespace Slipstream.Models;

/// <summary>What one cached row holds.</summary>
/// <param name="Layers">Layers with keys and values of their own.</param>
/// <param name="KvHeads">Key-value heads in a layer.</param>
/// <param name="HeadSize">Floats in a head.</param>
public sealed record KvLayout(int Layers, int KvHeads, int HeadSize)
{
    /// <summary>Floats of the keys (or values) of one row in one layer.</summary>
    public int Width => KvHeads * HeadSize;

    /// <summary>Bytes of one row: keys and values of all layers.</summary>
    public long BytesPerRow => 2L * Layers * Width * sizeof(float);
}
