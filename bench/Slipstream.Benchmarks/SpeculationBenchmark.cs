using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Slipstream.Bench;
using Slipstream.Numerics;
using Slipstream.Sampling;
using Slipstream.Speculation;

namespace Slipstream.Benchmarks;

/// <summary>Prompt lookup against plain decoding of the same model, in turn, greedy: how many tokens a verification gives, what that is worth, and whether the output is the same.</summary>
internal static class SpeculationBenchmark
{
    private const int DefaultRounds = 5, SpecBenchTokens = 96, RepeatTokens = 256;

    /// <summary>One prompt's figures.</summary>
    /// <param name="Group">Its kind.</param>
    /// <param name="Name">Its name or number.</param>
    /// <param name="PromptTokens">Tokens of the prompt.</param>
    /// <param name="NewTokens">Tokens generated.</param>
    /// <param name="TokensPerVerification">Tokens committed by a verification of the target.</param>
    /// <param name="ReferenceTokensPerVerification">The same in the reference figures with 5 draft tokens, where they were found; null otherwise.</param>
    /// <param name="DraftEfficiency">Accepted / drafted.</param>
    /// <param name="PlainRate">Decoding without drafts, tok/s, one value a round.</param>
    /// <param name="DecodeGain">Plain decode time / speculative decode time, one value a round.</param>
    /// <param name="TotalGain">The same from the prompt to the last token, one value a round.</param>
    /// <param name="EqualsPlain">Whether every run gave the plain tokens.</param>
    /// <param name="ReadBandwidth">What the machine read before the first round and after the last, bytes a second.</param>
    internal sealed record PromptResult(string Group, string Name, int PromptTokens, int NewTokens, double TokensPerVerification, double? ReferenceTokensPerVerification, double DraftEfficiency,
        IReadOnlyList<double> PlainRate, IReadOnlyList<double> DecodeGain, IReadOnlyList<double> TotalGain, bool EqualsPlain, IReadOnlyList<double> ReadBandwidth);

    private sealed record Work(string Group, string Name, string Text, int MaxTokens, double? Reference);

    /// <summary>Measures and prints a report.</summary>
    /// <exception cref="SlipstreamException">The model cannot be used or an option is not known.</exception>
    public static async Task RunAsync(BenchmarkOptions options, IReadOnlyList<string> arguments)
    {
        if (!Enum.TryParse(options.Schedule, ignoreCase: true, out AssistantTokensSchedule schedule) || !Enum.IsDefined(schedule))
            throw new SlipstreamException($"--schedule is '{options.Schedule}'; it must be one of {string.Join(", ", Enum.GetNames<AssistantTokensSchedule>()).ToLowerInvariant()}.");
        int rounds = options.Rounds ?? DefaultRounds;
        Machine machine = Machine.Describe();
        string path = options.FindModel();
        using LanguageModel model = LanguageModel.Load(path, new ModelOptions { Threads = options.Threads, MaxBatch = 1, Drafter = new DrafterOptions.PromptLookup() });
        GenerationOptions plain = new() { Sampling = new SamplingOptions(), AssistantTokens = 0 };
        GenerationOptions drafted = plain with { AssistantTokens = options.DraftTokens, AssistantTokensSchedule = schedule };
        using ComputePool pool = new(options.Threads);
        using Ceilings memory = new(pool);
        List<Work> tasks = Tasks(options, out string note);
        List<PromptResult> results = [];
        foreach (Work task in tasks)
        {
            Console.Error.Write($"\r{task.Group} {task.Name} …                    ");
            double before = Reading(memory);
            PromptResult result = await MeasureAsync(model, task, plain with { MaxNewTokens = task.MaxTokens }, drafted with { MaxNewTokens = task.MaxTokens }, rounds).ConfigureAwait(false);
            results.Add(result with { ReadBandwidth = [before, Reading(memory)] });
        }
        Console.Error.WriteLine();
        Console.WriteLine(ToMarkdown(Report.Head("Prompt lookup against plain decoding", machine, arguments, rounds), results, $"Slipstream, {Path.GetFileName(path)}, {options.Threads} threads, prompt lookup with n-grams of at most 2, {options.DraftTokens} draft tokens, schedule {schedule}", rounds, note));
        if (options.Json is { } json) await File.WriteAllTextAsync(json, JsonSerializer.Serialize(new { machine, schedule = schedule.ToString(), options.DraftTokens, results }, Report.Indented)).ConfigureAwait(false);
    }

    // The best of a few: threads of the model may still be on their way to sleep.
    private static double Reading(Ceilings memory) => Enumerable.Range(0, 8).Max(_ => memory.ReadNow());

    private static async Task<PromptResult> MeasureAsync(LanguageModel model, Work task, GenerationOptions plain, GenerationOptions drafted, int rounds)
    {
        Prompt prompt = Prompt.Chat(task.Text);
        List<double> rate = [], decode = [], total = [];
        bool equal = true;
        GenerationResult? last = null;
        for (int round = -1; round < rounds; round++)
        {
            (GenerationResult Result, TimeSpan Time) a, b;
            if ((round & 1) == 0)
            {
                a = await TimeAsync(model, prompt, plain).ConfigureAwait(false);
                b = await TimeAsync(model, prompt, drafted).ConfigureAwait(false);
            }
            else
            {
                b = await TimeAsync(model, prompt, drafted).ConfigureAwait(false);
                a = await TimeAsync(model, prompt, plain).ConfigureAwait(false);
            }
            equal &= a.Result.Tokens.SequenceEqual(b.Result.Tokens);
            last = b.Result;
            if (round < 0) continue; // The first round compiles code.
            rate.Add((a.Result.Tokens.Count - 1) / a.Result.Timing.Decode.TotalSeconds);
            decode.Add(a.Result.Timing.Decode / b.Result.Timing.Decode);
            total.Add(a.Time / b.Time);
        }
        SpeculationCounts counts = last!.Speculation;
        return new PromptResult(task.Group, task.Name, last.PromptTokens.Count, last.Tokens.Count, counts.TokensPerVerification, task.Reference, counts.DraftEfficiency, rate, decode, total, equal, []);
    }

