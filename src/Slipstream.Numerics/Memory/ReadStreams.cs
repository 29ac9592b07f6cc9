using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics;

/// <summary>
/// Reads a region once in streams that begin far apart and are fetched ahead. What the best number of streams reaches is the ceiling that decoding is held against.
/// </summary>
/// <param name="region">What is read; its length a multiple of <see cref="UnitBytes"/>.</param>
/// <param name="streams">Streams of a range, 1 to <see cref="MostStreams"/>.</param>
internal unsafe struct ReadStreams(ByteRegion region, int streams) : IRangeJob
{
    /// <summary>Bytes of a unit of work.</summary>
    public const int UnitBytes = 1 << 20;

    /// <summary>The most streams of a range.</summary>
    public const int MostStreams = 8;

    private const int Ahead = 2048, Step = 256;
    private readonly byte* _start = region.Pointer;
    private long _or;

    /// <summary>Units of work in the region.</summary>
    public int Count { get; } = (int)(region.Length / UnitBytes);

    /// <summary>All bits read, or-ed together: a result that depends on every byte, so that no read can be left out.</summary>
    public readonly long Or => _or;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public void Execute(int from, int to, int worker)
    {
        // SAFETY: the units lie inside the region; a prefetch beyond it never faults.
        byte* begin = _start + (long)from * UnitBytes;
        long bytes = (long)(to - from) * UnitBytes, stream = bytes / streams / Step * Step;
        Vector512<long> a = default, b = default, c = default, d = default;
        for (long i = 0; i < stream; i += Step)
        {
            byte* p = begin + i;
            for (int s = 0; s < streams; s++, p += stream)
            {
                if (Sse.IsSupported)
                {
                    Sse.Prefetch0(p + Ahead);
                    Sse.Prefetch0(p + Ahead + 64);
                    Sse.Prefetch0(p + Ahead + 128);
                    Sse.Prefetch0(p + Ahead + 192);
                }
                a |= Vector512.Load((long*)p);
                b |= Vector512.Load((long*)(p + 64));
                c |= Vector512.Load((long*)(p + 128));
                d |= Vector512.Load((long*)(p + 192));
            }
        }
        // What does not share out evenly.
        for (long i = stream * streams; i < bytes; i += 64) a |= Vector512.Load((long*)(begin + i));
        Vector512<long> all = a | b | c | d;
        long bits = 0;
        for (int lane = 0; lane < Vector512<long>.Count; lane++) bits |= all[lane];
        Interlocked.Or(ref _or, bits);
    }
}
