using System.Runtime.InteropServices;

namespace Slipstream.Numerics;

/// <summary>Zeroed native memory of <typeparamref name="T"/>, aligned to 64 bytes, freed on disposal; it never burdens the collector.</summary>
/// <remarks>Buffers of 4 MiB and more ask for huge pages where the system has them.</remarks>
public sealed unsafe class NativeBuffer<T> : IDisposable where T : unmanaged
{
    private const int Alignment = 64;
    private readonly void* _allocation;
    private readonly nuint _mapped;
    private T* _pointer;

    /// <summary>Allocates <paramref name="length"/> zeroed elements.</summary>
    /// <exception cref="OutOfMemoryException">The system has no such memory.</exception>
    public NativeBuffer(long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Length = length;
        nuint bytes = checked((nuint)Math.Max(1, length) * (nuint)sizeof(T));
        // SAFETY: freed exactly once, in Release. Zeroed allocation leaves untouched pages unmapped, so an unused cache costs nothing.
        if (bytes >= SystemMemory.HugeThreshold && (_pointer = (T*)SystemMemory.AllocateHuge(bytes, out _mapped)) is not null)
        {
            _allocation = _pointer;
            return;
        }
        _mapped = 0;
        _allocation = NativeMemory.AllocZeroed(bytes + Alignment);
        _pointer = (T*)(((nuint)_allocation + (Alignment - 1)) & ~(nuint)(Alignment - 1));
    }

    /// <summary>Frees the memory of a buffer nobody disposed.</summary>
    ~NativeBuffer() => Release();

    /// <summary>Elements in the buffer.</summary>
    public long Length { get; }

    /// <summary>Bytes in the buffer.</summary>
    public long Bytes => Length * sizeof(T);

    internal T* Pointer => _pointer;

    /// <summary>A span over <paramref name="length"/> elements from <paramref name="start"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the buffer.</exception>
    public Span<T> Span(long start, int length)
    {
        ObjectDisposedException.ThrowIf(_pointer is null, this);
        if ((ulong)start > (ulong)Length || (ulong)length > (ulong)(Length - start))
            throw new ArgumentOutOfRangeException(nameof(start), $"Range {start}+{length} is outside a buffer of {Length} elements.");
        // SAFETY: the range was checked against the allocation.
        return new Span<T>(_pointer + start, length);
    }

    /// <summary>The whole buffer as bytes.</summary>
    public ByteRegion Region => new((byte*)_pointer, Bytes);

    /// <summary>Makes room for <paramref name="length"/> elements, zeroed where it is new; there is no less than before, and what it held may be lost.</summary>
    internal static T* Reserve(ref NativeBuffer<T>? buffer, long length)
    {
        if (buffer is null || buffer.Length < length)
        {
            buffer?.Dispose();
            buffer = new NativeBuffer<T>(length);
        }
        return buffer.Pointer;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    private void Release()
    {
        if (_pointer is null) return;
        if (_mapped != 0) SystemMemory.FreeHuge(_allocation, _mapped);
        else NativeMemory.Free(_allocation);
        _pointer = null;
    }
}
