namespace Slipstream.Distillation.Training;

/// <summary>How a run goes. What changes the curve is part of a checkpoint's fingerprint.</summary>
internal sealed record TrainingOptions
{
    /// <summary>Steps of the optimiser.</summary>
    public required int Steps { get; init; }

    /// <summary>Windows of a batch.</summary>
    public int Batch { get; init; } = 16;

    /// <summary>Tokens of a window.</summary>
    public int Length { get; init; } = 256;

    /// <summary>Batches of a step.</summary>
    public int Accumulation { get; init; } = 1;

    /// <summary>The highest learning rate, after the warm-up.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>The last learning rate, as a part of the highest.</summary>
    public double FinalRatio { get; init; } = 0.1;

    /// <summary>Steps over which the learning rate rises.</summary>
    public int WarmUp { get; init; } = 100;

    /// <summary>Decay of matrices; norms are left alone.</summary>
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>Decay of the first moment.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the second moment.</summary>
    public double Beta2 { get; init; } = 0.95;

    /// <summary>Added to the root of the second moment.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>The longest gradient; longer ones are shortened to it. 0 for none.</summary>
    public double Clip { get; init; } = 1;

    /// <summary>The seed of the initial weights and of the order of windows.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Whether linears run in bfloat16, over weights of float32.</summary>
    public bool Bfloat16 { get; init; }

    /// <summary>Steps between evaluations.</summary>
    public int EvaluateEvery { get; init; } = 200;

    /// <summary>The most tokens of an evaluation: evenly spread windows of the held-out text.</summary>
    public int EvaluationTokens { get; init; } = 65_536;

    /// <summary>Evaluations without a better one before the run stops; 0 for never.</summary>
    public int Patience { get; init; }

    /// <summary>Steps between checkpoints; 0 for none by steps.</summary>
    public int CheckpointEverySteps { get; init; }

    /// <summary>Time between checkpoints.</summary>
    public TimeSpan CheckpointEvery { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>The names and values that make the curve what it is: a run goes on only where they are the same.</summary>
    public IReadOnlyDictionary<string, string> Fingerprint() => new SortedDictionary<string, string>(StringComparer.Ordinal)
    {
        ["steps"] = FormattableString.Invariant($"{Steps}"),
        ["batch"] = FormattableString.Invariant($"{Batch}"),
        ["length"] = FormattableString.Invariant($"{Length}"),
        ["accumulate"] = FormattableString.Invariant($"{Accumulation}"),
        ["learning-rate"] = FormattableString.Invariant($"{LearningRate}"),
        ["final-ratio"] = FormattableString.Invariant($"{FinalRatio}"),
        ["warm-up"] = FormattableString.Invariant($"{WarmUp}"),
        ["weight-decay"] = FormattableString.Invariant($"{WeightDecay}"),
        ["beta1"] = FormattableString.Invariant($"{Beta1}"),
        ["beta2"] = FormattableString.Invariant($"{Beta2}"),
        ["epsilon"] = FormattableString.Invariant($"{Epsilon}"),
        ["clip"] = FormattableString.Invariant($"{Clip}"),
        ["seed"] = FormattableString.Invariant($"{Seed}"),
        ["activations"] = Bfloat16 ? "bf16" : "f32",
        ["evaluate-every"] = FormattableString.Invariant($"{EvaluateEvery}"),
        ["evaluation-tokens"] = FormattableString.Invariant($"{EvaluationTokens}"),
        ["patience"] = FormattableString.Invariant($"{Patience}"),
    };
}
