namespace Slipstream.Numerics.Kernels;

/// <summary>A layer over 16-bit floats, which products read where they lie.</summary>
internal sealed unsafe class HalfLinear<TFormat, TWeights>(ByteRegion data, int outFeatures, int inFeatures) : EncodedLinear<TFormat>(data, outFeatures, inFeatures)
    where TFormat : IWeightFormat
    where TWeights : IRowWeights
{
    public override void Multiply(Activations x, Matrix y, ComputePool pool, bool exact = false)
    {
        CheckShapes(x, y);
        // SAFETY: the region was checked against the shape on creation; the activations hold as many rows of this width as y.
        if (RowProduct.Fits(InFeatures)) RowProduct.Run(new CompiledTiles<TWeights>(), Data, OutFeatures, x.FloatPointer, InFeatures, y, x, pool);
        else base.Multiply(x, y, pool, exact);
    }
}
