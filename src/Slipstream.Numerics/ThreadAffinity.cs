using System.Runtime.InteropServices;

namespace Slipstream.Numerics;

/// <summary>Keeps threads on processors, where the system lets them (Linux).</summary>
internal static unsafe partial class ThreadAffinity
{
    // Bits for 1024 processors, as the system's own headers reserve.
    private const int Words = 16, Bits = 64;

    /// <summary>Keeps the calling thread on one of the processors that it may use, counted from 0 and around.</summary>
    public static void PinTo(int number)
    {
        if (!OperatingSystem.IsLinux()) return;
        // SAFETY: the system reads and writes no more than the bytes named.
        ulong* allowed = stackalloc ulong[Words];
        if (GetAffinity(0, Words * sizeof(ulong), allowed) < 0) return;
        int wanted = number % Math.Max(1, Count());
        for (int p = 0; p < Words * Bits; p++)
        {
            if (!IsSet(allowed, p) || wanted-- > 0) continue;
            ulong* one = stackalloc ulong[Words];
            new Span<ulong>(one, Words).Clear();
            one[p / Bits] = 1UL << (p % Bits);
            _ = SetAffinity(0, Words * sizeof(ulong), one);
            return;
        }
    }

    /// <summary>Processors the calling thread may use.</summary>
    internal static int Count()
    {
        ulong* allowed = stackalloc ulong[Words];
        if (!OperatingSystem.IsLinux() || GetAffinity(0, Words * sizeof(ulong), allowed) < 0) return Environment.ProcessorCount;
        int count = 0;
        for (int p = 0; p < Words * Bits; p++) count += IsSet(allowed, p) ? 1 : 0;
        return count;
    }

    private static bool IsSet(ulong* mask, int processor) => (mask[processor / Bits] >> (processor % Bits) & 1) != 0;

    [LibraryImport("libc", EntryPoint = "sched_getaffinity")]
    private static partial int GetAffinity(int thread, nuint bytes, ulong* mask);

    [LibraryImport("libc", EntryPoint = "sched_setaffinity")]
    private static partial int SetAffinity(int thread, nuint bytes, ulong* mask);
}
