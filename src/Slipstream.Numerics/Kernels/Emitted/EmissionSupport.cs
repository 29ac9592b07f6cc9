using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>What the processor and the system offer to emitted kernels.</summary>
/// <remarks>
/// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID leaf 7. That the system saves the 512-bit registers is known from
/// <c>Avx512BW.IsSupported</c>, which the runtime derives from XGETBV, and which <c>DOTNET_EnableAVX512=0</c> turns off.
/// </remarks>
internal static unsafe class EmissionSupport
{
    private const int Features = 7;

    /// <summary>Whether 512-bit <c>vpdpbusd</c> can run.</summary>
    public static bool HasVnni512 { get; } = IsSupported && (X86Base.CpuId(Features, 0).Ecx & (1 << 11)) != 0;

    /// <summary>Whether 512-bit <c>vdpbf16ps</c> can run.</summary>
    public static bool HasBf16 { get; } = IsSupported && X86Base.CpuId(Features, 0).Eax >= 1 && (X86Base.CpuId(Features, 1).Eax & (1 << 5)) != 0;

    private static bool IsSupported => RuntimeInformation.ProcessArchitecture == Architecture.X64
        && Avx512BW.VL.IsSupported && Avx512DQ.IsSupported && X86Base.IsSupported && X86Base.CpuId(0, 0).Eax >= Features;

    /// <summary>Why nothing can be emitted, or null. Tries the executable memory by running one instruction in it.</summary>
    public static string? Refusal()
    {
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64) return $"the process is {RuntimeInformation.ProcessArchitecture}, not x64";
        if (!IsSupported) return "the processor or the runtime's settings offer no AVX-512";
        if (!HasVnni512 && !HasBf16) return "the processor has neither AVX512-VNNI nor AVX512-BF16";
        if (!ExecutableMemory.TryCreate([0xC3], out void* code, out string? reason)) return reason;
        // SAFETY: the code is `ret`.
        ((delegate* unmanaged<void*, void>)code)(null);
        return null;
    }
}
