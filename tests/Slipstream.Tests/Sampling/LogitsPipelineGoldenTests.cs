using System.Text.Json;
using Slipstream.Sampling;

namespace Slipstream.Tests.Sampling;

public sealed class LogitsPipelineGoldenTests
{
    private const int Rows = 12, Vocabulary = 257, Prior = 20, AllEqual = 4, FourWayTie = 5;

    [Fact]
    public void Every_case_and_row_of_the_reference_library_is_reproduced()
    {
        WarperGoldens goldens = new();
        Assert.Equal(44, goldens.Cases.GetArrayLength());
        List<string> failures = [];
        foreach (JsonElement golden in goldens.Cases.EnumerateArray())
        {
            int[] ends = golden.TryGetProperty("eos_token_id", out JsonElement end) ? [end.GetInt32()] : [];
            LogitsPipeline pipeline = new(Options(golden), Vocabulary, ends, int.MaxValue);
            int promptLength = golden.TryGetProperty("prompt_length", out JsonElement prompt) ? prompt.GetInt32() : Prior;
            for (int row = 0; row < Rows; row++)
            {
                int[] prior = goldens.Tokens("prior", row, Prior);
                float[] expected = goldens.Floats(golden.GetProperty("output").GetString()!, row, Vocabulary);
                // How the context is split into committed tokens and draft path must not matter.
                for (int committed = Math.Min(7, promptLength); committed <= Prior; committed++)
                {
                    float[] actual = goldens.Floats("logits", row, Vocabulary);
                    pipeline.ToDistribution(actual, new TokenContext(prior.AsSpan(0, committed), prior.AsSpan(committed), promptLength));
                    Compare(golden, row, expected, actual, failures);
                }
            }
        }
        Assert.True(failures.Count == 0, string.Join('\n', failures));
    }

    private static void Compare(JsonElement golden, int row, float[] expected, float[] actual, List<string> failures)
    {
        if (row is AllEqual or FourWayTie)
        {
            // Which of equal tokens top-p keeps is left to an unstable sort there: only how many, and with what probability, is defined.
            expected = [.. expected.Order()];
            actual = [.. actual.Order()];
        }
        double worst = 0, sum = 0;
        int at = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            sum += actual[i];
            double error = Math.Abs(expected[i] - actual[i]);
            if (expected[i] == 0 && actual[i] != 0 && actual[i] > 1e-30) error = 1;
            if (error <= worst) continue;
            (worst, at) = (error, i);
        }
        if (worst > 1e-6) failures.Add($"{golden} row {row}: token {at} is {actual[at]}, not {expected[at]}");
        if (Math.Abs(sum - 1) > 1e-6) failures.Add($"{golden} row {row}: sums to {sum}");
    }

    private static SamplingOptions Options(JsonElement golden)
    {
        SamplingOptions options = new() { Temperature = 1 };
        foreach (JsonProperty p in golden.EnumerateObject())
            options = p.Value.ValueKind == JsonValueKind.Null ? options : p.Name switch
            {
                "temperature" => options with { Temperature = p.Value.GetDouble() },
                "top_k" => options with { TopK = p.Value.GetInt32() },
                "top_p" => options with { TopP = p.Value.GetDouble() },
                "min_p" => options with { MinP = p.Value.GetDouble() },
                "typical_p" => options with { TypicalP = p.Value.GetDouble() },
                "epsilon_cutoff" => options with { EpsilonCutoff = p.Value.GetDouble() },
                "eta_cutoff" => options with { EtaCutoff = p.Value.GetDouble() },
                "repetition_penalty" => options with { RepetitionPenalty = p.Value.GetDouble() },
                "presence_penalty" => options with { PresencePenalty = p.Value.GetDouble() },
                "frequency_penalty" => options with { FrequencyPenalty = p.Value.GetDouble() },
                "no_repeat_ngram_size" => options with { NoRepeatNgramSize = p.Value.GetInt32() },
                "suppress_tokens" => options with { SuppressTokens = Tokens(p.Value) },
                "min_length" => options with { MinLength = p.Value.GetInt32() },
                "bad_words_ids" => options with { BadWords = [.. p.Value.EnumerateArray().Select(Tokens)] },
                "sequence_bias" => options with { SequenceBias = [.. p.Value.EnumerateArray().Select(b => ((IReadOnlyList<int>)Tokens(b[0]), b[1].GetDouble()))] },
                "exponential_decay_length_penalty" => options with { ExponentialDecayLengthPenalty = (p.Value[0].GetInt32(), p.Value[1].GetDouble()) },
                "name" or "output" or "eos_token_id" or "prompt_length" or "definition" => options,
                _ => throw new InvalidDataException($"The golden option {p.Name} is unknown."),
            };
        return options;
    }

    private static int[] Tokens(JsonElement array) => [.. array.EnumerateArray().Select(t => t.GetInt32())];
}
