using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Slipstream.Analysis;
using Slipstream.Distillation.Drafts;
using Slipstream.Distillation.Drafts.Measuring;
using Slipstream.Distillation.Losses;
using Slipstream.Distillation.Torch;
using Slipstream.Distillation.Training;
using Slipstream.Models;
using TorchSharp;
using static Slipstream.Trainer.Texts;

namespace Slipstream.Trainer.Commands;

/// <summary><c>slipstream-train distill draft</c>: a draft model of a target, and what it brings.</summary>
internal sealed class DistillDraftCommand
{
    private readonly TrainSettings _run;
    private readonly DistillSettings _settings;
    private readonly MeasureOptions _measure;
    private readonly TextWriter _error;
    private readonly string _work;

    private DistillDraftCommand(TrainSettings run, DistillSettings settings, MeasureOptions measure, TextWriter error)
    {
        (_run, _settings, _measure, _error) = (run, settings, measure, error);
        _work = Path.Combine(run.Output, "distillation");
    }

    public static Command Create()
    {
        Command command = new("draft", "Distil a draft from a target and measure it: the table ends with the verdict, 'use it' or 'no gain'.");
        TrainSettings run = new();
        DistillSettings settings = new();
        MeasureSettings measure = new();
        settings.AddTo(command);
        run.AddRunTo(command);
        measure.AddTo(command);
        command.SetAction((result, cancellationToken) => Task.Run(() =>
        {
            TrainSettings given = run.Of(result);
            return new DistillDraftCommand(given, settings.Of(result), measure.Of(result, given.Threads), result.InvocationConfiguration.Error).RunAsync(result, cancellationToken);
        }, CancellationToken.None));
        return command;
    }

    private string StatePath => Path.Combine(_work, "state.safetensors");

    private async Task<int> RunAsync(ParseResult result, CancellationToken cancellationToken)
    {
        // What is wrong with the options is said before anything is read or written.
        _ = (_run.Steps(1), _run.Time, _run.Options(1, false), _run.Bfloat16, _run.Threads, _run.HeldOut, _settings.TopK, _settings.Loss, _settings.Limit, _settings.Generate(_run.Seed));
        if (_settings.StudentModel is null) _ = _settings.Student;
        List<Prompt>? prompts = _settings is { Measures: true, Prompts: { } file } ? MeasurePrompts.Read(file) : null;
        NativeLibraries.Load();
        if (_run.Threads > 0) torch.set_num_threads(_run.Threads);
        try
        {
            Directory.CreateDirectory(_work);
            return await DistilAsync(result, prompts, cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"'{_run.Output}' cannot be used: {e.Message.TrimEnd('.')}; free space, or choose another --output.", e);
        }
    }

    private async Task<int> DistilAsync(ParseResult result, List<Prompt>? prompts, CancellationToken cancellationToken)
    {
        TargetFacts target = TargetFacts.Read(_settings.Target);
        TokenDataset data = await ReadTextAsync(target, cancellationToken);
        // A text with nothing to measure on is refused before the hours of training, not after them.
        if (_settings.Measures) prompts ??= MeasurePrompts.FromTokens(data.HeldOut.Span, _measure.MaxPrompts, Math.Min(32, Math.Max(1, data.HeldOut.Length)));
        bool bfloat16 = _run.Bfloat16 ?? TrainCommand.HasBfloat16;
        using TorchLlama model = MakeStudent(target, data);
        string before = Path.Combine(_work, "before"), after = _run.Output;
        TorchCheckpoint.Save(model, before, target.Config.BeginToken, target.Config.EndTokens);
        TargetFacts.CopyTokenizer(_settings.Target, before);
        int steps = Steps(model.Shape, data, bfloat16);
        TrainingOptions options = _run.Options(steps, bfloat16);
        DistillationLoss loss = _settings.Loss;
        using TeacherCache? teacher = loss.NeedsTeacher ? AskTeacher(target, data, options, cancellationToken) : null;
        _error.WriteLine(Invariant($"student: {model.Shape.Parameters / 1e6:0.00} M parameters ({model.Shape}); {steps} steps of {options.Batch * options.Accumulation} windows of {options.Length}, loss {loss}, {(bfloat16 ? "bf16" : "f32")}"));
        TrainingReport report;
        using (TrainingLog log = new(Path.Combine(_work, "log.jsonl"), double.NaN, new DistillProgress(_error)))
            report = new TrainingRun(StatePath, new Dictionary<string, string> { ["student"] = target.Fingerprint + StudentName }).Run(model, new DistillationObjective(loss, teacher), data, options, log, cancellationToken);
        if (report.Interrupted)
        {
            _error.WriteLine(Invariant($"stopped after step {report.Steps} of {steps}; the same command goes on from there"));
            throw new OperationCanceledException(cancellationToken);
        }
        TorchCheckpoint.Save(model, after, target.Config.BeginToken, target.Config.EndTokens);
        TargetFacts.CopyTokenizer(_settings.Target, after);
        _error.WriteLine(Invariant($"the weights of step {report.BestStep} are in '{after}'{(double.IsNaN(report.BestLoss) ? "" : Invariant($": held-out loss {report.BestLoss:0.0000}"))}; {report.TokensPerSecond:0} tokens/s"));
        MeasurementReport? measured = null;
        if (prompts is not null)
        {
            DraftMeasurement measurement = new(_settings.Target, [new("before", Shipped(before)), new("after", Shipped(after))], _measure);
            measured = await DistillMeasureCommand.RunAsync(measurement, prompts, _error, cancellationToken);
        }
        Write(result, report, model.Shape, measured);
        return 0;
    }

