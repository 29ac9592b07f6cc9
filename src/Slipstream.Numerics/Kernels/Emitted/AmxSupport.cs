using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>Whether this process may use the processor's matrix unit, Intel's Advanced Matrix Extensions, which it must ask Linux for.</summary>
/// <remarks>
/// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID leaf 7, and volume 1, chapter 18 (AMX); Linux, Documentation/arch/x86/xstate.rst: 8 KB of state are saved only for processes that ask.
/// </remarks>
internal static unsafe partial class AmxSupport
{
    private const int Features = 7, Bf16Bit = 22, TileBit = 24, Int8Bit = 25, TileData = 18;
    private const nint ArchPrctl = 158, Supported = 0x1021, Request = 0x1023;

    /// <summary>Whether tiles of bfloat16 can be multiplied. Asks the system at the first use; what it grants holds for all threads.</summary>
    public static bool IsAvailable { get; } = HasInstructions && TryRequest();

    /// <summary>Whether tiles of bytes can be multiplied, where those of bfloat16 can.</summary>
    public static bool HasBytes => IsAvailable && (X86Base.CpuId(Features, 0).Edx & (1 << Int8Bit)) != 0;

    private static bool HasInstructions
    {
        get
        {
            if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64 || !X86Base.IsSupported || X86Base.CpuId(0, 0).Eax < Features) return false;
            int features = X86Base.CpuId(Features, 0).Edx;
            return (features & (1 << Bf16Bit)) != 0 && (features & (1 << TileBit)) != 0;
        }
    }

    private static bool TryRequest()
    {
        ulong supported = 0;
        try
        {
            // SAFETY: the first call writes 8 bytes; systems before Linux 5.16 refuse both.
            return SystemCall(ArchPrctl, Supported, (nint)(&supported)) == 0 && (supported & (1UL << TileData)) != 0 && SystemCall(ArchPrctl, Request, TileData) == 0;
        }
        catch (EntryPointNotFoundException)
        {
            return false;
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint SystemCall(nint number, nint first, nint second);
}
