using System.Diagnostics;
using Slipstream.Sampling;

namespace Slipstream.Distillation.Drafts.Measuring;

/// <summary>A draft to be measured.</summary>
/// <param name="Name">What it is called, such as <c>before</c>.</param>
/// <param name="Path">Its folder or file.</param>
internal sealed record MeasuredDraft(string Name, string Path);

/// <summary>What a draft's measurement came to.</summary>
/// <param name="Draft">The draft.</param>
/// <param name="Parameters">Its parameters.</param>
/// <param name="Lines">One a temperature and draft length.</param>
internal sealed record DraftReport(MeasuredDraft Draft, long Parameters, IReadOnlyList<DraftLine> Lines)
{
    /// <summary>The verdict of each temperature.</summary>
    public IReadOnlyList<(double Temperature, DraftVerdict Verdict)> Verdicts { get; } =
        [.. Lines.GroupBy(line => line.Temperature).OrderBy(group => group.Key).Select(group => (group.Key, DraftVerdict.Of([.. group])))];

    /// <summary>Whether the draft gains at every temperature.</summary>
    public bool Use => Verdicts.All(entry => entry.Verdict.Use);
}

/// <summary>A measurement.</summary>
/// <param name="Target">The target's path.</param>
/// <param name="Prompts">Prompts measured.</param>
/// <param name="PlainTokensPerSecond">The median speed of plain decoding over the prompts, by temperature.</param>
/// <param name="DistinctTrigrams">Distinct 3-grams of the greedy answers over all their 3-grams: text that repeats itself is easy to guess.</param>
/// <param name="Drafts">What each draft came to.</param>
internal sealed record MeasurementReport(string Target, int Prompts, IReadOnlyList<(double Temperature, double Speed)> PlainTokensPerSecond, double DistinctTrigrams, IReadOnlyList<DraftReport> Drafts);

/// <summary>Measures drafts of a target through the engine, against plain decoding by the same loaded target.</summary>
/// <remarks>
/// Every repeat of a prompt runs plain decoding and all drafts at all lengths in turn, who comes first changing, so that other work on the machine touches all alike. A time is that of a whole request, its prompt included: a draft has to read the prompt too.
/// Sampled runs are judged by rejection, each repeat with a seed of its own. Greedy output must be that of plain decoding, token for token.
/// </remarks>
internal sealed class DraftMeasurement
{
    private readonly string _target;
    private readonly IReadOnlyList<MeasuredDraft> _drafts;
    private readonly MeasureOptions _options;
    private readonly StepTimes[] _steps;
    private readonly Dictionary<(int Draft, double Temperature, int Length), Cell> _cells = [];
    private readonly Dictionary<double, List<double>> _plain = [];
    private double _trigramShare;
    private int _trigramPrompts;

    /// <param name="target">The target's path.</param>
    /// <param name="drafts">At least one.</param>
    /// <param name="options">How.</param>
    /// <exception cref="SlipstreamException">An option is out of range.</exception>
    public DraftMeasurement(string target, IReadOnlyList<MeasuredDraft> drafts, MeasureOptions options)
    {
        (_target, _drafts, _options) = (target, drafts, options.Checked());
        _steps = [.. drafts.Select(_ => new StepTimes())];
    }

    /// <summary>Measures.</summary>
    /// <param name="prompts">The prompts; those over the limit of the options are left out.</param>
    /// <param name="progress">Told how many of how many prompts are done, and the time left.</param>
    /// <param name="cancellationToken">Ends the work at the next step of a generation.</param>
    /// <exception cref="SlipstreamException">A model or a prompt cannot be used.</exception>
    public async Task<MeasurementReport> RunAsync(IReadOnlyList<Prompt> prompts, IProgress<(int Done, int All, TimeSpan Left)>? progress = null, CancellationToken cancellationToken = default)
    {
        Prompt[] measured = [.. prompts.Take(_options.MaxPrompts)];
        LanguageModel[] models = new LanguageModel[_drafts.Count];
        try
        {
            for (int i = 0; i < models.Length; i++) models[i] = Load(i);
            // What the first requests of a process pay for belongs to none of them.
            foreach (LanguageModel model in models)
                foreach (int length in (int[])[0, _options.Lengths[^1]])
                    await model.GenerateAsync(measured[0], Request(0, 0, length) with { MaxNewTokens = 8 }, cancellationToken).ConfigureAwait(false);
            long start = Stopwatch.GetTimestamp();
            for (int prompt = 0; prompt < measured.Length; prompt++)
            {
                foreach (double temperature in _options.Temperatures) await MeasureAsync(models, measured[prompt], temperature, prompt, cancellationToken).ConfigureAwait(false);
                progress?.Report((prompt + 1, measured.Length, Stopwatch.GetElapsedTime(start) / (prompt + 1) * (measured.Length - prompt - 1)));
            }
            return Report(models, measured.Length);
        }
        finally
        {
            foreach (LanguageModel? model in models) model?.Dispose();
        }
    }

    private LanguageModel Load(int draft) => LanguageModel.Load(_target, new ModelOptions
    {
        Threads = _options.Threads, MaxBatch = 1, MaxAssistantTokens = _options.Lengths[^1], Drafter = new DrafterOptions.DraftModel(_drafts[draft].Path), Observers = [_steps[draft]],
    });

