using System.Diagnostics;
using Slipstream.Distillation.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace Slipstream.Distillation.Training;

/// <summary>The training loop: steps, evaluations, checkpoints; a run that was cut off at any point goes on with the same curve.</summary>
internal sealed class TrainingRun
{
    private readonly string? _statePath;
    private readonly IReadOnlyDictionary<string, string> _context;

    /// <param name="statePath">The file of the checkpoint; null to keep none.</param>
    /// <param name="context">What else must be the same for a run to go on, such as where the text came from.</param>
    public TrainingRun(string? statePath = null, IReadOnlyDictionary<string, string>? context = null)
    {
        _statePath = statePath;
        _context = context ?? new Dictionary<string, string>();
    }

    /// <summary>Makes the files of checkpoints; replaced in tests.</summary>
    internal Func<string, long, Stream>? CreateFile { get; init; }

    /// <summary>Trains a model. Where the state's file is there, the run it holds goes on.</summary>
    /// <param name="model">The model; it is left with the weights of the best evaluation, or the last ones where nothing is held out or the run is cut off.</param>
    /// <param name="objective">What is minimised.</param>
    /// <param name="data">The text.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Told how it goes.</param>
    /// <param name="cancellationToken">Cuts the run off after the step under way; a checkpoint is written first.</param>
    /// <exception cref="SlipstreamException">The text is too short, the checkpoint is damaged or of another run, or the disk is full.</exception>
    public TrainingReport Run(TorchLlama model, ITrainingObjective objective, TokenDataset data, TrainingOptions options, ITrainingProgress progress, CancellationToken cancellationToken = default)
    {
        int windows = data.Windows(options.Length);
        if (windows < 1)
            throw new SlipstreamException($"The text has {data.Training.Length} tokens to train on, fewer than two windows of {options.Length}; give more text or a smaller --length.");
        model.Bfloat16 = options.Bfloat16;
        AdamW optimizer = new(model, options);
        Work work = new(model, objective, data, options, progress, optimizer, Fingerprint(model, objective, data, options));
        if (_statePath is not null && File.Exists(_statePath)) work.Restore(TrainingState.Load(_statePath), _statePath);
        else model.Gradient.zero_();
        return Loop(work, cancellationToken);
    }

    /// <summary>What a checkpoint's run must have in common with this one.</summary>
    internal IReadOnlyDictionary<string, string> Fingerprint(TorchLlama model, ITrainingObjective objective, TokenDataset data, TrainingOptions options)
    {
        Dictionary<string, string> all = new(options.Fingerprint(), StringComparer.Ordinal) { ["objective"] = objective.Name, ["shape"] = model.Shape.ToString(), ["text"] = data.Fingerprint };
        foreach ((string key, string value) in _context) all[key] = value;
        return all;
    }

    /// <summary>The mean loss of the held-out windows, nats a token; NaN where there are none.</summary>
    public static double Evaluate(TorchLlama model, ITrainingObjective objective, TokenDataset data, TrainingOptions options)
    {
        double sum = 0;
        long tokens = 0;
        using IDisposable none = no_grad();
        foreach (TrainingBatch batch in data.HeldOutBatches(options.Length, options.Batch, options.EvaluationTokens))
        {
            using (batch.Inputs)
            using (batch.Targets)
            using (NoCollection.Begin())
            using (DisposeScope scope = NewDisposeScope())
            {
                long count = batch.Inputs.numel();
                sum += objective.Loss(model, batch).item<float>() * (double)count;
                tokens += count;
            }
        }
        return sum / tokens;
    }

    /// <summary>The learning rate of a step, from 1: a straight rise, then half a cosine.</summary>
    /// <remarks>Source: arXiv:1608.03983 without restarts.</remarks>
    public static double LearningRate(TrainingOptions options, int step)
    {
        if (step <= options.WarmUp) return options.LearningRate * step / options.WarmUp;
        double part = options.Steps > options.WarmUp ? (double)(step - options.WarmUp) / (options.Steps - options.WarmUp) : 1;
        return options.LearningRate * (options.FinalRatio + (1 - options.FinalRatio) * 0.5 * (1 + Math.Cos(Math.PI * Math.Min(1, part))));
    }

    private TrainingReport Loop(Work work, CancellationToken cancellationToken)
    {
        TrainingOptions options = work.Options;
        WindowOrder order = new(options.Seed, work.Data.Windows(options.Length), options.Length, isShifted: !work.HasFixedWindows);
        work.Progress.Started(work.Step, options);
        long saved = Stopwatch.GetTimestamp();
        int savedStep = work.Step;
        bool stopped = work.Finished || work.OutOfPatience, interrupted = false;
        while (work.Step < options.Steps && !stopped)
        {
            if (cancellationToken.IsCancellationRequested)
            {
                interrupted = true;
                break;
            }
            work.MakeStep(order);
            if (work.Step % options.EvaluateEvery == 0 || work.Step == options.Steps) stopped = work.EvaluateNow();
            bool due = options.CheckpointEverySteps > 0 && work.Step - savedStep >= options.CheckpointEverySteps || Stopwatch.GetElapsedTime(saved) >= options.CheckpointEvery;
            if (due && _statePath is not null && work.Step < options.Steps && !stopped)
            {
                Save(work, finished: false);
                (saved, savedStep) = (Stopwatch.GetTimestamp(), work.Step);
            }
        }
        if (_statePath is not null && !work.Finished && (work.Step > savedStep || !interrupted)) Save(work, finished: !interrupted);
        if (!interrupted) work.TakeBest();
        return work.Report(stopped && work.Step < options.Steps, interrupted);
    }

