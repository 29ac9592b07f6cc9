using System.Text.Json;
using Slipstream.Sampling;

namespace Slipstream.Cli.Options;

/// <summary>The table of all request options. An option added here is a flag, a JSON field, a line of help and, where it is about sampling, part of every result.</summary>
internal static class RequestFields
{
    private const string Probability = "over 0 and at most 1", Share = "from 0 to 1", Cutoff = "at least 0 and under 1", Finite = "a finite number";

    /// <summary>What bounds a request.</summary>
    public static IReadOnlyList<RequestField> Limits { get; } =
    [
        Field("max-tokens", new WholeValue(1, int.MaxValue), "The most tokens to generate (default 256).", (o, v) => o with { MaxNewTokens = v }),
        Field("stop", new TextsValue(), "A text that ends the generation; may be given more than once.", (o, v) => o with { StopStrings = v }),
        Field("stop-token", new TokensValue(repeatable: true), "Tokens that end the generation, beside the model's own.", (o, v) => o with { StopTokens = v }),
        Field("ignore-eos", new FlagValue(), "Go on past the model's end tokens.", (o, v) => o with { IgnoreEndTokens = v }),
        Field("logprobs", new WholeValue(0, 1000), "Report the log-probability of each token and of the N best (with --json).", (o, v) => o with { TopLogprobs = v }),
        Field("seed", new SeedValue(), "The seed; a random one otherwise, which the answer states.", (o, v) => o with { Seed = v }),
    ];

    /// <summary>How tokens are chosen.</summary>
    public static IReadOnlyList<RequestField> Sampling { get; } =
    [
        Number("temperature", value => value >= 0, "a finite number of at least 0", "0 is greedy (default: the model's own).", s => s.Temperature, (s, v) => s with { Temperature = v }),
        Whole("top-k", "Keep the k best tokens; 0 keeps all.", s => s.TopK, (s, v) => s with { TopK = v }),
        Number("top-p", value => value is > 0 and <= 1, Probability, "Keep the best tokens up to this probability.", s => s.TopP, (s, v) => s with { TopP = v }),
        Number("min-p", value => value is >= 0 and <= 1, Share, "Drop tokens less likely than this times the best.", s => s.MinP, (s, v) => s with { MinP = v }),
        Number("typical-p", value => value is > 0 and <= 1, Probability, "Locally typical sampling.", s => s.TypicalP, (s, v) => s with { TypicalP = v }),
        Number("epsilon-cutoff", value => value is >= 0 and < 1, Cutoff, "Drop tokens less likely than this.", s => s.EpsilonCutoff, (s, v) => s with { EpsilonCutoff = v }),
        Number("eta-cutoff", value => value is >= 0 and < 1, Cutoff, "Drop unlikely tokens by an entropy-dependent bound.", s => s.EtaCutoff, (s, v) => s with { EtaCutoff = v }),
        Number("repetition-penalty", value => value > 0, "over 0", "Make tokens seen before less likely; 1 is off.", s => s.RepetitionPenalty, (s, v) => s with { RepetitionPenalty = v }),
        Number("presence-penalty", _ => true, Finite, "Subtract once from tokens seen before.", s => s.PresencePenalty, (s, v) => s with { PresencePenalty = v }),
        Number("frequency-penalty", _ => true, Finite, "Subtract for each time a token was seen.", s => s.FrequencyPenalty, (s, v) => s with { FrequencyPenalty = v }),
        Whole("no-repeat-ngram-size", "No n-gram of this length appears twice; 0 is off.", s => s.NoRepeatNgramSize, (s, v) => s with { NoRepeatNgramSize = v }),
        Optional("logit-bias", new LogitBiasValue(), "Add to the logit of a token; may be given more than once.", s => s.LogitBias, (s, v) => s with { LogitBias = v }),
        Optional("sequence-bias", new SequenceBiasValue(), "Add to the logit of a sequence's last token where the others stand before it; may be given more than once.", s => s.SequenceBias, (s, v) => s with { SequenceBias = v }),
        Optional("bad-words", new TokenSequencesValue(), "A token sequence that is never completed; may be given more than once.", s => s.BadWords, (s, v) => s with { BadWords = v }),
        Optional("suppress-tokens", new TokensValue(), "Tokens that are never chosen.", s => s.SuppressTokens, (s, v) => s with { SuppressTokens = v }),
        Optional("begin-suppress-tokens", new TokensValue(), "Tokens that are never chosen first.", s => s.BeginSuppressTokens, (s, v) => s with { BeginSuppressTokens = v }),
        Maybe("forced-first-token", new WholeValue(0, int.MaxValue), "The first generated token.", s => s.ForcedFirstToken, (s, v) => s with { ForcedFirstToken = v }),
        Maybe("forced-last-token", new WholeValue(0, int.MaxValue), "The last token where the limit is reached.", s => s.ForcedLastToken, (s, v) => s with { ForcedLastToken = v }),
        Whole("min-length", "No end token before the sequence, prompt included, has this many tokens.", s => s.MinLength, (s, v) => s with { MinLength = v }),
        Whole("min-tokens", "No end token before this many tokens were generated.", s => s.MinNewTokens, (s, v) => s with { MinNewTokens = v }),
        Maybe("exponential-decay-length-penalty", new DecayValue(), "Raise end tokens from START generated tokens on, by FACTOR a token.", s => s.ExponentialDecayLengthPenalty, (s, v) => s with { ExponentialDecayLengthPenalty = v }),
    ];

