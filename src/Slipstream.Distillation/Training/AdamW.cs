using System.Numerics;
using System.Runtime.InteropServices;
using Slipstream.Distillation.Torch;

namespace Slipstream.Distillation.Training;

/// <summary>AdamW over the flat weights of a model: one pass over memory a step. Matrices decay, norms do not.</summary>
/// <remarks>Source: arXiv:1711.05101, with the bias correction and order of operations of PyTorch. The same bits at every thread count.</remarks>
internal sealed class AdamW(TorchLlama model, TrainingOptions options)
{
    private const int Chunk = 1 << 16;
    private readonly int _count = checked((int)model.Flat.numel());

    /// <summary>Running mean of the gradients.</summary>
    public float[] First { get; } = new float[model.Flat.numel()];

    /// <summary>Running mean of their squares.</summary>
    public float[] Second { get; } = new float[model.Flat.numel()];

    /// <summary>Steps done.</summary>
    public int Steps { get; set; }

    private Span<float> Gradient => MemoryMarshal.Cast<byte, float>(model.Gradient.bytes);

    /// <summary>The length of the gradient as it is.</summary>
    public double GradientNorm()
    {
        // Each chunk has one sum, and the chunks are added in order.
        double[] sums = new double[(_count + Chunk - 1) / Chunk];
        Parallel.For(0, sums.Length, i => sums[i] = SumOfSquares(Part(Gradient, i)));
        return Math.Sqrt(sums.Sum());
    }

    /// <summary>Changes the weights by the gradient times <paramref name="scale"/>, and sets the gradient to zero.</summary>
    public void Step(double rate, double scale)
    {
        Steps++;
        double correction1 = 1 - Math.Pow(options.Beta1, Steps), correction2 = 1 - Math.Pow(options.Beta2, Steps);
        Coefficients c = new((float)scale, (float)options.Beta1, (float)options.Beta2, (float)(rate / correction1), (float)(1 / Math.Sqrt(correction2)), (float)options.Epsilon);
        float keep = (float)(1 - rate * options.WeightDecay);
        int matrices = checked((int)model.MatrixElements);
        Parallel.For(0, (_count + Chunk - 1) / Chunk, i =>
        {
            Span<float> weights = Part(model.Weights, i), gradient = Part(Gradient, i), first = Part(First, i), second = Part(Second, i);
            int decayed = Math.Clamp(matrices - i * Chunk, 0, weights.Length);
            Update(weights[..decayed], gradient[..decayed], first[..decayed], second[..decayed], c, keep);
            Update(weights[decayed..], gradient[decayed..], first[decayed..], second[decayed..], c, 1);
            gradient.Clear();
        });
    }

    private static Span<float> Part(Span<float> all, int chunk) => all[(chunk * Chunk)..Math.Min(all.Length, (chunk + 1) * Chunk)];

    private static void Update(Span<float> weights, Span<float> gradient, Span<float> first, Span<float> second, in Coefficients c, float keep)
    {
        int i = 0;
        Vector<float> scale = new(c.Scale), beta1 = new(c.Beta1), rest1 = new(1 - c.Beta1), beta2 = new(c.Beta2), rest2 = new(1 - c.Beta2), rate = new(c.Rate), root = new(c.Root), epsilon = new(c.Epsilon), kept = new(keep);
        for (; i <= weights.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector<float> g = new Vector<float>(gradient[i..]) * scale;
            Vector<float> m = beta1 * new Vector<float>(first[i..]) + rest1 * g, v = beta2 * new Vector<float>(second[i..]) + rest2 * (g * g);
            m.CopyTo(first[i..]);
            v.CopyTo(second[i..]);
            (kept * new Vector<float>(weights[i..]) - rate * m / (Vector.SquareRoot(v) * root + epsilon)).CopyTo(weights[i..]);
        }
        for (; i < weights.Length; i++)
        {
            float g = gradient[i] * c.Scale;
            first[i] = c.Beta1 * first[i] + (1 - c.Beta1) * g;
            second[i] = c.Beta2 * second[i] + (1 - c.Beta2) * (g * g);
            weights[i] = keep * weights[i] - c.Rate * first[i] / (MathF.Sqrt(second[i]) * c.Root + c.Epsilon);
        }
    }

    private static double SumOfSquares(ReadOnlySpan<float> x)
    {
        Vector<float> sums = Vector<float>.Zero;
        int i = 0;
        for (; i <= x.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector<float> v = new(x[i..]);
            sums += v * v;
        }
        double sum = 0;
        for (int lane = 0; lane < Vector<float>.Count; lane++) sum += sums[lane];
        for (; i < x.Length; i++) sum += (double)x[i] * x[i];
        return sum;
    }

    private readonly record struct Coefficients(float Scale, float Beta1, float Beta2, float Rate, float Root, float Epsilon);
}
