using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <summary>Up to three packed layers that multiply the same activations in one job: a fork and a join cost as much as a small product.</summary>
internal readonly record struct PackedLayers(PackedLinear First, PackedLinear? Second = null, PackedLinear? Third = null);

/// <summary>The product of quantised activations and packed weights, in parallel over groups of sixteen rows of W.</summary>
internal static unsafe class PackedProduct
{
    private const int GroupRows = PackedLayout.Rows, TileRows = QuantizedRows.TileRows;

    // Activations that are gone through for each group of weights: what stays in the second-level cache.
    private const int CachedBytes = 384 << 10;

    /// <summary>Computes <c>y = x · Wᵀ</c> for each layer; the outputs of layers that are null are empty.</summary>
    public static void Run(PackedLayers layers, Activations x, Matrix first, Matrix second, Matrix third, ComputePool pool, bool exact)
    {
        if (x.Rows == 0) return;
        exact |= x.Precision == ActivationPrecision.Int16;
        QuantizedRows quantized = x.Quantized(pool, exact);
        bool emitted = x.UsesEmitted && EmissionSupport.HasVnni512;
        // SAFETY: the outputs are pinned until every range has run; the quantised rows are as wide as the layers.
        fixed (float* y0 = first.Data)
        fixed (float* y1 = second.Data)
        fixed (float* y2 = third.Data)
        {
            nint tileBytes = QuantizedRows.TileBytes(layers.First.InFeatures);
            Job job = new()
            {
                X = quantized.Pointer,
                TileBytes = tileBytes,
                Rows = quantized.Rows,
                Exact = exact,
                Together = emitted ? PackedKernels.GroupsTogether(quantized.Rows) : 0,
                CachedTiles = (int)Math.Max(1, CachedBytes / tileBytes),
                Counters = pool.Counters,
            };
            job.Parts[0] = new Part(layers.First, y0, first.Stride, quantized.Rows, job.Together);
            if (layers.Second is { } two) job.Parts[1] = new Part(two, y1, second.Stride, quantized.Rows, job.Together);
            if (layers.Third is { } three) job.Parts[2] = new Part(three, y2, third.Stride, quantized.Rows, job.Together);
            pool.For(ref job, job.Parts[0].Groups + job.Parts[1].Groups + job.Parts[2].Groups, Math.Max(1, job.Together));
        }
    }

    /// <summary>One layer of a product: its weights, its output and its kernels: for whole tiles of activations and for the rows left, each for several groups of weights and for one.</summary>
    private readonly struct Part
    {
        public readonly byte* Packed;
        public readonly float* Y;
        public readonly nint GroupBytes, YStride, Blocks;
        public readonly int Groups, OutFeatures;
        public readonly delegate*<in PackedCall, int, void> Compiled;
        public readonly delegate* unmanaged<PackedCall*, void> Full, Rest, SingleFull, SingleRest;

        public Part(PackedLinear layer, float* y, int stride, int rows, int together)
        {
            Packed = layer.Pointer;
            Y = y;
            YStride = stride;
            GroupBytes = (nint)layer.GroupBytes;
            Blocks = layer.InFeatures / layer.Layout.BlockLength;
            (Groups, OutFeatures) = (layer.Groups, layer.OutFeatures);
            Compiled = layer.Kernel;
            if (together == 0) return;
            PackedKernels kernels = PackedKernels.Of(layer.Layout);
            if (rows >= TileRows)
            {
                Full = kernels.Entry(TileRows, together);
                SingleFull = kernels.Entry(TileRows, 1);
            }
            if (rows % TileRows != 0)
            {
                Rest = kernels.Entry(rows % TileRows, together);
                SingleRest = kernels.Entry(rows % TileRows, 1);
            }
        }
    }

    [InlineArray(3)]
    private struct ThreeParts
    {
        private Part _first;
    }

    private struct Job : IRangeJob
    {
        public ThreeParts Parts;
        public byte* X;
        public nint TileBytes;
        public int Rows, CachedTiles, Together;
        public bool Exact;
        public ComputeCounters Counters;

        public readonly void Execute(int from, int to, int worker)
        {
            // SAFETY: groups of the range lie in the packed weights, tiles in the quantised rows; results have room for what one call makes, and each output is as wide as its layer.
            float* results = stackalloc float[PackedKernels.MaxGroups * TileRows * GroupRows];
            for (int p = 0; p < 3 && to > 0; p++)
            {
                ref readonly Part part = ref Parts[p];
                int begin = Math.Max(0, from), end = Math.Min(to, part.Groups);
                if (begin < end)
                {
                    int each = Together > 1 ? (end - begin) / Together : 0;
                    if (each > 0) Multiply(in part, begin, each, Together, results);
                    Multiply(in part, begin + each * Together, end - begin - each * Together, 1, results);
                    Counters.AddWeights((end - begin) * (long)part.GroupBytes);
                }
                (from, to) = (from - part.Groups, to - part.Groups);
            }
        }

        // Weights in `streams` runs of `count` groups each, one group of every run at a time.
        private readonly void Multiply(in Part part, int from, int count, int streams, float* results)
        {
            int tiles = (Rows + TileRows - 1) / TileRows;
            PackedCall call = new() { Results = results, Blocks = part.Blocks, GroupStride = count * part.GroupBytes };
            for (int first = 0; first < tiles; first += CachedTiles)
                for (int group = from; group < from + count; group++)
                    for (int tile = first; tile < Math.Min(tiles, first + CachedTiles); tile++)
                    {
                        int rows = Math.Min(TileRows, Rows - tile * TileRows);
                        call.Weights = part.Packed + group * part.GroupBytes;
                        call.Activations = X + tile * TileBytes;
                        if (Together == 0) part.Compiled(in call, rows);
                        else if (rows == TileRows) (streams > 1 ? part.Full : part.SingleFull)(&call);
                        else (streams > 1 ? part.Rest : part.SingleRest)(&call);
                        for (int s = 0; s < streams; s++) Store(in part, results + s * rows * GroupRows, rows, group + s * count, tile);
                    }
        }

        private readonly void Store(in Part part, float* results, int rows, int group, int tile)
        {
            int each = Exact ? 2 : 1, live = Math.Min(GroupRows, part.OutFeatures - group * GroupRows);
            float* y = part.Y + tile * TileRows / each * part.YStride + group * GroupRows;
            for (int row = 0; row < rows; row += each, y += part.YStride, results += each * GroupRows)
            {
                Vector512<float> sums = Vector512.Load(results);
                if (Exact) sums += Vector512.Load(results + GroupRows);
                if (live == GroupRows) sums.Store(y);
                else
                    for (int i = 0; i < live; i++) y[i] = sums.GetElement(i);
            }
        }
    }
}
