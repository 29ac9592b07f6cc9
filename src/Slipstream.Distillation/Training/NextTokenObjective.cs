using Slipstream.Distillation.Torch;
using static TorchSharp.torch;

namespace Slipstream.Distillation.Training;

/// <summary>Cross-entropy of the next token, the mean over counted targets, in nats; targets that the head has no row for do not count.</summary>
internal sealed class NextTokenObjective : ITrainingObjective
{
    /// <inheritdoc/>
    public string Name => "next-token";

    /// <inheritdoc/>
    public Tensor Loss(TorchLlama model, TrainingBatch batch) =>
        nn.functional.cross_entropy(model.forward(batch.Inputs).view(-1, model.Shape.HeadRows), model.HeadRows(batch.Targets.reshape(-1)), ignore_index: TrainingBatch.Ignored);
}
