using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>Cache lines asked for before they are read.</summary>
internal static unsafe class Lines
{
    /// <summary>Bytes of a line.</summary>
    public const int Bytes = 64;

    /// <summary>The first line that begins at or after an address.</summary>
    public static byte* Align(byte* address) => (byte*)(((nuint)address + Bytes - 1) & ~(nuint)(Bytes - 1));

    /// <summary>Asks for the line <paramref name="ahead"/> bytes on, into the second-level cache: the first has too few misses at a time to wait for memory with. Where there is no memory, nothing happens.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(void* here, nint ahead)
    {
        // SAFETY: the address is only asked for; a prefetch never faults.
        if (Sse.IsSupported) Sse.Prefetch1((byte*)here + ahead);
    }
}

/// <summary>Rows that are read next, asked for one by one while others are worked on: rows of a cache lie in blocks that belong to different sequences, so no fixed distance finds them.</summary>
/// <param name="from">Where offsets count from.</param>
/// <param name="offset">Where each row begins, in bytes.</param>
/// <param name="count">Rows.</param>
/// <param name="bytes">Bytes of a row.</param>
internal readonly unsafe struct RowsAhead(byte* from, long* offset, int count, int bytes)
{
    /// <summary>Rows.</summary>
    public int Count => count;

    /// <summary>A share of the rows.</summary>
    public RowsAhead Share(int index, int shares)
    {
        int first = count * index / shares;
        return new RowsAhead(from, offset + first, count * (index + 1) / shares - first, bytes);
    }

    /// <summary>Asks for row <paramref name="i"/>, if there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Ask(nint i)
    {
        if (i >= count) return;
        byte* row = from + offset[i];
        for (nint at = 0; at < bytes; at += Lines.Bytes) Lines.Ask(row, at);
    }
}
