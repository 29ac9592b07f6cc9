using System.Runtime.CompilerServices;

namespace Slipstream.Numerics;

/// <summary>A view of native bytes longer than a span can be; it does not own them. The owner (a mapped file, a buffer) must outlive it.</summary>
public readonly unsafe struct ByteRegion
{
    internal readonly byte* Pointer;
    private readonly bool _isFile;

    internal ByteRegion(byte* pointer, long length, bool isFile = false)
    {
        Pointer = pointer;
        Length = length;
        _isFile = isFile;
    }

    /// <summary>Bytes in the region.</summary>
    public long Length { get; }

    /// <summary>The region of <paramref name="length"/> bytes that begins <paramref name="offset"/> bytes into this one.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the region.</exception>
    public ByteRegion Slice(long offset, long length)
    {
        Check(offset, length);
        return new ByteRegion(Pointer + offset, length, _isFile);
    }

    /// <summary>A span over <paramref name="length"/> bytes from <paramref name="offset"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the region.</exception>
    public ReadOnlySpan<byte> Span(long offset, int length)
    {
        Check(offset, length);
        // SAFETY: the range was checked against the region, whose owner keeps the memory alive.
        return new ReadOnlySpan<byte>(Pointer + offset, length);
    }

    /// <summary>
    /// Lets go of the resident pages that lie wholly inside a region of a mapped file, such as weights that were copied into another layout; reading them again reads the file.
    /// Does nothing to other memory, where it would lose the contents.
    /// </summary>
    internal void Discard()
    {
        if (_isFile) SystemMemory.Discard(Pointer, Length);
    }

    /// <summary>Begins to read a region of a mapped file without waiting for it; does nothing to other memory.</summary>
    internal void WillNeed()
    {
        if (_isFile) SystemMemory.WillNeed(Pointer, Length);
    }

    /// <summary>Tells the system that a region of a mapped file is read from its beginning to its end; does nothing to other memory.</summary>
    internal void Sequential()
    {
        if (_isFile) SystemMemory.Sequential(Pointer, Length);
    }

    /// <summary>Makes the pages of a region of a mapped file resident and waits for them, so that kernels take no faults; does nothing to other memory.</summary>
    internal void Populate()
    {
        if (_isFile) SystemMemory.Populate(Pointer, Length);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Check(long offset, long length)
    {
        if ((ulong)offset > (ulong)Length || (ulong)length > (ulong)(Length - offset))
            throw new ArgumentOutOfRangeException(nameof(offset), $"Range {offset}+{length} is outside a region of {Length} bytes.");
    }
}