    private string StudentName => _settings.StudentModel ?? _settings.Student.ToString();

    /// <summary>The text's tokens, and those of the texts that the target writes where they are asked for.</summary>
    private async Task<TokenDataset> ReadTextAsync(TargetFacts target, CancellationToken cancellationToken)
    {
        long noted = Stopwatch.GetTimestamp();
        TokenDataset data = TextTokens.Read(target.Tokenizer, target.Vocabulary, _run.Text, _run.HeldOut, _run.HeldOutText, Path.Combine(_work, "tokens.bin"), (done, all) =>
        {
            if (Stopwatch.GetElapsedTime(noted).TotalSeconds < 5) return;
            noted = Stopwatch.GetTimestamp();
            _error.WriteLine(Invariant($"tokenised {done / 1e6:0.0} of {all / 1e6:0.0} MB"));
        }, cancellationToken);
        int[] training = data.Training.ToArray();
        string fingerprint = data.Fingerprint;
        if (_settings.Limit is { } limit && limit < training.Length) (training, fingerprint) = (training[..limit], $"{fingerprint} first {limit}");
        if (_settings.Generate(_run.Seed) is { } generate)
        {
            using LanguageModel model = LanguageModel.Load(_settings.Target, new ModelOptions { Threads = _run.Threads, MaxBatch = 16 });
            long start = Stopwatch.GetTimestamp(), told = start;
            int first = -1;
            int[] own = await GeneratedCorpus.ReadAsync(Path.Combine(_work, "generated.jsonl"), model, target.Fingerprint, training, TextTokens.EndToken(target.Tokenizer), generate, 32, new ImmediateProgress<int>(done =>
            {
                if (first < 0) first = done - 1;
                if (Stopwatch.GetElapsedTime(told).TotalSeconds < 10 && done < generate.Count) return;
                told = Stopwatch.GetTimestamp();
                _error.WriteLine(Invariant($"the target wrote {done} of {generate.Count} texts, {Stopwatch.GetElapsedTime(start).TotalSeconds / (done - first) * (generate.Count - done):0} s left"));
            }), cancellationToken);
            training = _settings.GeneratedOnly ? own : [.. training, .. own];
            fingerprint = $"{fingerprint} {(_settings.GeneratedOnly ? "replaced by" : "with")} {generate}";
        }
        _error.WriteLine(Invariant($"{training.Length} tokens to train on, {data.HeldOut.Length} held out"));
        return new TokenDataset(training, data.HeldOut.ToArray(), data.TrainingBytes, data.HeldOutBytes, fingerprint);
    }

    private TorchLlama MakeStudent(TargetFacts target, TokenDataset data)
    {
        if (_settings.StudentModel is { } folder)
        {
            TorchLlama given = TorchCheckpoint.Load(folder);
            if (given.Shape.Vocabulary == target.Config.VocabularySize) return given;
            int vocabulary = given.Shape.Vocabulary;
            given.Dispose();
            throw new SlipstreamException($"The student '{folder}' has {vocabulary} tokens, the target '{_settings.Target}' {target.Config.VocabularySize}; take a student of the target's tokenizer.");
        }
        using Checkpoint checkpoint = Checkpoint.Open(_settings.Target);
        StudentOptions options = _settings.Student;
        DraftVocabulary? vocabularyOfHead = options.Vocabulary is { } count ? DraftVocabulary.MostFrequent(data.Training.Span, target.Config.VocabularySize, count, target.Config.EndTokens) : null;
        if (vocabularyOfHead is { } head) _error.WriteLine(Invariant($"the student's head has rows for {head.Tokens.Length} of {target.Config.VocabularySize} tokens, {head.Coverage:0.00 %} of the text"));
        Student student = StudentFactory.Create(checkpoint, options, _run.Seed, vocabularyOfHead?.Tokens ?? []);
        _error.WriteLine(student switch
        {
            { Layers.Count: > 0 } => $"the student begins with the target's layers {string.Join(", ", student.Layers)}, its embedding and its norm",
            { HasEmbedding: true } => "the student begins with the target's embedding and norm; its layers are random, for their sizes differ",
            _ => "the student begins with random weights",
        });
        return student.Model;
    }

