using System.Runtime.InteropServices;

namespace Slipstream.Numerics;

/// <summary>What the system is told about pages. Advice only: where it is not understood, everything still works.</summary>
internal static unsafe partial class SystemMemory
{
    /// <summary>From this size on, an allocation asks for huge pages: fewer misses of the address cache when gigabytes are streamed.</summary>
    public const long HugeThreshold = 4 << 20;

    private const nuint HugePage = 2 << 20;
    private const int ReadWrite = 3, PrivateAnonymous = 0x22, AdviseSequential = 2, AdviseWillNeed = 3, AdviseDontNeed = 4, AdviseHuge = 14, PopulateRead = 22;

    /// <summary>Zeroed memory aligned to a huge page, of <paramref name="bytes"/> rounded up to whole pages; null where the system has none or is not Linux.</summary>
    public static void* AllocateHuge(nuint bytes, out nuint mapped)
    {
        mapped = 0;
        if (!OperatingSystem.IsLinux()) return null;
        mapped = RoundUp(bytes, (nuint)Environment.SystemPageSize);
        byte* start = Map(null, mapped + HugePage, ReadWrite, PrivateAnonymous, -1, 0);
        if ((nint)start == -1) return null;
        // SAFETY: the mapping is ours; what lies before and after the aligned part is given back, and nobody has seen it.
        byte* aligned = (byte*)RoundUp((nuint)start, HugePage);
        nuint before = (nuint)(aligned - start), after = HugePage - before;
        if (before != 0) _ = Unmap(start, before);
        if (after != 0) _ = Unmap(aligned + mapped, after);
        _ = Advise(aligned, mapped, AdviseHuge);
        return aligned;
    }

    /// <summary>Gives back what <see cref="AllocateHuge"/> returned.</summary>
    public static void FreeHuge(void* start, nuint mapped) => _ = Unmap(start, mapped);

    /// <summary>Drops the whole pages within a range of a read-only file mapping from this process; they come back from the file when read again.</summary>
    public static void Discard(byte* start, long length) => AdviseInside(start, length, AdviseDontNeed);

    /// <summary>Tells that a range of a file mapping will be read from its beginning to its end.</summary>
    public static void Sequential(byte* start, long length) => AdviseInside(start, length, AdviseSequential);

    /// <summary>Begins to read a range of a file mapping, without waiting for it.</summary>
    public static void WillNeed(byte* start, long length) => AdviseInside(start, length, AdviseWillNeed);

    /// <summary>Reads a range of a file mapping and maps its pages, so that no later access faults; waits until it is done.</summary>
    public static void Populate(byte* start, long length) => AdviseInside(start, length, PopulateRead);

    // Only pages that belong to the range entirely: its neighbours may belong to others.
    private static void AdviseInside(byte* start, long length, int advice)
    {
        if (!OperatingSystem.IsLinux()) return;
        nuint page = (nuint)Environment.SystemPageSize, from = RoundUp((nuint)start, page), to = ((nuint)start + (nuint)length) & ~(page - 1);
        if (from < to) _ = Advise((byte*)from, to - from, advice);
    }

    private static nuint RoundUp(nuint value, nuint multiple) => checked(value + multiple - 1) & ~(multiple - 1);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial byte* Map(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
