using Slipstream.Sampling;

namespace Slipstream.Tests.Sampling;

public sealed class LogitsPipelineTests
{
    private static readonly int[] Prompt = [1, 2, 3];

    [Fact]
    public void Greedy_is_a_point_mass_on_the_lowest_best_token_after_penalties_and_bans()
    {
        float[] row = Distribution(new() { TopK = 5, TypicalP = 0.1 }, [0, 3, 3, 1]);
        Assert.Equal([0f, 1, 0, 0], row);
        Assert.Equal([0f, 0, 1, 0], Distribution(new() { SuppressTokens = [1] }, [0, 3, 3, 1]));
        Assert.Equal([1f, 0, 0, 0], Distribution(new() { RepetitionPenalty = 10 }, [0.9f, 3, 3, 1]));
        Assert.Equal([1f, 0, 0, 0], Distribution(new() { LogitBias = new Dictionary<int, double> { [0] = 10 } }, [0, 3, 3, 1]));
    }

    [Theory]
    [InlineData(16)]
    [InlineData(1000)]
    [InlineData(5003)]
    public void Truncations_of_any_size_agree_with_a_full_sort(int vocabulary)
    {
        Random random = new(7);
        for (int round = 0; round < 60; round++)
        {
            float[] logits = new float[vocabulary];
            double spread = Math.Pow(10, random.NextDouble() * 3 - 1);
            for (int i = 0; i < vocabulary; i++)
                logits[i] = (round % 5) switch
                {
                    0 => (float)Math.Round(random.NextDouble() * 4), // ties everywhere
                    1 => i, // ascending
                    2 => -i * 0.01f, // descending
                    _ => (float)((random.NextDouble() + random.NextDouble() - 1) * spread),
                };
            for (int i = random.Next(5); i > 0; i--) logits[random.Next(vocabulary)] = float.NegativeInfinity;
            SamplingOptions options = new()
            {
                Temperature = 0.5 + random.NextDouble(),
                TopK = round % 3 == 0 ? 0 : random.Next(1, vocabulary + 10),
                TopP = round % 2 == 0 ? 1 : 0.01 + 0.98 * random.NextDouble(),
                MinP = round % 4 == 0 ? random.NextDouble() * 0.3 : 0,
            };
            float[] expected = FullSort(options, logits);
            float[] actual = Distribution(options, logits);
            for (int i = 0; i < vocabulary; i++)
                Assert.True(Math.Abs(expected[i] - actual[i]) < 2e-6 && expected[i] > 1e-30 == actual[i] > 1e-30, $"round {round}, {options}: token {i} is {actual[i]}, not {expected[i]}");
        }
    }

    [Fact]
    public void Extreme_logits_and_temperatures_give_distributions()
    {
        Assert.Equal([0.5f, 0, 0.5f, 0], Distribution(new() { Temperature = 1 }, [float.PositiveInfinity, 3, float.PositiveInfinity, 1]));
        Assert.Equal([0f, 1, 0, 0], Distribution(new() { Temperature = 1e-30 }, [-3e38f, 3e38f, 2.9e38f, 1]));
        Assert.Equal([1f, 0, 0, 0], Distribution(new() { Temperature = 1, TopP = 0.5 }, [-500, float.NegativeInfinity, float.NegativeInfinity, -800]));
        Assert.Equal([0.25f, 0.25f, 0.25f, 0.25f], Distribution(new() { Temperature = 3e38 }, [1, 2, 3, 4]));
    }

