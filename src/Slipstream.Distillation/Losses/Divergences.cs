using static TorchSharp.torch;
using Functional = TorchSharp.torch.nn.functional;

namespace Slipstream.Distillation.Losses;

/// <summary>How far a student's distribution q is from a teacher's p.</summary>
internal enum Divergence
{
    /// <summary><c>KL(p‖q) = Σ p ln(p/q)</c>: the student covers all that the teacher may say.</summary>
    ForwardKl,

    /// <summary><c>KL(q‖p) = Σ q ln(q/p)</c>: the student says nothing that the teacher would not.</summary>
    ReverseKl,

    /// <summary><c>½ Σ |p − q| = 1 − Σ min(p, q)</c>: one minus the chance that rejection sampling accepts a draft.</summary>
    TotalVariation,

    /// <summary><c>½ KL(p‖m) + ½ KL(q‖m)</c> with <c>m = (p + q)/2</c>.</summary>
    JensenShannon,
}

/// <summary>Divergences of a student from a teacher, one value a row, in natural logarithms; the gradient goes to the student's logits.</summary>
/// <remarks>
/// Sources: Hinton et al. 2015, arXiv:1503.02531; Agarwal et al. 2023, arXiv:2306.13649 (generalised Jensen-Shannon); Zhou et al. 2023, arXiv:2310.08461 (for drafts).
/// Over a teacher's k best tokens, both distributions are taken over k + 1 outcomes: the k tokens and the bucket of all others. Merging outcomes never raises a divergence, so the
/// value is a lower bound of the whole one, and with k = the whole vocabulary it is the whole one.
/// </remarks>
internal static class Divergences
{
    /// <summary>The least probability of a bucket, on both sides: below it a difference to 1 is rounding. Where both are below, the bucket counts for nothing and has no gradient.</summary>
    public const float Floor = 1e-6f;

    /// <summary>Against the teacher's whole distribution.</summary>
    /// <param name="divergence">Which.</param>
    /// <param name="student">The student's logits, float32 <c>[rows, vocabulary]</c>, before the temperature.</param>
    /// <param name="teacher">The teacher's logits, the same shape.</param>
    /// <param name="temperature">Divides the logits of both, over 0.</param>
    /// <param name="beta">The weight of p in the middle of <see cref="Divergence.JensenShannon"/>.</param>
    /// <returns>float32 <c>[rows]</c>.</returns>
    public static Tensor Full(Divergence divergence, Tensor student, Tensor teacher, double temperature = 1, double beta = 0.5)
        => Between(divergence, Functional.log_softmax(teacher / temperature, -1), Functional.log_softmax(student / temperature, -1), beta);

    /// <summary>Against the teacher's best tokens and the bucket of the others.</summary>
    /// <param name="divergence">Which.</param>
    /// <param name="student">The student's logits, float32 <c>[rows, vocabulary]</c>, before the temperature.</param>
    /// <param name="teacher">The teacher's best tokens, at this temperature.</param>
    /// <param name="temperature">Divides the student's logits; the teacher's were divided when they were kept.</param>
    /// <param name="beta">The weight of p in the middle of <see cref="Divergence.JensenShannon"/>.</param>
    /// <returns>float32 <c>[rows]</c>.</returns>
    public static Tensor TopK(Divergence divergence, Tensor student, TeacherTargets teacher, double temperature = 1, double beta = 0.5)
    {
        (Tensor logP, Tensor logQ) = Outcomes(student, teacher, temperature);
        return Between(divergence, logP, logQ, beta);
    }

    /// <summary>The logarithms of both distributions over the teacher's best tokens and the bucket, <c>[rows, k + 1]</c>: the one part of a divergence that goes over the whole vocabulary.</summary>
    public static (Tensor Teacher, Tensor Student) Outcomes(Tensor student, TeacherTargets teacher, double temperature)
    {
        Tensor scaled = temperature == 1 ? student : student / temperature;
        Tensor best = scaled.gather(-1, teacher.Tokens) - scaled.logsumexp(-1, keepdim: true);
        if (teacher.Absent is { } absent) best = best.masked_fill(absent, TeacherTargets.Nothing);
        Tensor rest = (1 - best.exp().sum(-1, keepdim: true)).clamp_min(Floor).log();
        Tensor teacherRest = teacher.Rest.unsqueeze(-1).clamp_min(Floor).log();
        return (cat([teacher.LogProbabilities, teacherRest], -1), cat([best, rest], -1));
    }

    /// <summary>The divergence of two distributions given by their logarithms.</summary>
    public static Tensor Between(Divergence divergence, Tensor logP, Tensor logQ, double beta = 0.5) => divergence switch
    {
        Divergence.ForwardKl => (logP.exp() * (logP - logQ)).sum(-1),
        Divergence.ReverseKl => (logQ.exp() * (logQ - logP)).sum(-1),
        Divergence.TotalVariation => (logP.exp() - logQ.exp()).abs().sum(-1) * 0.5,
        Divergence.JensenShannon => JensenShannon(logP, logQ, beta),
        _ => throw new ArgumentOutOfRangeException(nameof(divergence)),
    };

    private static Tensor JensenShannon(Tensor logP, Tensor logQ, double beta)
    {
        Tensor p = logP.exp(), q = logQ.exp(), middle = (beta * p + (1 - beta) * q).log();
        return (beta * p * (logP - middle) + (1 - beta) * q * (logQ - middle)).sum(-1);
    }
}
