using System.Runtime.InteropServices;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>Pages of machine code: written first, then made executable and read-only, never both at once. They live as long as the process.</summary>
internal static unsafe partial class ExecutableMemory
{
    private const int Read = 1, Write = 2, Execute = 4, Private = 2, PageExecuteRead = 0x20, PageReadWrite = 0x04, Commit = 0x1000, Reserve = 0x2000;

    /// <summary>Copies <paramref name="machineCode"/> to executable pages.</summary>
    /// <param name="machineCode">Position-independent.</param>
    /// <param name="code">Its first byte.</param>
    /// <param name="reason">Why the system refused, as a clause.</param>
    public static bool TryCreate(ReadOnlySpan<byte> machineCode, out void* code, out string? reason)
    {
        nuint bytes = ((nuint)machineCode.Length + (nuint)Environment.SystemPageSize - 1) & ~((nuint)Environment.SystemPageSize - 1);
        bool windows = OperatingSystem.IsWindows();
        code = windows ? VirtualAlloc(null, bytes, Commit | Reserve, PageReadWrite) : Map(null, bytes, Read | Write, Private | Anonymous, -1, 0);
        if (code is null || (nint)code == -1)
        {
            reason = Refused("memory");
            code = null;
            return false;
        }
        // SAFETY: the pages are new, ours alone and long enough; nobody runs them before they are protected.
        machineCode.CopyTo(new Span<byte>(code, machineCode.Length));
        if (windows ? VirtualProtect(code, bytes, PageExecuteRead, out _) == 0 : Protect(code, bytes, Read | Execute) != 0)
        {
            reason = Refused("executable memory");
            if (windows) _ = VirtualFree(code, 0, 0x8000);
            else _ = Unmap(code, bytes);
            code = null;
            return false;
        }
        reason = null;
        return true;

        static string Refused(string what) => $"the system refused {what} (error {Marshal.GetLastPInvokeError()})";
    }

    // MAP_ANONYMOUS is the one flag whose value differs between the systems.
    private static int Anonymous => OperatingSystem.IsLinux() ? 0x20 : 0x1000;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* Map(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    private static partial int Protect(void* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* address, nuint length);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial void* VirtualAlloc(void* address, nuint length, int type, int protection);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int VirtualProtect(void* address, nuint length, int protection, out int old);

    [LibraryImport("kernel32")]
    private static partial int VirtualFree(void* address, nuint length, int type);
}
