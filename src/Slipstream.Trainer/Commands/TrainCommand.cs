using System.Collections.Immutable;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.IO.Hashing;
using System.Runtime.Intrinsics.X86;
using Slipstream.Distillation.Tokenizers;
using Slipstream.Distillation.Torch;
using Slipstream.Distillation.Training;
using Slipstream.Models;
using TorchSharp;
using static Slipstream.Trainer.Texts;

namespace Slipstream.Trainer.Commands;

/// <summary><c>slipstream-train train</c>: trains a model from text files.</summary>
internal sealed class TrainCommand
{
    private readonly TrainSettings _settings;
    private readonly TextWriter _error;
    private readonly bool _terminal;
    private readonly string _work;

    private TrainCommand(TrainSettings settings, TextWriter error)
    {
        (_settings, _error, _terminal) = (settings, error, !Console.IsErrorRedirected && error == Console.Error);
        _work = Path.Combine(settings.Output, "training");
    }

    private string StatePath => Path.Combine(_work, "state.safetensors");

    public static Command Create()
    {
        Command command = new("train", "Train a small Llama model from text files.");
        TrainSettings settings = new();
        settings.AddTo(command);
        command.SetAction((result, cancellationToken) => Task.Run(() => new TrainCommand(settings.Of(result), result.InvocationConfiguration.Error).Run(result.InvocationConfiguration.Output, cancellationToken), CancellationToken.None));
        return command;
    }

    private int Run(TextWriter output, CancellationToken cancellationToken)
    {
        // What is wrong with the options is said before anything is read or written.
        _ = (_settings.Shape(512), _settings.Steps(1), _settings.Time, _settings.Options(1, false), _settings.Bfloat16, _settings.ChatTemplate, _settings.Threads, _settings.HeldOut);
        if (_settings.TokenizerPath is not null && _settings.VocabularyIsGiven) throw new SlipstreamException("--tokenizer and --vocabulary cannot be used together; give one of them.");
        if (_settings.Resume && !File.Exists(StatePath)) throw new SlipstreamException($"'{StatePath}' does not exist, so there is no run to go on with; leave out --resume to begin one.");
        NativeLibraries.Load();
        try
        {
            Directory.CreateDirectory(_work);
            using FileStream only = Lock();
            return Train(output, cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"'{_settings.Output}' cannot be used: {e.Message.TrimEnd('.')}; free space, or choose another --output.", e);
        }
    }

    // Two runs would write over each other's files. The system lets go of the lock however the process ends.
    private FileStream Lock()
    {
        string path = Path.Combine(_work, "lock");
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (File.Exists(path))
        {
            throw new SlipstreamException($"Another process is training in '{_settings.Output}'; wait for it, or choose another --output.", e);
        }
    }

    private int Train(TextWriter output, CancellationToken cancellationToken)
    {
        if (_settings.Threads > 0) torch.set_num_threads(_settings.Threads);
        string folder = PlaceTokenizer(cancellationToken);
        Tokenizer tokenizer = TokenizerLoader.FromFolder(folder);
        string identity = Convert.ToHexStringLower(XxHash128.Hash(File.ReadAllBytes(Path.Combine(folder, TokenizerLoader.FileName))));
        long noted = Stopwatch.GetTimestamp();
        TokenDataset data = TextTokens.Read(tokenizer, identity, _settings.Text, _settings.HeldOut, _settings.HeldOutText, Path.Combine(_work, "tokens.bin"), (done, all) =>
        {
            if (Stopwatch.GetElapsedTime(noted).TotalSeconds < 5) return;
            noted = Stopwatch.GetTimestamp();
            _error.WriteLine(Invariant($"tokenised {done / 1e6:0.0} of {all / 1e6:0.0} MB"));
        }, cancellationToken);
        LlamaShape shape = _settings.Shape(tokenizer.VocabularySize);
        bool bfloat16 = _settings.Bfloat16 ?? HasBfloat16;
        _error.WriteLine(Invariant($"{data.Training.Length} tokens to train on, {data.HeldOut.Length} held out, {data.BytesPerToken:0.00} bytes a token; {shape.Parameters / 1e6:0.00} M parameters ({shape}), {(bfloat16 ? "bf16" : "f32")}"));
        TrainingOptions options = _settings.Options(Steps(shape, data, bfloat16), bfloat16);
        using TorchLlama model = new(shape, options.Seed);
        using TrainingLog log = new(Path.Combine(_work, "log.jsonl"), data.BytesPerToken, new ConsoleProgress(_error, _terminal, data.BytesPerToken));
        TrainingReport report = new TrainingRun(StatePath).Run(model, new NextTokenObjective(), data, options, log, cancellationToken);
        DurableFile.WriteAllText(Path.Combine(_work, "loss.svg"), LossChart.Svg(report, Invariant($"{shape.Parameters / 1e6:0.00} M parameters, {data.Training.Length / 1e6:0.0} M tokens")));
        if (report.Interrupted)
        {
            _error.WriteLine(Invariant($"stopped after step {report.Steps} of {options.Steps}; the same command goes on from there"));
            throw new OperationCanceledException(cancellationToken);
        }
        TorchCheckpoint.Save(model, _settings.Output, tokenizer.BeginToken, EndTokens(tokenizer));
        _error.WriteLine(Invariant($"{(report.StoppedEarly ? "stopped early: " : "")}the weights of step {report.BestStep} are in '{_settings.Output}'{(double.IsNaN(report.BestLoss) ? "" : Invariant($": held-out loss {report.BestLoss:0.0000}, {report.BitsPerByte(report.BestLoss):0.0000} bits a byte, perplexity {Math.Exp(report.BestLoss):0.00}"))}; {report.TokensPerSecond:0} tokens/s"));
        if (_settings.Json) output.WriteLine(Json(report, shape));
        return 0;
    }