    /// <summary>Opens the teacher's cache, making it first.</summary>
    private TeacherCache AskTeacher(TargetFacts target, TokenDataset data, TrainingOptions options, CancellationToken cancellationToken)
    {
        string folder = _settings.Cache ?? Path.Combine(_work, "teacher");
        long[] offsets = TeacherWindows.Offsets(data, options);
        int[] tokens = [.. data.Training.Span, .. data.HeldOut.Span];
        DistillationLoss loss = _settings.Loss;
        TeacherCacheKey key = TeacherCacheKey.Create(target.Fingerprint, target.Vocabulary, tokens, offsets, options.Length, Math.Min(_settings.TopK, target.Config.VocabularySize), target.Config.VocabularySize, loss.Temperature);
        long needed = TeacherCacheBuilder.BytesNeeded(folder, key);
        _error.WriteLine(Invariant($"teacher cache: {offsets.Length} windows of {options.Length}, {key.FileBytes / 1e6:0.0} MB in '{folder}'{(needed == 0 ? ", already there" : Invariant($", {needed / 1e6:0.0} MB to write"))}"));
        if (options.Length > target.Config.ContextLength) throw new SlipstreamException($"--length is {options.Length}, but the context of '{_settings.Target}' is {target.Config.ContextLength}; give a smaller --length.");
        using ModelEvaluator evaluator = ModelEvaluator.Load(_settings.Target, new ModelOptions { Threads = _run.Threads });
        long told = Stopwatch.GetTimestamp();
        return new TeacherCacheBuilder(evaluator, key, tokens, offsets).Build(folder, new ImmediateProgress<TeacherProgress>(step =>
        {
            if (Stopwatch.GetElapsedTime(told).TotalSeconds < 10 && step.Done < step.Windows) return;
            told = Stopwatch.GetTimestamp();
            _error.WriteLine(Invariant($"teacher: {step.Done} of {step.Windows} windows, {step.PositionsPerSecond:0} positions/s, {step.Left.TotalSeconds:0} s left"));
        }), cancellationToken);
    }

    /// <summary>The steps of the run: as asked for, or as the checkpoint has them, or as many as the time allows at the speed that is measured.</summary>
    private int Steps(LlamaShape shape, TokenDataset data, bool bfloat16)
    {
        if (_run.Steps(data.Windows(_run.Length)) is { } steps) return steps;
        if (File.Exists(StatePath) && TrainingState.Load(StatePath).Fingerprint.TryGetValue("steps", out string? before) && int.TryParse(before, CultureInfo.InvariantCulture, out int known)) return known;
        using TorchLlama trial = new(shape, _run.Seed);
        SpeedMeter meter = new(2);
        // The next token's loss costs about as much as a divergence.
        new TrainingRun().Run(trial, new DistillationObjective(DistillationLoss.Parse("next-token", 1), null), data, _run.Options(6, bfloat16) with { EvaluateEvery = int.MaxValue, EvaluationTokens = 1 }, meter);
        int count = (int)Math.Clamp(_run.Time.TotalSeconds / meter.SecondsPerStep, 1, 100_000_000);
        _error.WriteLine(Invariant($"{meter.SecondsPerStep:0.000} s a step, so {count} steps in {_run.Time.TotalMinutes:0.#} minutes"));
        return count;
    }

    /// <summary>The draft as it would be shipped.</summary>
    private string Shipped(string folder)
    {
        if (_settings.MeasureFormat == "none") return folder;
        string file = Path.Combine(_work, $"{(folder == _run.Output ? "after" : "before")}.{_settings.MeasureFormat}.gguf");
        GgufConverter.Convert(folder, file, new GgufConversionOptions { Format = _settings.MeasureFormat });
        return file;
    }

    private void Write(ParseResult result, TrainingReport report, LlamaShape shape, MeasurementReport? measured)
    {
        TextWriter output = result.InvocationConfiguration.Output;
        if (_run.Json) output.WriteLine(MeasurementOutput.Json(measured, json => Write(json, report, shape)));
        else if (measured is not null) MeasurementOutput.WriteTable(output, measured, !Console.IsOutputRedirected && output == Console.Out);
    }

    private void Write(Utf8JsonWriter json, TrainingReport report, LlamaShape shape)
    {
        json.WriteString("output", _run.Output);
        json.WriteNumber("parameters", shape.Parameters);
        json.WriteNumber("head_rows", shape.HeadRows);
        json.WriteString("loss", _settings.Loss.ToString());
        json.WriteNumber("steps", report.Steps);
        json.WriteNumber("best_step", report.BestStep);
        if (report.Losses.Count > 0) json.WriteNumber("last_loss", report.Losses[^1]);
        if (double.IsFinite(report.BestLoss)) json.WriteNumber("held_out_loss", report.BestLoss);
        json.WriteNumber("tokens_per_s", Math.Round(report.TokensPerSecond, 1));
    }
}
