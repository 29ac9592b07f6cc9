using System.Runtime.CompilerServices;

namespace Slipstream.Numerics;

/// <summary>A view of native bytes longer than a span can be; it does not own them. The owner (a mapped file, a buffer) must outlive it.</summary>
public readonly unsafe struct ByteRegion
{
    internal readonly byte* Pointer;

    internal ByteRegion(byte* pointer, long length)
    {
        Pointer = pointer;
        Length = length;
    }

    /// <summary>Bytes in the region.</summary>
    public long Length { get; }

    /// <summary>The region of <paramref name="length"/> bytes that begins <paramref name="offset"/> bytes into this one.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the region.</exception>
    public ByteRegion Slice(long offset, long length)
    {
        Check(offset, length);
        return new ByteRegion(Pointer + offset, length);
    }

    /// <summary>A span over <paramref name="length"/> bytes from <paramref name="offset"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the region.</exception>
    public ReadOnlySpan<byte> Span(long offset, int length)
    {
        Check(offset, length);
        // SAFETY: the range was checked against the region, whose owner keeps the memory alive.
        return new ReadOnlySpan<byte>(Pointer + offset, length);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Check(long offset, long length)
    {
        if ((ulong)offset > (ulong)Length || (ulong)length > (ulong)(Length - offset))
            throw new ArgumentOutOfRangeException(nameof(offset), $"Range {offset}+{length} is outside a region of {Length} bytes.");
    }
}
