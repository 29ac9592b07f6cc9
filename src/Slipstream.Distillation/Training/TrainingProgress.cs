namespace Slipstream.Distillation.Training;

/// <summary>A step that was made.</summary>
/// <param name="Step">Its number, from 1.</param>
/// <param name="Loss">The loss before it, nats a token.</param>
/// <param name="LearningRate">The learning rate.</param>
/// <param name="GradientNorm">The length of the gradient before clipping.</param>
/// <param name="TokensPerSecond">Tokens of the step over its time.</param>
internal readonly record struct TrainingStep(int Step, double Loss, double LearningRate, double GradientNorm, double TokensPerSecond);

/// <summary>A held-out loss.</summary>
/// <param name="Step">After this step.</param>
/// <param name="Loss">Nats a token.</param>
internal readonly record struct EvaluationPoint(int Step, double Loss);

/// <summary>Told how a run goes, from its own thread.</summary>
internal interface ITrainingProgress
{
    /// <summary>A run begins, or goes on after <paramref name="done"/> steps.</summary>
    void Started(int done, TrainingOptions options);

    /// <summary>A step was made.</summary>
    void Stepped(TrainingStep step);

    /// <summary>The held-out text was evaluated.</summary>
    void Evaluated(EvaluationPoint point, bool isBest);

    /// <summary>A checkpoint was written.</summary>
    void Saved(int step);
}

/// <summary>What a run came to.</summary>
/// <param name="Steps">Steps made, those before a resumption included.</param>
/// <param name="BestStep">The step of the weights that the model was left with.</param>
/// <param name="BestLoss">Their held-out loss, nats a token; NaN where nothing is held out.</param>
/// <param name="StoppedEarly">Whether the patience ended it.</param>
/// <param name="Interrupted">Whether it was cancelled; the checkpoint then holds its state, and the model the last weights.</param>
/// <param name="Losses">The loss of each step, nats a token.</param>
/// <param name="Evaluations">The held-out losses.</param>
/// <param name="BytesPerToken">Bytes of a token: nats a token over this and ln 2 are bits a byte.</param>
/// <param name="TokensPerSecond">Tokens trained on over the time of the steps of this process.</param>
internal sealed record TrainingReport(
    int Steps, int BestStep, double BestLoss, bool StoppedEarly, bool Interrupted,
    IReadOnlyList<float> Losses, IReadOnlyList<EvaluationPoint> Evaluations, double BytesPerToken, double TokensPerSecond)
{
    /// <summary>Bits a byte of a loss.</summary>
    public double BitsPerByte(double loss) => loss / Math.Log(2) / BytesPerToken;
}
