using System.Runtime.CompilerServices;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>The kernels of one kind, for one to six rows of activations.</summary>
internal sealed unsafe class RowTileKernels(RowTileKind kind)
{
    private readonly EmittedKernel<RowTileArguments>[] _kernels = RowTileCode.Kernels(kind);

    public static RowTileKernels BF16ByF32 { get; } = new(RowTileKind.BF16ByF32);

    public static RowTileKernels F16ByF32 { get; } = new(RowTileKind.F16ByF32);

    /// <summary>The kernel of a number of rows.</summary>
    public delegate* unmanaged<RowTileArguments*, void> this[int rows] => _kernels[rows - 1].Entry;
}

/// <summary>Tiles by emitted kernels, for one product: those its rows need.</summary>
internal readonly unsafe struct EmittedTiles : IRowTiles
{
    private readonly delegate* unmanaged<RowTileArguments*, void> _full, _rest;

    /// <summary>Takes the kernels for tiles of six rows and for what <paramref name="rows"/> leave.</summary>
    public EmittedTiles(RowTileKernels kernels, int rows)
    {
        _full = rows >= RowTile.MaxRows ? kernels[RowTile.MaxRows] : null;
        _rest = rows % RowTile.MaxRows != 0 ? kernels[rows % RowTile.MaxRows] : null;
    }

    public static int WeightBytes => sizeof(ushort);

    public static int ActivationBytes => sizeof(float);

    public static bool Widens => false;

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public void Multiply(in RowChunk chunk, byte* x, int rows, nint row, float* sums, float* results)
    {
        // SAFETY: the chunk's rows, the activations, the sums and the room for results are the product's, which sized them for this.
        RowTileArguments arguments = new()
        {
            Row0 = chunk.Row0,
            Row1 = chunk.Row1,
            Row2 = chunk.Row2,
            Row3 = chunk.Row3,
            Advance = chunk.Advance,
            X = x,
            XStride = chunk.XStride,
            Width = chunk.Width,
            Taken = chunk.First ? null : sums,
            Kept = chunk.Last ? null : sums,
            Results = results,
            Count = chunk.Count,
        };
        (rows == RowTile.MaxRows ? _full : _rest)(&arguments);
        if (chunk.Last) chunk.Spread(results, RowTileCode.ResultRows(rows), rows, row);
    }

    public void MultiplyWidened(in RowChunk chunk, byte* x, int rows, nint row, float* sums) => throw new NotSupportedException();

    public void Widen(byte* weights, nint count, float* widened) => throw new NotSupportedException();
}
