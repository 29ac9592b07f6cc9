using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>Cache lines asked for before they are read.</summary>
internal static unsafe class Lines
{
    /// <summary>Asks for the line <paramref name="ahead"/> bytes on. Where there is no memory, nothing happens.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(void* here, nint ahead)
    {
        // SAFETY: the address is only asked for; a prefetch never faults.
        if (Sse.IsSupported) Sse.Prefetch0((byte*)here + ahead);
    }
}