    /// <summary>Puts the tokenizer's files into the output folder, learning one where none is given.</summary>
    private string PlaceTokenizer(CancellationToken cancellationToken)
    {
        string target = _settings.Output;
        if (_settings.TokenizerPath is { } given)
        {
            string file = Directory.Exists(given) ? Path.Combine(given, TokenizerLoader.FileName) : given;
            if (!file.EndsWith(".json", StringComparison.OrdinalIgnoreCase) || !File.Exists(file))
                throw new SlipstreamException($"'{given}' is neither a folder with a '{TokenizerLoader.FileName}' nor that file; a model folder needs one.");
            string from = Path.GetDirectoryName(Path.GetFullPath(file))!;
            DurableFile.WriteAllBytes(Path.Combine(target, TokenizerLoader.FileName), File.ReadAllBytes(file));
            foreach (string name in (ReadOnlySpan<string>)["tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"])
                if (File.Exists(Path.Combine(from, name)) && Path.GetFullPath(target) != from) DurableFile.WriteAllBytes(Path.Combine(target, name), File.ReadAllBytes(Path.Combine(from, name)));
        }
        else if (!File.Exists(StatePath) || !File.Exists(Path.Combine(target, TokenizerLoader.FileName)))
        {
            BpeTrainerOptions options = new() { VocabularySize = _settings.Vocabulary };
            WordCounter counter = new(options.SpecialTokens);
            foreach (string part in TextFiles.Read(_settings.Text, options.SpecialTokens))
            {
                cancellationToken.ThrowIfCancellationRequested();
                counter.Add(part);
            }
            TrainedTokenizer learnt = BpeTrainer.Train(counter.Counts, options, null, cancellationToken);
            learnt.Write(target);
            _error.WriteLine(Invariant($"learnt a tokenizer of {learnt.Tokens.Count} tokens"));
        }
        if (_settings.ChatTemplate) DurableFile.WriteAllText(Path.Combine(target, "chat_template.jinja"), TrainedTokenizer.ChatTemplate + "\n");
        return target;
    }

    /// <summary>The steps of the run: as asked for, or as the checkpoint has them, or as many as the time allows at the speed that is measured.</summary>
    private int Steps(LlamaShape shape, TokenDataset data, bool bfloat16)
    {
        if (_settings.Steps(data.Windows(_settings.Length)) is { } steps) return steps;
        if (File.Exists(StatePath) && TrainingState.Load(StatePath).Fingerprint.TryGetValue("steps", out string? before) && int.TryParse(before, CultureInfo.InvariantCulture, out int known)) return known;
        const int warm = 2, timed = 4;
        using TorchLlama trial = new(shape, _settings.Seed);
        SpeedMeter meter = new(warm);
        new TrainingRun().Run(trial, new NextTokenObjective(), data, _settings.Options(warm + timed, bfloat16) with { EvaluateEvery = int.MaxValue, EvaluationTokens = 1 }, meter);
        int count = (int)Math.Clamp(_settings.Time.TotalSeconds / meter.SecondsPerStep, 1, 100_000_000);
        _error.WriteLine(Invariant($"{meter.SecondsPerStep:0.000} s a step, so {count} steps in {_settings.Time.TotalMinutes:0.#} minutes"));
        return count;
    }

    // A message of a conversation ends a text too.
    private static ImmutableArray<int> EndTokens(Tokenizer tokenizer) =>
        [.. new int?[] { TextTokens.EndToken(tokenizer), tokenizer.EndToken, tokenizer.TokenId(TrainedTokenizer.MessageEnd) }.OfType<int>().Distinct()];

    internal static bool HasBfloat16 => X86Base.IsSupported && X86Base.CpuId(0, 0).Eax >= 7 && (X86Base.CpuId(7, 0).Eax >= 1) && (X86Base.CpuId(7, 1).Eax & (1 << 5)) != 0 && Avx512BW.IsSupported;

    private string Json(TrainingReport report, LlamaShape shape) => TorchCheckpoint.Json(json =>
    {
        json.WriteString("output", _settings.Output);
        json.WriteNumber("parameters", shape.Parameters);
        json.WriteNumber("steps", report.Steps);
        json.WriteNumber("best_step", report.BestStep);
        json.WriteBoolean("stopped_early", report.StoppedEarly);
        if (double.IsFinite(report.BestLoss))
        {
            json.WriteNumber("held_out_loss", report.BestLoss);
            json.WriteNumber("bits_per_byte", report.BitsPerByte(report.BestLoss));
            json.WriteNumber("perplexity", Math.Exp(report.BestLoss));
        }
        json.WriteNumber("tokens_per_s", Math.Round(report.TokensPerSecond, 1));
    }).TrimEnd('\n');
}
