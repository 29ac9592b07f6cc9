using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Slipstream.Numerics.Kernels;

/// <summary>How tiles of a product are computed: by compiled or by emitted kernels.</summary>
internal unsafe interface IRowTiles
{
    /// <summary>Bytes of a weight, and of an activation.</summary>
    static abstract int WeightBytes { get; }

    /// <inheritdoc cref="WeightBytes"/>
    static abstract int ActivationBytes { get; }

    /// <summary>Whether panels of weights that meet many rows are widened first, since widening costs more than moving twice the bytes.</summary>
    static abstract bool Widens { get; }

    /// <summary>Multiplies one tile; see <see cref="RowTile.Multiply"/>.</summary>
    void Multiply(in RowTile tile, byte* x, int rows, nint row, float* sums);

    /// <summary>Multiplies one tile of widened weights.</summary>
    void MultiplyWidened(in RowTile tile, byte* x, int rows, nint row, float* sums);

    /// <summary>Widens a row.</summary>
    void Widen(byte* weights, nint count, float* widened);
}

/// <summary>Tiles of float activations by compiled kernels.</summary>
internal readonly unsafe struct CompiledTiles<TWeights> : IRowTiles where TWeights : IRowWeights
{
    public static int WeightBytes => TWeights.Bytes;

    public static int ActivationBytes => sizeof(float);

    public static bool Widens => TWeights.IsCostly;

    // SAFETY: (all below) what the tile's fields and the arguments point to is checked by the product.
    public void Multiply(in RowTile tile, byte* x, int rows, nint row, float* sums) => tile.Multiply<TWeights>(x, rows, row, sums);

    public void MultiplyWidened(in RowTile tile, byte* x, int rows, nint row, float* sums) => tile.Multiply<WidenedWeights>(x, rows, row, sums);

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public void Widen(byte* weights, nint count, float* widened)
    {
        for (nint i = 0; i < count; i += Lanes.Count) System.Runtime.Intrinsics.Vector512.Store(TWeights.Load(weights, i), widened + i);
    }
}

/// <summary>The product of activations and 16-bit weights, which are read where they lie.</summary>
/// <remarks>
/// Few rows: each thread reads four rows of W far apart, so that memory serves four streams, and each tile of them meets all rows of activations while it is in the nearest cache.
/// Many rows: a panel of W stays in the second-level cache for a block of activation rows, and a tile of activations in the first, for ranges of columns short enough.
/// Either way each weight is read from memory once.
/// </remarks>
internal static unsafe class RowProduct
{
    /// <summary>Rows of W in a panel.</summary>
    public const int PanelRows = 64;

    /// <summary>Rows of activations in a block.</summary>
    public const int BlockRows = 16 * RowTile.MaxRows;

    // Bytes of activations that stay in the second-level cache beside a stream of weights, and of a range of a row of which six stay in the first.
    private const int FewBytes = 768 << 10, RangeBytes = 4096;

    // Widening is shared by the tiles of a panel, not by those of a stream.
    private const int FewCostlyRows = 4 * RowTile.MaxRows;

    /// <summary>Whether this machine has the registers the tiles are made for, and the rows whole vectors.</summary>
    public static bool Fits(int width) => width % Lanes.Count == 0 && Avx512BW.IsSupported;

    /// <summary>Computes <c>y = x · Wᵀ</c>, in parallel over the rows of W.</summary>
    /// <param name="tiles">The kernels.</param>
    /// <param name="weights">The rows of W, without gaps.</param>
    /// <param name="outFeatures">Rows of W.</param>
    /// <param name="x">As many rows of activations as y has, without gaps.</param>
    /// <param name="width">Columns, whole vectors of the kernels.</param>
    /// <param name="y"><c>[rows, outFeatures]</c>.</param>
    /// <param name="scratch">Where working memory comes from.</param>
    /// <param name="pool">The threads.</param>
    public static void Run<TTiles>(TTiles tiles, ByteRegion weights, int outFeatures, void* x, int width, Matrix y, Activations scratch, ComputePool pool) where TTiles : struct, IRowTiles
    {
        if (y.Rows == 0) return;
        bool few = TTiles.Widens ? y.Rows <= FewCostlyRows : y.Rows <= RowTile.MaxRows || (long)y.Rows * width * TTiles.ActivationBytes <= FewBytes;
        int range = Math.Min(width, RangeBytes / TTiles.ActivationBytes);
        long widened = few || !TTiles.Widens ? 0 : (long)PanelRows * range, sums = few || range == width ? 0 : (long)PanelRows * BlockRows * Lanes.Count;
        // SAFETY: y is pinned until every range has run; the scratch has room for one panel a worker; x holds as many rows as y.
        fixed (float* results = y.Data)
        {
            Job<TTiles> job = new()
            {
                Tiles = tiles,
                Weights = weights.Pointer,
                RowBytes = (nint)width * TTiles.WeightBytes,
                X = (byte*)x,
                XStride = (nint)width * TTiles.ActivationBytes,
                XRows = y.Rows,
                Width = width,
                Range = range,
                Y = results,
                YStride = y.Stride,
                IsFew = few,
                Scratch = widened + sums == 0 ? null : (float*)scratch.Scratch(pool.Threads, (widened + sums) * sizeof(float)),
                WidenedFloats = (nint)widened,
                ScratchFloats = (nint)(widened + sums),
                Counters = pool.Counters,
            };
            pool.For(ref job, outFeatures, few ? 2 * RowTile.WeightRows : PanelRows);
        }
    }

