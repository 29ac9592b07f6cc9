using System.Collections.Immutable;
using Slipstream.Distillation.Torch;
using static TorchSharp.torch;

namespace Slipstream.Distillation.Training;

/// <summary>Windows of the token stream. The tensors belong to the caller of the objective.</summary>
/// <param name="Inputs">Token ids, int64 <c>[batch, length]</c>.</param>
/// <param name="Targets">The token after each, int64 <c>[batch, length]</c>; <see cref="Ignored"/> is not counted.</param>
/// <param name="Offsets">Where each window begins in the token file.</param>
internal sealed record TrainingBatch(Tensor Inputs, Tensor Targets, ImmutableArray<long> Offsets)
{
    /// <summary>A target that does not count.</summary>
    public const long Ignored = -100;
}

/// <summary>What a run minimises.</summary>
internal interface ITrainingObjective
{
    /// <summary>Its name in logs and checkpoints: two objectives of one name are taken for the same.</summary>
    string Name { get; }

    /// <summary>Whether windows must begin at multiples of their length in every epoch, as where something is known of each window beforehand.</summary>
    bool HasFixedWindows => false;

    /// <summary>The loss of a batch: a scalar of float32 with a gradient, the mean over the counted targets.</summary>
    /// <remarks>Called inside a dispose scope of its own, with gradients enabled. Called twice with the same model and batch, it gives the same bits.</remarks>
    Tensor Loss(TorchLlama model, TrainingBatch batch);
}