    private static async Task<(GenerationResult Result, TimeSpan Time)> TimeAsync(LanguageModel model, Prompt prompt, GenerationOptions options)
    {
        long start = Stopwatch.GetTimestamp();
        GenerationResult result = await model.GenerateAsync(prompt, options).ConfigureAwait(false);
        return (result, Stopwatch.GetElapsedTime(start));
    }

    private static List<Work> Tasks(BenchmarkOptions options, out string note)
    {
        List<Work> tasks = [.. Texts.Repeats.Select(r => new Work("repeat with one change", r.Name, r.Text, RepeatTokens, null))];
        string? questions = BenchmarkOptions.Asset("text", "specbench", "question.jsonl"), listed = BenchmarkOptions.Asset("goldens", "real", "speculation.json");
        if (options.Prompts == 0 || questions is null || listed is null)
        {
            note = options.Prompts == 0 ? "Spec-Bench was left out." : "Spec-Bench prompts were not found under SLIPSTREAM_ASSETS or ../shared and are left out.";
            return tasks;
        }
        Dictionary<int, string> turns = [];
        foreach (string line in File.ReadLines(questions))
        {
            using JsonDocument question = JsonDocument.Parse(line);
            turns[question.RootElement.GetProperty("question_id").GetInt32()] = question.RootElement.GetProperty("turns")[0].GetString()!;
        }
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllText(listed));
        foreach (IGrouping<string, JsonElement> group in reference.RootElement.GetProperty("rows").EnumerateArray().GroupBy(r => r.GetProperty("group").GetString()!))
            foreach (JsonElement row in group.Take(options.Prompts))
            {
                int id = row.GetProperty("id").GetInt32();
                double forwards = row.GetProperty("lookup").GetProperty("5").GetProperty("forwards").GetInt32();
                tasks.Add(new Work(group.Key, id.ToString(CultureInfo.InvariantCulture), turns[id], SpecBenchTokens, row.GetProperty("new_tokens").GetInt32() / forwards));
            }
        note = $"Spec-Bench (first turns, at most {SpecBenchTokens} tokens), the first {options.Prompts} of each group of the reference figures; reference: tokens per forward pass of Hugging Face transformers with 5 draft tokens, a constant schedule and 32-bit arithmetic on the same weights (where the texts part at a near tie, the counts do too).";
        return tasks;
    }

    private static string ToMarkdown(string head, List<PromptResult> results, string engine, int rounds, string note)
    {
        StringBuilder text = new();
        text.AppendLine(head).AppendLine($"- {engine}").AppendLine();
        text.AppendLine($"Rounds a prompt: {rounds}, plain and speculative in turn, after one that does not count: median (least–greatest). Gain: plain time / speculative time of the same round; below 1 speculation loses. Reads: what the machine reads from memory before and after the rounds.").AppendLine();
        text.AppendLine("| group | prompt | prompt tokens | new tokens | plain, tok/s | tokens a verification (reference) | accepted / drafted | decode gain | gain with prefill | loses | equals plain | reads GB/s |");
        text.AppendLine("|---|---|---|---|---|---|---|---|---|---|---|---|");
        foreach (PromptResult r in results)
        {
            Spread gain = Spread.Of(r.DecodeGain);
            string reference = r.ReferenceTokensPerVerification is { } value ? $" ({Spread.Format(value)})" : "", loses = gain.Median >= 1 ? "no" : gain.Max < 1 ? "yes" : "within the noise";
            text.AppendLine($"| {r.Group} | {r.Name} | {r.PromptTokens} | {r.NewTokens} | {Spread.Of(r.PlainRate)} | {Spread.Format(r.TokensPerVerification)}{reference} | {Spread.Format(r.DraftEfficiency)} | {gain} | {Spread.Of(r.TotalGain)} | {loses} | {(r.EqualsPlain ? "yes" : "**no**")} | {string.Join(", ", r.ReadBandwidth.Select(rate => Spread.Format(rate / 1e9)))} |");
        }
        text.AppendLine().AppendLine("| group | prompts | tokens a verification, mean | decode gain, median of prompts | worst | equal plain |").AppendLine("|---|---|---|---|---|---|");
        foreach (IGrouping<string, PromptResult> g in results.GroupBy(r => r.Group).Append(results.GroupBy(_ => "all").First()))
        {
            Spread gains = Spread.Of(g.Select(r => Spread.Of(r.DecodeGain).Median));
            text.AppendLine($"| {g.Key} | {g.Count()} | {Spread.Format(g.Average(r => r.TokensPerVerification))} | {Spread.Format(gains.Median)} | {Spread.Format(gains.Min)} | {g.Count(r => r.EqualsPlain)} of {g.Count()} |");
        }
        return text.AppendLine().AppendLine($"- {note}").ToString();
    }
}
