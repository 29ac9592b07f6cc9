using System.Runtime.InteropServices;

namespace Slipstream.Tests.Kernels;

/// <summary>Memory that ends where the next page may not be touched: a kernel that reads or writes beyond a span brings the process down.</summary>
internal sealed unsafe partial class GuardedMemory : IDisposable
{
    private readonly nint _start;
    private readonly nuint _page = (nuint)Environment.SystemPageSize;

    public GuardedMemory()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Guard pages are set with mprotect.");
        _start = Map(0, 2 * _page, 3, 0x22, -1, 0);
        Assert.NotEqual(-1, _start);
        Assert.Equal(0, Protect(_start + (nint)_page, _page, 0));
    }

    /// <summary>The last <paramref name="length"/> floats before the guard page.</summary>
    // SAFETY: the last floats of the readable page; the page after it cannot be touched, which is the point.
    public Span<float> End(int length) => new((void*)(_start + (nint)_page - length * sizeof(float)), length);

    public void Dispose() => _ = Unmap(_start, 2 * _page);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Protect(nint address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nuint length);
}