    private GenerationOptions Request(double temperature, int repeat, int length) => new()
    {
        MaxNewTokens = _options.MaxTokens, Sampling = new SamplingOptions { Temperature = temperature }, Seed = (ulong)repeat + 1, Verifier = VerifierKind.Rejection,
        AssistantTokens = length, AssistantTokensSchedule = AssistantTokensSchedule.Constant,
    };

    /// <summary>One prompt at one temperature: all repeats of everything.</summary>
    private async Task MeasureAsync(LanguageModel[] models, Prompt prompt, double temperature, int number, CancellationToken cancellationToken)
    {
        (int Draft, int Length)[] runs = [(0, 0), .. Enumerable.Range(0, models.Length).SelectMany(draft => _options.Lengths.Select(length => (draft, length)))];
        Dictionary<(int, int), List<double>> speeds = runs.ToDictionary(run => run, _ => new List<double>());
        IReadOnlyList<int>? greedy = null;
        for (int repeat = 0; repeat < _options.Repeats; repeat++)
        {
            int turn = (number + repeat * (runs.Length / 2 + 1)) % runs.Length;
            foreach ((int draft, int length) in (IEnumerable<(int, int)>)[.. runs[turn..], .. runs[..turn]])
            {
                _steps[draft].Begin(temperature);
                GenerationResult result = await models[draft].GenerateAsync(prompt, Request(temperature, repeat, length), cancellationToken).ConfigureAwait(false);
                speeds[(draft, length)].Add(result.Tokens.Count / (result.Timing.Prefill + result.Timing.Decode).TotalSeconds);
                if (length > 0) CellOf(draft, temperature, length).Add(result);
                if (temperature > 0) continue;
                greedy ??= result.Tokens;
                if (!greedy.SequenceEqual(result.Tokens))
                    throw new InvalidOperationException($"Greedy output with the draft '{_drafts[draft].Path}' at K = {length} differs from plain decoding; speculation must not change it.");
            }
        }
        double plain = DraftLine.Median(speeds[(0, 0)]);
        if (!_plain.TryGetValue(temperature, out List<double>? all)) _plain[temperature] = all = [];
        all.Add(plain);
        foreach ((int draft, int length) in runs.Where(run => run.Length > 0)) CellOf(draft, temperature, length).SpeedUps.Add(DraftLine.Median(speeds[(draft, length)]) / plain);
        if (greedy is not null && TrigramShare(greedy) is { } share) (_trigramShare, _trigramPrompts) = (_trigramShare + share, _trigramPrompts + 1);
    }

    /// <summary>Distinct 3-grams over all 3-grams, or null where there is none.</summary>
    internal static double? TrigramShare(IReadOnlyList<int> tokens)
    {
        if (tokens.Count < 3) return null;
        HashSet<(int, int, int)> distinct = [];
        for (int i = 2; i < tokens.Count; i++) distinct.Add((tokens[i - 2], tokens[i - 1], tokens[i]));
        return (double)distinct.Count / (tokens.Count - 2);
    }

    private Cell CellOf(int draft, double temperature, int length)
    {
        if (!_cells.TryGetValue((draft, temperature, length), out Cell? cell)) _cells[(draft, temperature, length)] = cell = new Cell();
        return cell;
    }

    private MeasurementReport Report(LanguageModel[] models, int prompts) => new(
        _target, prompts, [.. _options.Temperatures.Select(t => (t, DraftLine.Median(_plain[t])))], _trigramPrompts > 0 ? _trigramShare / _trigramPrompts : double.NaN,
        [.. _drafts.Select((draft, i) => new DraftReport(draft, models[i].DraftParameters, [.. _options.Temperatures.SelectMany(t => _options.Lengths.Select(length => Line(i, t, length)))]))]);

    private DraftLine Line(int draft, double temperature, int length)
    {
        Cell cell = _cells[(draft, temperature, length)];
        // The pair that ran plain decoding has most plain steps; all pairs run the same target.
        double plain = _steps[0].Median(temperature, 0).Verify;
        (double drafting, double verifying) = _steps[draft].Median(temperature, length);
        return new DraftLine
        {
            Temperature = temperature, Length = length,
            Acceptance = Ratio(cell.Accepted, cell.Evaluated), Efficiency = Ratio(cell.Accepted, cell.Drafted), TokensPerVerification = Ratio(cell.Tokens, cell.Verifications),
            DraftCost = Ratio(drafting / length, plain), VerifyCost = Ratio(verifying, plain), SpeedUps = cell.SpeedUps,
        };
    }

    private static double Ratio(double numerator, double denominator) => denominator > 0 ? numerator / denominator : 0;

    /// <summary>What is added up over the runs of a line.</summary>
    private sealed class Cell
    {
        public long Drafted { get; private set; }

        public long Evaluated { get; private set; }

        public long Accepted { get; private set; }

        public long Verifications { get; private set; }

        public long Tokens { get; private set; }

        public List<double> SpeedUps { get; } = [];

        public void Add(GenerationResult result)
        {
            Drafted += result.Speculation.Drafted;
            Evaluated += result.Speculation.Evaluated;
            Accepted += result.Speculation.Accepted;
            Verifications += result.Speculation.Verifications;
            Tokens += result.Speculation.Tokens;
        }
    }
}