    /// <summary>The kinds of draft schedule.</summary>
    public static ChoiceValue<AssistantTokensSchedule> Schedules { get; } = new(("constant", AssistantTokensSchedule.Constant), ("heuristic", AssistantTokensSchedule.Heuristic), ("measured", AssistantTokensSchedule.Measured));

    /// <summary>How drafts are made and judged. The length comes first: alone it means a constant one, and a schedule given beside it stands.</summary>
    public static IReadOnlyList<RequestField> Speculation { get; } =
    [
        Field("draft-length", new WholeValue(0, 256), "Tokens drafted at once (default 5, at first); alone it is constant; 0 drafts nothing.",
            (o, v) => o with { AssistantTokens = v, AssistantTokensSchedule = AssistantTokensSchedule.Constant }),
        Field("draft-schedule", Schedules, "How that number changes: not, with what is accepted, or, at most it, with what that and this machine make pay (default heuristic).", (o, v) => o with { AssistantTokensSchedule = v }),
        Field("verifier", new ChoiceValue<VerifierKind>(("auto", VerifierKind.Auto), ("rejection", VerifierKind.Rejection), ("coupled", VerifierKind.Coupled)),
            "Which lossless verifier judges drafts (default auto: coupled with --seed, else rejection).", (o, v) => o with { Verifier = v }),
    ];

    /// <summary>All of them, in the order in which they are applied.</summary>
    public static IReadOnlyList<RequestField> All { get; } = [.. Limits, .. Sampling, .. Speculation];

    /// <summary>The field of a JSON name, or null.</summary>
    public static RequestField? Find(string jsonName) => All.FirstOrDefault(field => field.JsonName == jsonName);

    private static RequestField<T> Field<T>(string name, OptionValue<T> kind, string help, Func<GenerationOptions, T, GenerationOptions> set) => new(name, kind, help, set);

    private static RequestField<double> Number(string name, Func<double, bool> isValid, string expected, string help, Func<SamplingOptions, double> get, Func<SamplingOptions, double, SamplingOptions> set)
        => Sampled(name, new NumberValue(isValid, expected), help, get, set);

    private static RequestField<int> Whole(string name, string help, Func<SamplingOptions, int> get, Func<SamplingOptions, int, SamplingOptions> set)
        => Sampled(name, new WholeValue(0, int.MaxValue), help, get, set);

    private static RequestField<T> Optional<T>(string name, OptionValue<T> kind, string help, Func<SamplingOptions, T?> get, Func<SamplingOptions, T, SamplingOptions> set)
        where T : class
        => new(name, kind, help, Set(set), (field, writer, sampling) =>
        {
            if (get(sampling) is { } value) Write(field, writer, value);
        });

    private static RequestField<T> Maybe<T>(string name, OptionValue<T> kind, string help, Func<SamplingOptions, T?> get, Func<SamplingOptions, T, SamplingOptions> set)
        where T : struct
        => new(name, kind, help, Set(set), (field, writer, sampling) =>
        {
            if (get(sampling) is { } value) Write(field, writer, value);
        });

    private static RequestField<T> Sampled<T>(string name, OptionValue<T> kind, string help, Func<SamplingOptions, T> get, Func<SamplingOptions, T, SamplingOptions> set)
        => new(name, kind, help, Set(set), (field, writer, sampling) => Write(field, writer, get(sampling)));

    private static Func<GenerationOptions, T, GenerationOptions> Set<T>(Func<SamplingOptions, T, SamplingOptions> set)
        => (options, value) => options with { Sampling = set(options.Sampling ?? new SamplingOptions(), value) };

    private static void Write<T>(RequestField<T> field, Utf8JsonWriter writer, T value)
    {
        writer.WritePropertyName(field.JsonName);
        field.Kind.Write(writer, value);
    }
}
