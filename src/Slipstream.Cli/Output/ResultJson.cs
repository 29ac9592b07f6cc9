using System.Text.Json;
using Slipstream.Cli.Commands;
using Slipstream.Cli.Options;
using Slipstream.Sampling;
using Slipstream.Scheduling;
using Slipstream.Speculation;

namespace Slipstream.Cli.Output;

/// <summary>What a command knows about a run beside its result.</summary>
/// <param name="Load">Time to load the model.</param>
/// <param name="FirstToken">From the start of the process to the first token; null where there was none.</param>
/// <param name="Drafter">The drafter's name, or null.</param>
/// <param name="DraftParameters">Parameters of the draft model.</param>
internal sealed record RunFacts(TimeSpan Load, TimeSpan? FirstToken, string? Drafter, long DraftParameters);

/// <summary>The JSON of a generation, the same for one and for many.</summary>
internal static class ResultJson
{
    /// <summary>Writes the members.</summary>
    public static void Write(Utf8JsonWriter writer, GenerationResult result, RunFacts facts)
    {
        writer.Numbers("prompt_tokens", result.PromptTokens);
        writer.Numbers("tokens", result.Tokens);
        writer.WriteString("text", result.Text);
        writer.WriteString("finish_reason", Name(result.FinishReason));
        writer.WriteNumber("seed", result.Seed);
        writer.WriteStartObject("sampling");
        foreach (RequestField field in RequestFields.Sampling) field.WriteSampling(writer, result.Sampling);
        writer.WriteNumber("seed", result.Seed);
        writer.WriteEndObject();
        WriteTiming(writer, result, facts);
        if (facts.Drafter is not null) WriteSpeculation(writer, result.Speculation, facts);
        if (result.Logprobs.Count > 0) WriteLogprobs(writer, result.Logprobs);
    }

    /// <summary>Writes how the request compares with a plain run of it.</summary>
    public static void WriteComparison(Utf8JsonWriter writer, PlainComparison comparison)
    {
        writer.WriteStartObject("comparison");
        writer.WriteNumber("rounds", comparison.Rounds);
        writer.Milliseconds("plain_ms", comparison.Plain);
        writer.Milliseconds("drafted_ms", comparison.Drafted);
        writer.WriteNumber("plain_tokens_per_second", comparison.PlainRate);
        writer.WriteNumber("drafted_tokens_per_second", comparison.DraftedRate);
        writer.WriteNumber("speed_up", comparison.SpeedUp);
        writer.WriteBoolean("identical", comparison.IsIdentical);
        writer.WriteEndObject();
    }

    /// <summary>A finish reason as JSON and summaries name it.</summary>
    public static string Name(FinishReason reason) => reason switch
    {
        FinishReason.Stop => "stop",
        FinishReason.Length => "length",
        FinishReason.Cancelled => "cancelled",
        _ => "failed",
    };

    private static void WriteTiming(Utf8JsonWriter writer, GenerationResult result, RunFacts facts)
    {
        GenerationTiming timing = result.Timing;
        writer.WriteStartObject("timing");
        writer.Milliseconds("load_ms", facts.Load);
        writer.Milliseconds("prefill_ms", timing.Prefill);
        writer.Milliseconds("decode_ms", timing.Decode);
        writer.Ratio("prefill_tokens_per_second", result.PromptTokens.Count, timing.Prefill.TotalSeconds);
        // The first token belongs to the prefill.
        writer.Ratio("decode_tokens_per_second", Math.Max(0, result.Tokens.Count - 1), timing.Decode.TotalSeconds);
        if (facts.FirstToken is { } first) writer.Milliseconds("first_token_ms", first);
        else writer.WriteNull("first_token_ms");
        if (facts.Drafter is not null)
        {
            writer.Milliseconds("draft_ms", timing.Draft);
            writer.Milliseconds("verify_ms", timing.Verify);
            writer.Milliseconds("rest_ms", timing.Rest);
        }
        writer.WriteEndObject();
    }

    private static void WriteSpeculation(Utf8JsonWriter writer, SpeculationCounts counts, RunFacts facts)
    {
        writer.WriteStartObject("speculation");
        writer.WriteString("drafter", facts.Drafter);
        writer.WriteNumber("draft_parameters", facts.DraftParameters);
        writer.WriteNumber("drafted", counts.Drafted);
        writer.WriteNumber("evaluated", counts.Evaluated);
        writer.WriteNumber("accepted", counts.Accepted);
        writer.WriteNumber("verifications", counts.Verifications);
        writer.WriteNumber("tokens_per_verification", counts.TokensPerVerification);
        writer.WriteNumber("acceptance_rate", counts.AcceptanceRate);
        writer.WriteNumber("draft_efficiency", counts.DraftEfficiency);
        writer.WriteStartArray("per_position");
        foreach ((int drafted, int accepted) in counts.PerPosition)
        {
            writer.WriteStartObject();
            writer.WriteNumber("drafted", drafted);
            writer.WriteNumber("accepted", accepted);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void WriteLogprobs(Utf8JsonWriter writer, IReadOnlyList<StepLogprobs> logprobs)
    {
        writer.WriteStartArray("logprobs");
        foreach (StepLogprobs step in logprobs)
        {
            writer.WriteStartObject();
            WriteLogprob(writer, step.Chosen);
            writer.WriteStartArray("top");
            foreach (TokenLogprob token in step.Top)
            {
                writer.WriteStartObject();
                WriteLogprob(writer, token);
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    private static void WriteLogprob(Utf8JsonWriter writer, TokenLogprob token)
    {
        writer.WriteNumber("token", token.Token);
        // An excluded token has no logarithm, and JSON has no infinity.
        if (float.IsFinite(token.Logprob)) writer.WriteNumber("logprob", token.Logprob);
        else writer.WriteNull("logprob");
    }
}
