using System.Numerics;

namespace Slipstream.Numerics.Kernels;

/// <summary>
/// How the slots of a cache are parted: chunks of rows, each with the keys and values of all layers and heads, so that what few rows take lies in few pages. The default value stands for a single chunk.
/// </summary>
/// <param name="Rows">Rows of a chunk: a power of two, at least those of a tile.</param>
/// <param name="Bytes">Bytes from a chunk to the next.</param>
internal readonly record struct CacheChunks(int Rows, long Bytes)
{
    private const long TargetBytes = 16L << 20;

    /// <summary>The chunks of a cache of <paramref name="slots"/> rows of <paramref name="bytesPerRow"/> in all layers and heads: about 16 MiB each, or a single one where there would be hardly more than two.</summary>
    public static CacheChunks For(long slots, long bytesPerRow)
    {
        int rows = (int)Math.Max(TiledAttention.Tile, Math.Min(1 << 20, TargetBytes / bytesPerRow));
        rows = 1 << BitOperations.Log2((uint)rows);
        return slots <= 2L * rows ? default : new CacheChunks(rows, rows * bytesPerRow);
    }

    /// <summary>What of a slot says which chunk it is in, as a shift.</summary>
    public int Shift => Rows == 0 ? 31 : BitOperations.Log2((uint)Rows);

    /// <summary>Where a slot's row begins, counted from the first row of its head in the first chunk.</summary>
    public long Offset(int slot, long rowBytes) => (slot & ((1L << Shift) - 1)) * rowBytes + (slot >> Shift) * Bytes;
}