    private struct Job<TTiles> : IRangeJob where TTiles : struct, IRowTiles
    {
        public TTiles Tiles;
        public byte* Weights, X;
        public float* Y, Scratch;
        public nint RowBytes, XStride, YStride, WidenedFloats, ScratchFloats;
        public int XRows, Width, Range;
        public bool IsFew;
        public ComputeCounters Counters;

        public readonly void Execute(int from, int to, int worker)
        {
            if (IsFew) Streams(from, to);
            else
                for (int row = from; row < to; row += PanelRows)
                    Panel(row, Math.Min(PanelRows, to - row), Scratch + worker * ScratchFloats);
            Counters.AddWeights((to - from) * RowBytes);
        }

        private readonly void Streams(int from, int to)
        {
            int length = (to - from + 3) / 4, last = to - 1;
            RowTile tile = new() { XStride = XStride, YStride = YStride, Width = Width, First = true, Last = true };
            for (int i = from; i < from + length; i++)
            {
                int row1 = Math.Min(i + length, last), row2 = Math.Min(i + 2 * length, last), row3 = Math.Min(i + 3 * length, last);
                tile.SetWeights(Weights, RowBytes, i, row1, row2, row3);
                tile.SetResults(Y, i, row1, row2, row3);
                for (int m = 0; m < XRows; m += RowTile.MaxRows)
                    Tiles.Multiply(tile, X + m * XStride, Math.Min(RowTile.MaxRows, XRows - m), m, null);
            }
        }

        private readonly void Panel(int first, int live, float* widened)
        {
            float* sums = widened + WidenedFloats;
            RowTile tile = new() { XStride = XStride, YStride = YStride };
            for (int block = 0; block < XRows; block += BlockRows)
            {
                int end = Math.Min(XRows, block + BlockRows);
                for (int column = 0; column < Width; column += Range)
                {
                    int columns = Math.Min(Range, Width - column);
                    byte* weights = Weights + first * RowBytes + (nint)column * TTiles.WeightBytes, x = X + (nint)column * TTiles.ActivationBytes;
                    if (TTiles.Widens)
                        for (int row = 0; row < live; row++) Tiles.Widen(weights + row * RowBytes, columns, widened + row * columns);
                    tile.Width = columns;
                    tile.First = column == 0;
                    tile.Last = column + columns == Width;
                    float* kept = sums;
                    for (int m = block; m < end; m += RowTile.MaxRows)
                    {
                        int rows = Math.Min(RowTile.MaxRows, end - m);
                        for (int row = 0; row < live; row += RowTile.WeightRows, kept += RowTile.SumFloats)
                        {
                            int row1 = Math.Min(row + 1, live - 1), row2 = Math.Min(row + 2, live - 1), row3 = Math.Min(row + 3, live - 1);
                            tile.SetResults(Y + first, row, row1, row2, row3);
                            if (TTiles.Widens)
                            {
                                tile.SetWeights((byte*)widened, columns * sizeof(float), row, row1, row2, row3);
                                Tiles.MultiplyWidened(tile, x + m * XStride, rows, m, kept);
                            }
                            else
                            {
                                tile.SetWeights(weights, RowBytes, row, row1, row2, row3);
                                Tiles.Multiply(tile, x + m * XStride, rows, m, kept);
                            }
                        }
                    }
                }
            }
        }
    }
}