    [Fact]
    public void When_everything_is_excluded_the_message_says_so()
    {
        foreach (double temperature in new[] { 0, 1.0 })
        {
            SlipstreamException e = Assert.Throws<SlipstreamException>(() => Distribution(new() { Temperature = temperature, SuppressTokens = [0, 1, 2, 3] }, [1, 2, 3, 4]));
            Assert.StartsWith("The sampling options exclude every token at position 3;", e.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Forced_tokens_stand_first_and_last_whatever_is_banned()
    {
        SamplingOptions options = new() { ForcedFirstToken = 2, ForcedLastToken = 3, SuppressTokens = [2, 3], MinLength = 100 };
        LogitsPipeline pipeline = new(options, 4, [3], 6);
        Assert.Equal([0f, 0, 1, 0], Run(pipeline, [9, 0, 0, 0], Prompt, 3));
        Assert.Equal([1f, 0, 0, 0], Run(pipeline, [9, 0, 0, 0], [1, 2, 3, 2], 3));
        Assert.Equal([0f, 0, 0, 1], Run(pipeline, [9, 0, 0, 0], [1, 2, 3, 2, 0], 3));
    }

    [Fact]
    public void Suppression_at_the_beginning_and_minimum_lengths_end_where_they_should()
    {
        LogitsPipeline begin = new(new() { BeginSuppressTokens = [0] }, 4, [], 100);
        Assert.Equal([0f, 1, 0, 0], Run(begin, [9, 8, 0, 0], Prompt, 3));
        Assert.Equal([1f, 0, 0, 0], Run(begin, [9, 8, 0, 0], [1, 2, 3, 1], 3));
        LogitsPipeline behindForced = new(new() { BeginSuppressTokens = [0], ForcedFirstToken = 3 }, 4, [], 100);
        Assert.Equal([0f, 1, 0, 0], Run(behindForced, [9, 8, 0, 0], [1, 2, 3, 3], 3));
        LogitsPipeline minimum = new(new() { MinNewTokens = 2, MinLength = 4 }, 4, [0, 77, -1], 100);
        Assert.Equal([0f, 1, 0, 0], Run(minimum, [9, 8, 0, 0], [1, 2, 3, 1], 3));
        Assert.Equal([1f, 0, 0, 0], Run(minimum, [9, 8, 0, 0], [1, 2, 3, 1, 1], 3));
        Assert.Equal([0f, 1, 0, 0], Run(minimum, [9, 8, 0, 0], [1, 2, 1], 1)); // Two were generated, but the whole is too short.
    }

    [Fact]
    public void A_bad_word_is_never_completed_not_even_by_the_first_tokens()
    {
        SamplingOptions options = new() { BadWords = [[2, 0], [3]] };
        Assert.Equal([0f, 1, 0, 0], Run(new(options, 4, [], 100), [9, 8, 0, 10], [2], 1));
        Assert.Equal([1f, 0, 0, 0], Run(new(options, 4, [], 100), [9, 8, 0, 10], [1], 1));
        // An end token alone stays possible.
        Assert.Equal([0f, 0, 0, 1], Run(new(options, 4, [3], 100), [9, 8, 0, 10], [2], 1));
    }

    [Fact]
    public void Ngrams_are_blocked_across_the_border_of_committed_tokens_and_path()
    {
        LogitsPipeline pipeline = new(new() { NoRepeatNgramSize = 3 }, 6, [], 100);
        int[] tokens = [1, 2, 3, 4, 1, 2];
        for (int split = 0; split <= tokens.Length; split++)
        {
            float[] row = [0, 0, 0, 9, 8, 0];
            pipeline.ToDistribution(row, new TokenContext(tokens.AsSpan(0, split), tokens.AsSpan(split), 1));
            Assert.Equal([0f, 0, 0, 0, 1, 0], row);
        }
    }

    [Fact]
    public void A_warm_pipeline_allocates_nothing()
    {
        const int vocabulary = 3000;
        SamplingOptions[] all =
        [
            new(), new() { Temperature = 1 }, new() { Temperature = 0.7, TopK = 50, TopP = 0.9, MinP = 0.01 }, new() { Temperature = 2, TopP = 0.99 },
            new() { Temperature = 1, TypicalP = 0.9, EpsilonCutoff = 1e-5, EtaCutoff = 1e-5 },
            new()
            {
                Temperature = 1, RepetitionPenalty = 1.1, PresencePenalty = 0.1, FrequencyPenalty = 0.1, NoRepeatNgramSize = 2, BadWords = [[5, 6]], SequenceBias = [([1, 2], 3)],
                LogitBias = new Dictionary<int, double> { [3] = 1 }, SuppressTokens = [9], BeginSuppressTokens = [8], MinLength = 50, MinNewTokens = 60, ExponentialDecayLengthPenalty = (1, 1.1),
            },
        ];
        float[] logits = new float[vocabulary], row = new float[vocabulary];
        Random random = new(3);
        for (int i = 0; i < vocabulary; i++) logits[i] = (float)(random.NextDouble() * 12);
        int[] context = [.. Enumerable.Range(0, 40).Select(i => i % 13)];
        foreach (SamplingOptions options in all)
        {
            LogitsPipeline pipeline = new(options, vocabulary, [2], 1000);
            long before = 0;
            for (int round = 0; round < 3; round++)
            {
                if (round == 1) before = GC.GetAllocatedBytesForCurrentThread();
                logits.CopyTo(row, 0);
                pipeline.ToDistribution(row, new TokenContext(context.AsSpan(0, 30), context.AsSpan(30), 10));
            }
            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
            Assert.Equal(1, row.Sum(p => (double)p), 1e-5);
        }
    }

    private static float[] Distribution(SamplingOptions options, float[] logits)
    {
        return Run(new(options, logits.Length, [], 1000), logits, Prompt, 3);
    }

    private static float[] Run(LogitsPipeline pipeline, float[] logits, int[] context, int promptLength)
    {
        float[] row = [.. logits];
        pipeline.ToDistribution(row, new TokenContext(context, [], promptLength));
        return row;
    }

    /// <summary>Temperature, top-k, top-p and min-p by definition: everything sorted, everything in doubles.</summary>
    private static float[] FullSort(SamplingOptions options, float[] logits)
    {
        float[] scores = [.. logits.Select(x => options.Temperature == 1 ? x : x / (float)options.Temperature)];
        int[] order = [.. Enumerable.Range(0, scores.Length).Where(i => !float.IsNegativeInfinity(scores[i])).OrderByDescending(i => scores[i]).ThenBy(i => i)];
        if (options.TopK > 0 && options.TopK < order.Length) order = [.. order.Where(i => scores[i] >= scores[order[options.TopK - 1]])];
        double best = scores[order[0]];
        double[] weights = [.. order.Select(i => Math.Exp(scores[i] - best))];
        double target = options.TopP * weights.Sum(), above = 0;
        int kept = 0;
        for (; kept < order.Length && (above < target || options.TopP == 1); kept++) above += weights[kept];
        while (kept > 1 && weights[kept - 1] < options.MinP) kept--;
        double total = weights.Take(kept).Sum();
        float[] row = new float[scores.Length];
        for (int i = 0; i < kept; i++) row[order[i]] = (float)(weights[i] / total);
        return row;
    }
}
