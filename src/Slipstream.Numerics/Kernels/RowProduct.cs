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

    /// <summary>Multiplies the tiles of a chunk, as <see cref="RowTile"/> says; <paramref name="results"/> has room for <see cref="RowChunk.ResultFloats"/>.</summary>
    void Multiply(in RowChunk chunk, byte* x, int rows, nint row, float* sums, float* results);

    /// <summary>Multiplies tiles of widened weights.</summary>
    void MultiplyWidened(in RowChunk chunk, byte* x, int rows, nint row, float* sums);

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
    public void Multiply(in RowChunk chunk, byte* x, int rows, nint row, float* sums, float* results) => RowTile.Multiply<TWeights>(chunk, x, rows, row, sums);

    public void MultiplyWidened(in RowChunk chunk, byte* x, int rows, nint row, float* sums) => RowTile.Multiply<WidenedWeights>(chunk, x, rows, row, sums);

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

    // Activations that are few enough to stay in the second-level cache while weights stream by, and bytes of a range of a row of which six stay in the first.
    private const int FewActivations = 128 << 10, RangeBytes = 4096;

    // Bytes of weights that meet all rows of activations in turn.
    private const int ChunkBytes = 128 << 10;

    // Widening is shared by the tiles of a panel, not by those of a stream.
    private const int FewCostlyRows = 4 * RowTile.MaxRows;

    /// <summary>Whether this machine has the registers the tiles are made for, and the rows whole vectors.</summary>
    public static bool Fits(int width) => width % Lanes.Count == 0 && Avx512BW.IsSupported;

    /// <summary>Computes <c>y = x · Wᵀ</c>, in parallel over the rows of W.</summary>
    /// <param name="kernels">The kernels.</param>
    /// <param name="weights">The rows of W, without gaps.</param>
    /// <param name="outFeatures">Rows of W.</param>
    /// <param name="x">As many rows of activations as y has, without gaps.</param>
    /// <param name="width">Columns, whole vectors of the kernels.</param>
    /// <param name="y"><c>[rows, outFeatures]</c>.</param>
    /// <param name="scratch">Where working memory comes from.</param>
    /// <param name="pool">The threads.</param>
    public static void Run<TTiles>(TTiles kernels, ByteRegion weights, int outFeatures, void* x, int width, Matrix y, Activations scratch, ComputePool pool) where TTiles : struct, IRowTiles
    {
        if (y.Rows == 0) return;
        bool few = TTiles.Widens ? y.Rows <= FewCostlyRows : y.Rows <= RowTile.MaxRows || (long)y.Rows * width <= FewActivations;
        // As even as whole vectors of either kind allow.
        int ranges = (width * TTiles.ActivationBytes + RangeBytes - 1) / RangeBytes, range = ((width + ranges - 1) / ranges + 31) & ~31;
        int tiles = y.Rows <= RowTile.MaxRows ? RowChunk.MaxTiles : (int)Math.Clamp(ChunkBytes / (RowTile.WeightRows * (long)width * TTiles.WeightBytes), 1, RowChunk.MaxTiles);
        long widened = few || !TTiles.Widens ? 0 : (long)PanelRows * range, sums = few || range >= width ? 0 : (long)PanelRows * BlockRows * Lanes.Count;
        // SAFETY: y is pinned until every range has run; the scratch has room for one panel a worker; x holds as many rows as y.
        fixed (float* results = y.Data)
        {
            Job<TTiles> job = new()
            {
                Tiles = kernels,
                ChunkTiles = tiles,
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
                Scratch = (float*)scratch.Scratch(pool.Threads, (RowChunk.ResultFloats + widened + sums) * sizeof(float)),
                WidenedFloats = (nint)widened,
                ScratchFloats = (nint)(RowChunk.ResultFloats + widened + sums),
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
        public int XRows, Width, Range, ChunkTiles;
        public bool IsFew;
        public ComputeCounters Counters;

        public readonly void Execute(int from, int to, int worker)
        {
            float* scratch = Scratch + worker * ScratchFloats;
            if (IsFew) Streams(from, to, scratch);
            else
                for (int row = from; row < to; row += PanelRows)
                    Panel(row, Math.Min(PanelRows, to - row), scratch);
            Counters.AddWeights(worker, (to - from) * RowBytes);
        }

        private readonly void Streams(int from, int to, float* results)
        {
            RowChunk chunk = new() { XStride = XStride, YStride = YStride, Width = Width, First = true, Last = true };
            int length = (to - from) / RowTile.WeightRows;
            for (int i = 0; i < length; i += ChunkTiles)
            {
                chunk.SetStreams(Weights, RowBytes, from + i, length, Math.Min(ChunkTiles, length - i), Y);
                AllRows(chunk, results);
            }
            if (from + RowTile.WeightRows * length == to) return;
            chunk.SetLast(Weights, RowBytes, from + RowTile.WeightRows * length, to - 1, Y);
            AllRows(chunk, results);
        }

        private readonly void AllRows(in RowChunk chunk, float* results)
        {
            for (int m = 0; m < XRows; m += RowTile.MaxRows)
                Tiles.Multiply(chunk, X + m * XStride, Math.Min(RowTile.MaxRows, XRows - m), m, null, results);
        }

        private readonly void Panel(int first, int live, float* results)
        {
            float* widened = results + RowChunk.ResultFloats, sums = widened + WidenedFloats;
            int whole = live / RowTile.WeightRows, rest = live % RowTile.WeightRows, panelTiles = whole + (rest == 0 ? 0 : 1);
            RowChunk chunk = new() { XStride = XStride, YStride = YStride };
            for (int block = 0; block < XRows; block += BlockRows)
            {
                int end = Math.Min(XRows, block + BlockRows);
                for (int column = 0; column < Width; column += Range)
                {
                    int columns = Math.Min(Range, Width - column);
                    byte* weights = Weights + first * RowBytes + (nint)column * TTiles.WeightBytes;
                    nint rowBytes = RowBytes;
                    if (TTiles.Widens)
                    {
                        for (int row = 0; row < live; row++) Tiles.Widen(weights + row * RowBytes, columns, widened + row * columns);
                        weights = (byte*)widened;
                        rowBytes = columns * sizeof(float);
                    }
                    chunk.Width = columns;
                    chunk.First = column == 0;
                    chunk.Last = column + columns == Width;
                    float* kept = sums;
                    for (int m = block; m < end; m += RowTile.MaxRows, kept += panelTiles * RowTile.SumFloats)
                    {
                        byte* x = X + m * XStride + (nint)column * TTiles.ActivationBytes;
                        int rows = Math.Min(RowTile.MaxRows, end - m);
                        if (whole != 0)
                        {
                            chunk.SetNeighbours(weights, rowBytes, 0, whole, Y + first);
                            Multiply(chunk, x, rows, m, kept, results);
                        }
                        if (rest == 0) continue;
                        chunk.SetLast(weights, rowBytes, RowTile.WeightRows * whole, live - 1, Y + first);
                        Multiply(chunk, x, rows, m, kept + whole * RowTile.SumFloats, results);
                    }
                }
            }
        }

        private readonly void Multiply(in RowChunk chunk, byte* x, int rows, nint row, float* sums, float* results)
        {
            if (TTiles.Widens) Tiles.MultiplyWidened(chunk, x, rows, row, sums);
            else Tiles.Multiply(chunk, x, rows, row, sums, results);
        }
    }
}
