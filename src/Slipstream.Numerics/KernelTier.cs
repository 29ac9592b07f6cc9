namespace Slipstream.Numerics;

/// <summary>Where the machine code of the matrix kernels comes from.</summary>
public enum KernelTier
{
    /// <summary><see cref="Emitted"/> where <see cref="EmittedKernels.IsAvailable"/>, <see cref="Intrinsics"/> elsewhere.</summary>
    Auto,

    /// <summary>Assembled at run time, for instructions .NET does not expose; kernels that need none of them are the compiled ones.</summary>
    Emitted,

    /// <summary>Compiled from C# only.</summary>
    Intrinsics,

    /// <summary>As <see cref="Emitted"/>, but without the matrix unit (AMX), where the processor has one.</summary>
    EmittedVectors,
}

/// <summary>Whether kernels can be assembled at run time on this machine, and why not. Found out once a process.</summary>
public static class EmittedKernels
{
    private static readonly Lazy<string?> Refusal = new(Kernels.Emitted.EmissionSupport.Refusal);

    /// <summary>Whether the processor has an instruction worth emitting, the runtime may use AVX-512, and the system allows executable memory.</summary>
    public static bool IsAvailable => Refusal.Value is null;

    /// <summary>Why not, as a clause such as <c>the processor has neither AVX512-VNNI nor AVX512-BF16</c>; null where <see cref="IsAvailable"/>.</summary>
    public static string? UnavailableReason => Refusal.Value;

    /// <summary>Whether a model built with <paramref name="tier"/> uses emitted kernels.</summary>
    /// <exception cref="SlipstreamException">They are asked for by name and cannot run here; or the value is none of the enumeration.</exception>
    public static bool Use(KernelTier tier) => tier switch
    {
        KernelTier.Auto => IsAvailable,
        KernelTier.Intrinsics => false,
        KernelTier.Emitted or KernelTier.EmittedVectors when IsAvailable => true,
        KernelTier.Emitted or KernelTier.EmittedVectors => throw new SlipstreamException($"Emitted kernels cannot run here: {UnavailableReason}; take the kernels 'auto' or 'intrinsics'."),
        _ => throw new SlipstreamException($"kernels is {(int)tier}; it must be auto, emitted, emitted-vectors or intrinsics."),
    };

    /// <summary>Whether a model built with <paramref name="tier"/> uses kernels for the matrix unit.</summary>
    internal static bool UseAmx(KernelTier tier) => tier != KernelTier.EmittedVectors && Use(tier) && HasAmx;

    /// <summary>Whether kernels for the matrix unit (AMX) can run: the processor has it, and the system lets this process use it.</summary>
    public static bool HasAmx => IsAvailable && Kernels.Emitted.AmxSupport.IsAvailable;
}
