using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>A normalisation with its weights.</summary>
internal abstract class Norm
{
    /// <summary>Normalises one row.</summary>
    public abstract void Apply(ReadOnlySpan<float> x, Span<float> y);

    /// <summary>Normalises the rows of <paramref name="x"/> into <paramref name="y"/>.</summary>
    public void Apply(Matrix x, Matrix y, ComputePool pool)
    {
        Job job = new() { Norm = this, X = x, Y = y };
        pool.For(ref job, x.Rows, ShortJob.Rows(x.Columns));
    }

    private ref struct Job : IRangeJob
    {
        public Norm Norm;
        public Matrix X, Y;

        public readonly void Execute(int from, int to, int worker)
        {
            for (int row = from; row < to; row++) Norm.Apply(X[row], Y[row]);
        }
    }
}

/// <summary>Root mean square normalisation (Zhang and Sennrich, arXiv:1910.07467).</summary>
internal sealed class RootMeanSquareNorm(float[] weight, float epsilon) : Norm
{
    public override void Apply(ReadOnlySpan<float> x, Span<float> y) => RmsNorm.Apply(x, weight, epsilon, y);
}

/// <summary>Layer normalisation (Ba et al., arXiv:1607.06450).</summary>
internal sealed class MeanVarianceNorm(float[] weight, float[] bias, float epsilon) : Norm
{
    public override void Apply(ReadOnlySpan<float> x, Span<float> y) => LayerNorm.Apply(x, weight, bias, epsilon, y);
}
