using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>What a model runs on.</summary>
/// <param name="Pool">Its threads; may be shared with other models that run at other times.</param>
/// <param name="MaxRows">The most rows of one forward pass.</param>
/// <param name="Precision">How activations enter matrix products.</param>
public sealed record ModelRuntime(ComputePool Pool, int MaxRows = 512, ActivationPrecision Precision = ActivationPrecision.Auto)
{
    /// <summary>Where the machine code of the matrix kernels comes from.</summary>
    public KernelTier Kernels { get; init; } = KernelTier.Auto;
}
