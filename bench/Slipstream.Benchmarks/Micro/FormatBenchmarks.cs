using BenchmarkDotNet.Attributes;
using Slipstream.Numerics;

namespace Slipstream.Benchmarks;

/// <summary>Decoding of weight formats to floats, 65,536 weights at a time.</summary>
public class FormatBenchmarks
{
    private const int Weights = 65536;
    private readonly float[] _values = new float[Weights];
    private byte[] _blocks = [];
    private WeightFormat _format = null!;

    /// <summary>The format.</summary>
    [Params("F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")]
    public string Format { get; set; } = "";

    /// <summary>Makes the blocks: encoded numbers, or for formats that are only read bytes whose scales are small numbers.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _format = WeightFormats.Get(Format);
        _blocks = new byte[_format.BytesOf(Weights)];
        Random random = new(1);
        for (int i = 0; i < Weights; i++) _values[i] = (float)(random.NextDouble() - 0.5) * 0.2f;
        if (_format.Encode is { } encode) encode(_values, _blocks);
        else
            for (int i = 0; i < _blocks.Length; i++) _blocks[i] = (byte)random.Next(0x18, 0x28); // As a half, 0.002 to 0.03.
    }

    /// <summary>Decodes all of them.</summary>
    [Benchmark(OperationsPerInvoke = Weights)]
    public void Decode() => _format.Decode!(_blocks, _values);
}
