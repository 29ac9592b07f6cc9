using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <summary>A layer over 16-bit floats, which products read where they lie.</summary>
internal sealed unsafe class HalfLinear<TFormat, TWeights>(ByteRegion data, int outFeatures, int inFeatures) : EncodedLinear<TFormat>(data, outFeatures, inFeatures)
    where TFormat : IWeightFormat
    where TWeights : IRowWeights
{
    public override void Multiply(Activations x, Matrix y, ComputePool pool, bool exact = false)
    {
        CheckShapes(x, y);
        // Who asks for bfloat16 gets it in every product: nothing finer is kept for queries, keys, values and the head, as where models are run in bfloat16 throughout.
        if (IsRough(Format, x.Precision)) MultiplyRounded(x, y, pool);
        else if (!RowProduct.Fits(InFeatures)) base.Multiply(x, y, pool, exact);
        // SAFETY: (all below) the region was checked against the shape on creation; the activations hold as many rows of this width as y, in every form.
        else if (typeof(TFormat) == typeof(F16) && x.UsesEmitted) Multiply(new EmittedTiles(RowTileKernels.F16ByF32, y.Rows), x.FloatPointer, x, y, pool);
        else Multiply(new CompiledTiles<TWeights>(), x.FloatPointer, x, y, pool);
    }

    private void MultiplyRounded(Activations x, Matrix y, ComputePool pool)
    {
        if (InFeatures % PairProduct.Step == 0 && RowProduct.Fits(InFeatures)) Multiply(new CompiledTiles<PairedBF16Weights>(), x.RoundedFloats(pool), x, y, pool);
        else FloatProduct.Run(new PairedRows(Data, RowBytes), OutFeatures, x.RoundedFloats(pool), PairProduct.Pad(InFeatures), x, y, pool);
    }

    private void Multiply<TTiles>(TTiles tiles, void* rows, Activations x, Matrix y, ComputePool pool) where TTiles : struct, IRowTiles
        => RowProduct.Run(tiles, Data, OutFeatures, rows, InFeatures, y, x, pool);

    // Weights in the order of PairProduct, for machines and widths the tiles are not made for.
    private readonly struct PairedRows(ByteRegion data, int rowBytes) : IFloatRows
    {
        public long RowBytes => rowBytes;

        public float* Read(int row, float* scratch)
        {
            // SAFETY: the scratch has room for a padded row; the bits take its second half, which their floats overwrite last.
            int padded = PairProduct.Pad(rowBytes / sizeof(ushort));
            Span<byte> bits = new((byte*)scratch + padded * sizeof(ushort), padded * sizeof(ushort));
            data.Span((long)row * rowBytes, rowBytes).CopyTo(bits);
            bits[rowBytes..].Clear();
            PairProduct.Widen(bits, new Span<float>(scratch, padded));
            return scratch;
        }
    }
}
