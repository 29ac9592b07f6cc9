using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics;

/// <summary>
/// Reads a region once as fast as the machine gives it: four streams a range, far apart and fetched ahead. What it reaches is the ceiling that decoding is held against.
/// </summary>
/// <param name="region">What is read; its length a multiple of <see cref="UnitBytes"/>.</param>
internal unsafe struct ReadStreams(ByteRegion region) : IRangeJob
{
    /// <summary>Bytes of a unit of work.</summary>
    public const int UnitBytes = 1 << 20;

    private const int Ahead = 2048;
    private readonly byte* _start = region.Pointer;
    private long _or;

    /// <summary>Units of work in the region.</summary>
    public int Count { get; } = (int)(region.Length / UnitBytes);

    /// <summary>All bits read, or-ed together: a result that depends on every byte, so that no read can be left out.</summary>
    public readonly long Or => _or;

    /// <inheritdoc/>
    public void Execute(int from, int to, int worker)
    {
        long stream = (long)(to - from) * UnitBytes / 4;
        // SAFETY: the units lie inside the region; a prefetch beyond it never faults.
        byte* p0 = _start + (long)from * UnitBytes, p1 = p0 + stream, p2 = p1 + stream, p3 = p2 + stream;
        Vector512<long> a = default, b = default, c = default, d = default;
        for (long i = 0; i < stream; i += 128)
        {
            if (Sse.IsSupported)
            {
                Sse.Prefetch0(p0 + i + Ahead); Sse.Prefetch0(p0 + i + Ahead + 64);
                Sse.Prefetch0(p1 + i + Ahead); Sse.Prefetch0(p1 + i + Ahead + 64);
                Sse.Prefetch0(p2 + i + Ahead); Sse.Prefetch0(p2 + i + Ahead + 64);
                Sse.Prefetch0(p3 + i + Ahead); Sse.Prefetch0(p3 + i + Ahead + 64);
            }
            a |= Vector512.Load((long*)(p0 + i)) | Vector512.Load((long*)(p0 + i + 64));
            b |= Vector512.Load((long*)(p1 + i)) | Vector512.Load((long*)(p1 + i + 64));
            c |= Vector512.Load((long*)(p2 + i)) | Vector512.Load((long*)(p2 + i + 64));
            d |= Vector512.Load((long*)(p3 + i)) | Vector512.Load((long*)(p3 + i + 64));
        }
        Vector512<long> all = a | b | c | d;
        long bits = 0;
        for (int lane = 0; lane < Vector512<long>.Count; lane++) bits |= all[lane];
        Interlocked.Or(ref _or, bits);
    }
}
