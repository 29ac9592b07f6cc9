using System.Collections.Immutable;
using System.Globalization;
using Slipstream.Distillation.Training;
using static TorchSharp.torch;
using Functional = TorchSharp.torch.nn.functional;

namespace Slipstream.Distillation.Losses;

/// <summary>A weighted sum of divergences from a teacher and of the loss of the next token.</summary>
/// <remarks>
/// The divergences are of the distributions at <see cref="Temperature"/>; the two Kullback-Leibler losses and the Jensen-Shannon loss are multiplied by its square, which keeps the size of their gradients
/// (arXiv:1503.02531), the total variation is not: its value is a chance. The next token is always scored at temperature 1.
/// </remarks>
internal sealed class DistillationLoss
{
    private static readonly ImmutableArray<(string Name, Divergence? Divergence)> Names =
    [
        ("forward-kl", Divergence.ForwardKl), ("reverse-kl", Divergence.ReverseKl), ("tv", Divergence.TotalVariation), ("jsd", Divergence.JensenShannon), ("next-token", null),
    ];

    private DistillationLoss(ImmutableArray<(Divergence? Divergence, double Weight)> parts, double temperature) => (Parts, Temperature) = (parts, temperature);

    /// <summary>The divergences, null for the next token, with their weights; none twice.</summary>
    public ImmutableArray<(Divergence? Divergence, double Weight)> Parts { get; }

    /// <summary>Divides the logits of teacher and student.</summary>
    public double Temperature { get; }

    /// <summary>Whether a teacher is asked at all.</summary>
    public bool NeedsTeacher => Parts.Any(part => part.Divergence is not null);

    /// <summary>Reads <c>tv</c>, or a mix such as <c>tv=0.9,next-token=0.1</c>: weights as given, 1 where none is.</summary>
    /// <exception cref="SlipstreamException">A name is not known, stands twice, or a weight is not over 0; or the temperature is not over 0.</exception>
    public static DistillationLoss Parse(string text, double temperature)
    {
        if (!(temperature > 0) || double.IsInfinity(temperature)) throw new SlipstreamException(FormattableString.Invariant($"The temperature is {temperature}; it must be over 0."));
        var parts = ImmutableArray.CreateBuilder<(Divergence?, double)>();
        foreach (string item in text.Split(',', StringSplitOptions.TrimEntries))
        {
            string[] pair = item.Split('=', 2, StringSplitOptions.TrimEntries);
            int at = Names.Select(entry => entry.Name).ToList().IndexOf(pair[0]);
            if (at < 0) throw new SlipstreamException($"The loss '{item}' is not known; it must be {string.Join(", ", Names.Select(entry => entry.Name))}, or a mix such as tv=0.9,next-token=0.1.");
            double weight = 1;
            if (pair.Length == 2 && (!double.TryParse(pair[1], NumberStyles.Float, CultureInfo.InvariantCulture, out weight) || !(weight > 0) || double.IsInfinity(weight)))
                throw new SlipstreamException($"The weight of the loss '{item}' must be a number over 0.");
            if (parts.Any(part => part.Item1 == Names[at].Divergence)) throw new SlipstreamException($"The loss '{pair[0]}' is given twice; give each once.");
            parts.Add((Names[at].Divergence, weight));
        }
        return new DistillationLoss(parts.ToImmutable(), temperature);
    }

    /// <summary>The mean over the counted rows: see <see cref="Sum"/>.</summary>
    public Tensor Mean(Tensor student, TeacherTargets? teacher, Tensor targets) => Sum(student, teacher, targets) / targets.ne(TrainingBatch.Ignored).sum().clamp_min(1);

    /// <summary>The sum over the counted rows.</summary>
    /// <param name="student">The student's logits, float32 <c>[rows, head rows]</c>.</param>
    /// <param name="teacher">What the teacher said at each row; null where <see cref="NeedsTeacher"/> is false.</param>
    /// <param name="targets">The next tokens, int64 <c>[rows]</c>; rows whose target is <see cref="TrainingBatch.Ignored"/> do not count, for no part.</param>
    /// <param name="rows">The rows of the student's head for the next tokens; null where it has one for each token.</param>
    /// <returns>A scalar.</returns>
    public Tensor Sum(Tensor student, TeacherTargets? teacher, Tensor targets, Tensor? rows = null)
    {
        Tensor? total = null;
        Tensor ignored = targets.eq(TrainingBatch.Ignored);
        if (NeedsTeacher) ArgumentNullException.ThrowIfNull(teacher);
        (Tensor logP, Tensor logQ)? outcomes = NeedsTeacher ? Divergences.Outcomes(student, teacher!, Temperature) : null;
        foreach ((Divergence? divergence, double weight) in Parts)
        {
            Tensor sum;
            if (divergence is { } kind)
            {
                double scale = kind == Divergence.TotalVariation ? 1 : Temperature * Temperature;
                sum = Divergences.Between(kind, outcomes!.Value.logP, outcomes.Value.logQ).masked_fill(ignored, 0).sum() * scale;
            }
            else
            {
                sum = Functional.cross_entropy(student, rows ?? targets, ignore_index: TrainingBatch.Ignored, reduction: TorchSharp.torch.nn.Reduction.Sum);
            }
            sum *= weight;
            total = total is null ? sum : total + sum;
        }
        return total!;
    }

    /// <summary>As <see cref="Parse"/> reads it.</summary>
    public override string ToString() => string.Join(",", Parts.Select(part =>
        string.Create(CultureInfo.InvariantCulture, $"{Names.First(entry => entry.Divergence == part.Divergence).Name}={part.Weight}")));
}
