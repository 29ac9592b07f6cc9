using BenchmarkDotNet.Attributes;
using Slipstream.Sampling;

namespace Slipstream.Benchmarks;

/// <summary>The sampling pipeline over a vocabulary of 49,152, as SmolLM2 has it.</summary>
public class SamplingBenchmarks
{
    private const int Vocabulary = 49152;
    private readonly float[] _source = new float[Vocabulary], _logits = new float[Vocabulary];
    private readonly int[] _tokens = new int[256];
    private LogitsPipeline _pipeline = null!;

    /// <summary>What is switched on.</summary>
    [Params("greedy", "temperature", "top-k 50, top-p 0.9", "min-p 0.05", "repetition penalty")]
    public string Options { get; set; } = "";

    /// <summary>Makes logits that look like a model's.</summary>
    [GlobalSetup]
    public void Setup()
    {
        Random random = new(1);
        for (int i = 0; i < Vocabulary; i++) _source[i] = (float)(-4 * Math.Log(1 - random.NextDouble()) - 8);
        for (int i = 0; i < _tokens.Length; i++) _tokens[i] = random.Next(Vocabulary);
        SamplingOptions options = Options switch
        {
            "temperature" => new SamplingOptions { Temperature = 0.7 },
            "top-k 50, top-p 0.9" => new SamplingOptions { Temperature = 0.7, TopK = 50, TopP = 0.9 },
            "min-p 0.05" => new SamplingOptions { Temperature = 0.7, MinP = 0.05 },
            "repetition penalty" => new SamplingOptions { Temperature = 0.7, RepetitionPenalty = 1.1 },
            _ => new SamplingOptions(),
        };
        _pipeline = new LogitsPipeline(options, Vocabulary, [2], int.MaxValue);
    }

    /// <summary>One row of logits to its distribution (copying the row included).</summary>
    [Benchmark]
    public void ToDistribution()
    {
        _source.CopyTo(_logits, 0);
        _pipeline.ToDistribution(_logits, new TokenContext(_tokens, [], _tokens.Length));
    }
}
