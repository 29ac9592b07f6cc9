using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>A normalisation with its weights.</summary>
internal abstract class Norm
{
    /// <summary>Normalises one row.</summary>
    public abstract void Apply(ReadOnlySpan<float> x, Span<float> y);

    /// <summary>Normalises the rows of <paramref name="x"/> into <paramref name="y"/>.</summary>
    public void Apply(Matrix x, Matrix y, ComputePool pool) => Apply(x, default, y, pool);

    /// <summary>Adds the rows of <paramref name="branch"/>, unless it is empty, to those of <paramref name="x"/>, and normalises these into <paramref name="y"/>: each row while it is near.</summary>
    public void Apply(Matrix x, Matrix branch, Matrix y, ComputePool pool) => RowJob.Run(this, x, branch, y, pool);

    /// <summary>Adds the rows of <paramref name="branch"/> to those of <paramref name="x"/>.</summary>
    public static void Add(Matrix x, Matrix branch, ComputePool pool) => RowJob.Run(null, x, branch, default, pool);

    private ref struct RowJob : IRangeJob
    {
        public Norm? Norm;
        public Matrix X, Branch, Y;
        public StageClock? Clock;

        public static void Run(Norm? norm, Matrix x, Matrix branch, Matrix y, ComputePool pool)
        {
            RowJob job = new() { Norm = norm, X = x, Branch = branch, Y = y, Clock = pool.Clock };
            Stage stage = pool.Clock?.Enter(Stage.Norm) ?? default;
            pool.For(ref job, x.Rows, ShortJob.Rows(x.Columns));
            pool.Clock?.Enter(stage);
        }

        public readonly void Execute(int from, int to, int worker)
        {
            StageClock? clock = worker == 0 ? Clock : null;
            for (int row = from; row < to; row++)
            {
                if (Branch.Rows > 0)
                {
                    clock?.Enter(Stage.Residual);
                    AddInPlace.Apply(X[row], Branch[row]);
                    clock?.Enter(Stage.Norm);
                }
                Norm?.Apply(X[row], Y[row]);
            }
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
