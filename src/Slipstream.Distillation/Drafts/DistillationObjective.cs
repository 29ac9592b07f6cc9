using Slipstream.Distillation.Losses;
using Slipstream.Distillation.Torch;
using Slipstream.Distillation.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Slipstream.Distillation.Drafts;

/// <summary>Token-level distillation: at every position of a window, the student against what the target said there after the same tokens.</summary>
/// <remarks>
/// The logits of a large vocabulary would not fit into memory with their gradients, so the head and the loss are computed a part of the rows at a time; each part's gradient is
/// taken at once, and what the parts say about the states goes on through the layers as one.
/// </remarks>
internal sealed class DistillationObjective : ITrainingObjective
{
    private readonly DistillationLoss _loss;
    private readonly TeacherCache? _teacher;
    private readonly int _partElements;

    /// <param name="loss">What is minimised.</param>
    /// <param name="teacher">What the target said; null where the loss needs none.</param>
    /// <param name="partElements">Logits computed at once: 32 MiB, for larger ones are given back to the system and faulted in anew by each operation.</param>
    public DistillationObjective(DistillationLoss loss, TeacherCache? teacher, int partElements = 1 << 23)
    {
        if (loss.NeedsTeacher) ArgumentNullException.ThrowIfNull(teacher);
        (_loss, _teacher, _partElements) = (loss, teacher, partElements);
    }

    /// <inheritdoc/>
    public string Name => FormattableString.Invariant($"distil {_loss} at {_loss.Temperature} from {_teacher?.Key.FileName ?? "no teacher"}");

    /// <inheritdoc/>
    public bool HasFixedWindows => _teacher is not null;

    /// <inheritdoc/>
    public Tensor Loss(TorchLlama model, TrainingBatch batch)
    {
        using TeacherTargets? teacher = Teacher(model, batch);
        Tensor targets = batch.Targets.reshape(-1), next = model.HeadRows(targets), hidden = model.Hidden(batch.Inputs).reshape(-1, model.Shape.Hidden);
        long counted = Math.Max(1, targets.ne(TrainingBatch.Ignored).sum().item<long>());
        int rows = (int)hidden.shape[0], part = Math.Max(1, _partElements / model.Shape.HeadRows);
        if (part >= rows) return _loss.Sum(model.Head(hidden), teacher, targets, next) / counted;
        double total = 0;
        bool learns = is_grad_enabled();
        Tensor gradient = zeros_like(hidden).detach();
        for (int from = 0; from < rows; from += part)
        {
            using DisposeScope scope = NewDisposeScope();
            int count = Math.Min(part, rows - from);
            Tensor states = hidden.detach().narrow(0, from, count);
            if (learns) states.requires_grad_();
            Tensor value = _loss.Sum(model.Head(states), teacher?.Rows(from, count), targets.narrow(0, from, count), next.narrow(0, from, count)) / counted;
            total += value.item<float>();
            if (!learns) continue;
            value.backward();
            using IDisposable none = no_grad();
            gradient.narrow(0, from, count).copy_(states.grad!);
        }
        if (!learns) return tensor((float)total);
        // Its gradient is the one found above, its value the loss.
        Tensor carrier = (hidden * gradient).sum();
        return carrier - carrier.detach() + total;
    }

    private TeacherTargets? Teacher(TorchLlama model, TrainingBatch batch)
    {
        if (_teacher is not { } cache) return null;
        int length = (int)batch.Inputs.shape[1], best = cache.Key.Best, windows = batch.Offsets.Length;
        if (length != cache.Key.Length) throw new SlipstreamException($"The windows have {length} tokens, but the teacher cache was made for {cache.Key.Length}; give the same --length.");
        long[] tokens = new long[windows * length * best];
        float[] logProbabilities = new float[tokens.Length], rest = new float[windows * length];
        for (int i = 0; i < windows; i++)
            cache.Read(batch.Offsets[i], tokens.AsSpan(i * length * best, length * best), logProbabilities.AsSpan(i * length * best, length * best), rest.AsSpan(i * length, length));
        TeacherTargets said = new(tensor(tokens, [windows * length, best]), tensor(logProbabilities, [windows * length, best]), tensor(rest));
        return model.Shape.OutputTokens.IsEmpty ? said : said.For(model.HeadRows(said.Tokens));
    }
}
