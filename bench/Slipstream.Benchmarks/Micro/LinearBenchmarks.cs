using BenchmarkDotNet.Attributes;
using Slipstream.Numerics;

namespace Slipstream.Benchmarks;

/// <summary>A matrix product of the feed-forward size of SmolLM2-135M, repeated over enough matrices that the weights come from memory as they do in a model.</summary>
public class LinearBenchmarks
{
    private const int Width = 576, Wide = 1536, Matrices = 60;
    private readonly List<Linear> _linears = [];
    private readonly List<NativeBuffer<byte>> _weights = [];
    private ComputePool _pool = null!;
    private Activations _rows = null!;
    private NativeBuffer<float> _output = null!;

    /// <summary>The weights' format.</summary>
    [Params("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")]
    public string Format { get; set; } = "";

    /// <summary>Rows that are multiplied: 1 decodes, 2 to 9 verify a draft, 128 is a prompt.</summary>
    [Params(1, 2, 6, 9, 128)]
    public int Rows { get; set; }

    /// <summary>Makes the matrices.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _pool = new ComputePool(Environment.ProcessorCount);
        WeightFormat format = WeightFormats.Get(Format);
        Random random = new(1);
        float[] values = new float[Wide * Width];
        for (int i = 0; i < values.Length; i++) values[i] = (float)(random.NextDouble() - 0.5) * 0.2f;
        int bytes = checked((int)format.BytesOf(values.Length));
        for (int m = 0; m < Matrices; m++)
        {
            NativeBuffer<byte> weights = new(bytes);
            format.Encode!(values, weights.Span(0, bytes));
            _weights.Add(weights);
            _linears.Add(Linear.Pack(Format, weights.Region, Wide, Width, _pool));
        }
        _rows = new Activations(Rows, Width, ActivationPrecision.Auto);
        _output = new NativeBuffer<float>((long)Rows * Wide);
    }

    /// <summary>Multiplies the rows by every matrix; the time is that of one.</summary>
    [Benchmark(OperationsPerInvoke = Matrices)]
    public void Multiply()
    {
        foreach (Linear linear in _linears)
        {
            Matrix x = _rows.Begin(Rows, Width);
            for (int row = 0; row < Rows; row++) x[row].Fill(0.01f * (row + 1));
            linear.Multiply(_rows, new Matrix(_output.Span(0, Rows * Wide), Rows, Wide), _pool);
        }
    }

    /// <summary>Frees the matrices.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (Linear linear in _linears) linear.Dispose();
        foreach (NativeBuffer<byte> weights in _weights) weights.Dispose();
        _linears.Clear();
        _weights.Clear();
        _rows.Dispose();
        _output.Dispose();
        _pool.Dispose();
    }
}