    private void Save(Work work, bool finished)
    {
        work.State(finished).Save(_statePath!, CreateFile);
        work.Progress.Saved(work.Step);
    }

    /// <summary>A run under way.</summary>
    private sealed class Work(TorchLlama model, ITrainingObjective objective, TokenDataset data, TrainingOptions options, ITrainingProgress progress, AdamW optimizer, IReadOnlyDictionary<string, string> fingerprint)
    {
        private readonly List<float> _losses = [];
        private readonly List<EvaluationPoint> _evaluations = [];
        private float[] _best = [];
        private int _bestStep;
        private double _seconds, _tokens;

        public TokenDataset Data => data;

        public bool HasFixedWindows => objective.HasFixedWindows;

        public TrainingOptions Options => options;

        public ITrainingProgress Progress => progress;

        public int Step { get; private set; }

        public bool Finished { get; private set; }

        /// <summary>Whether the last evaluations brought nothing better.</summary>
        public bool OutOfPatience => options.Patience > 0 && _evaluations.Count(point => point.Step > _bestStep) >= options.Patience;

        public void MakeStep(WindowOrder order)
        {
            long start = Stopwatch.GetTimestamp();
            double loss = 0;
            for (int micro = 0; micro < options.Accumulation; micro++)
            {
                using NoCollection still = NoCollection.Begin();
                using DisposeScope scope = NewDisposeScope();
                TrainingBatch batch = data.Batch(order, (long)Step * options.Accumulation + micro, options.Batch);
                Tensor value = objective.Loss(model, batch);
                value.backward();
                loss += value.item<float>();
            }
            loss /= options.Accumulation;
            double norm = optimizer.GradientNorm() / options.Accumulation;
            if (!double.IsFinite(norm))
                throw new SlipstreamException($"The gradient of step {Step + 1} is no number (the loss is {loss}); the last checkpoint is as it was: begin anew with a lower --learning-rate or a longer --warm-up.");
            double clip = options.Clip > 0 && norm > options.Clip ? options.Clip / norm : 1, rate = LearningRate(options, ++Step);
            optimizer.Step(rate, clip / options.Accumulation);
            _losses.Add((float)loss);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds, tokens = (double)options.Accumulation * options.Batch * options.Length;
            _seconds += seconds;
            _tokens += tokens;
            progress.Stepped(new TrainingStep(Step, loss, rate, norm, tokens / seconds));
        }

        /// <summary>Evaluates, keeps the best weights, and says whether the patience is at its end.</summary>
        public bool EvaluateNow()
        {
            double loss = Evaluate(model, objective, data, options);
            if (double.IsNaN(loss) && data.HeldOut.Length < 2) return false;
            bool best = _best.Length == 0 || loss < _evaluations.Where(point => point.Step == _bestStep).Select(point => point.Loss).First();
            EvaluationPoint point = new(Step, loss);
            _evaluations.Add(point);
            if (best)
            {
                _best = model.Weights.ToArray();
                _bestStep = Step;
            }
            progress.Evaluated(point, best);
            return OutOfPatience;
        }

        public TrainingState State(bool finished) => new()
        {
            Step = Step,
            Weights = model.Weights.ToArray(),
            First = optimizer.First,
            Second = optimizer.Second,
            Best = _best,
            BestStep = _bestStep,
            Losses = [.. _losses],
            Evaluations = _evaluations,
            Fingerprint = fingerprint,
            Finished = finished,
        };

        public void Restore(TrainingState state, string path)
        {
            foreach ((string key, string value) in fingerprint)
                if (!state.Fingerprint.TryGetValue(key, out string? before) || before != value)
                    throw new SlipstreamException($"'{path}' is of a run with another {key} ({before ?? "none"} there, {value} now); give the same options to go on with it, or another --output to begin anew.");
            if (state.Weights.Length != model.Weights.Length || state.First.Length != state.Weights.Length || state.Second.Length != state.Weights.Length)
                throw new SlipstreamException($"'{path}' is of a model of another size; give the same options to go on with it, or another --output to begin anew.");
            state.Weights.CopyTo(model.Weights);
            state.First.CopyTo(optimizer.First, 0);
            state.Second.CopyTo(optimizer.Second, 0);
            model.Gradient.zero_();
            optimizer.Steps = Step = state.Step;
            _losses.AddRange(state.Losses);
            _evaluations.AddRange(state.Evaluations);
            (_best, _bestStep, Finished) = (state.Best, state.BestStep, state.Finished);
        }

        public void TakeBest()
        {
            if (_best.Length == 0) _bestStep = Step;
            else _best.CopyTo(model.Weights);
        }

        public TrainingReport Report(bool stoppedEarly, bool interrupted) => new(
            Step, _bestStep, _evaluations.Where(point => point.Step == _bestStep).Select(point => point.Loss).DefaultIfEmpty(double.NaN).First(),
            stoppedEarly, interrupted, _losses, _evaluations, data.BytesPerToken, _seconds > 0 ? _tokens / _seconds : 0);
    }
}
