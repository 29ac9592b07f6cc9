namespace Slipstream.Numerics.Kernels;

/// <summary>Gives weight rows as floats.</summary>
internal unsafe interface IFloatRows
{
    /// <summary>Bytes that reading one row moves.</summary>
    long RowBytes { get; }

    /// <summary>Row <paramref name="row"/>: where it lies, or <paramref name="scratch"/> after writing it there; with zeros after its end up to the width of the product.</summary>
    float* Read(int row, float* scratch);
}

/// <summary>The product of float activations and weights that are floats or become floats.</summary>
internal static unsafe class FloatProduct
{
    /// <summary>Computes <c>y = x · Wᵀ</c>, in parallel over the rows of W; every weight row is decoded once.</summary>
    /// <param name="weights">The rows of W.</param>
    /// <param name="outFeatures">How many there are.</param>
    /// <param name="rows">The activations: those of <paramref name="x"/> or another form of them.</param>
    /// <param name="width">Floats in a row of either side, zeros included: a multiple of 16.</param>
    /// <param name="x">Says how many there are, and has working memory.</param>
    /// <param name="y"><c>[rows, outFeatures]</c>.</param>
    /// <param name="pool">The threads.</param>
    public static void Run<TRows>(TRows weights, int outFeatures, float* rows, int width, Activations x, Matrix y, ComputePool pool) where TRows : struct, IFloatRows
    {
        if (x.Rows == 0) return;
        // SAFETY: y is pinned until every range has run; the scratch has room for one tile a worker; x holds Rows rows of a padded width.
        fixed (float* results = y.Data)
        {
            Job<TRows> job = new()
            {
                Weights = weights,
                X = rows,
                XStride = width,
                XRows = x.Rows,
                Width = width,
                Y = results,
                YStride = y.Stride,
                ScratchStride = (nint)FloatTile.WeightRows * width,
                Scratch = (float*)x.Scratch(pool.Threads, FloatTile.WeightRows * width * (long)sizeof(float)),
                Counters = pool.Counters,
            };
            pool.For(ref job, outFeatures, 2 * FloatTile.WeightRows);
        }
    }

    private struct Job<TRows> : IRangeJob where TRows : struct, IFloatRows
    {
        public TRows Weights;
        public float* X, Y, Scratch;
        public nint XStride, YStride, ScratchStride;
        public int XRows, Width;
        public ComputeCounters Counters;

        public readonly void Execute(int from, int to, int worker)
        {
            float* scratch = Scratch + worker * ScratchStride;
            for (int row = from; row < to; row += FloatTile.WeightRows)
            {
                int live = Math.Min(FloatTile.WeightRows, to - row);
                WeightTile tile;
                tile.Row0 = Weights.Read(row, scratch);
                tile.Row1 = live > 1 ? Weights.Read(row + 1, scratch + Width) : tile.Row0;
                tile.Row2 = live > 2 ? Weights.Read(row + 2, scratch + 2 * Width) : tile.Row0;
                tile.Row3 = live > 3 ? Weights.Read(row + 3, scratch + 3 * Width) : tile.Row0;
                FloatTile.Multiply(tile, live, X, XStride, XRows, Width, Y + row, YStride);
            }
            Counters.AddWeights(worker, (to - from) * Weights.RowBytes);
        }
    }
}
