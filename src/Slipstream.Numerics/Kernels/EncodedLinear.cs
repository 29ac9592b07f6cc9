namespace Slipstream.Numerics.Kernels;

/// <summary>A layer over encoded rows that are decoded to floats as products read them.</summary>
internal unsafe class EncodedLinear<TFormat>(ByteRegion data, int outFeatures, int inFeatures) : Linear(outFeatures, inFeatures) where TFormat : IWeightFormat
{
    public sealed override string Format => TFormat.Name;

    public sealed override long Bytes => Data.Length;

    private protected ByteRegion Data => data;

    /// <summary>Bytes of one row.</summary>
    private protected int RowBytes { get; } = checked((int)((long)inFeatures / TFormat.BlockLength * TFormat.BlockBytes));

    public override void Multiply(Activations x, Matrix y, ComputePool pool, bool exact = false)
    {
        CheckShapes(x, y);
        // SAFETY: the activations hold as many rows of this width as y.
        FloatProduct.Run(new Rows(data, RowBytes, InFeatures), OutFeatures, x.FloatPointer, Activations.PadFloats(InFeatures), x, y, pool);
    }

    public sealed override void ReadRow(int row, Span<float> destination)
    {
        CheckRow(row, destination);
        TFormat.Decode(data.Span((long)row * RowBytes, RowBytes), destination[..InFeatures]);
    }

    private readonly struct Rows(ByteRegion data, int rowBytes, int width) : IFloatRows
    {
        public long RowBytes => rowBytes;

        public float* Read(int row, float* scratch)
        {
            // SAFETY: the scratch has room for a padded row.
            TFormat.Decode(data.Span((long)row * rowBytes, rowBytes), new Span<float>(scratch, width));
            int padded = Activations.PadFloats(width);
            if (padded != width) new Span<float>(scratch + width, padded - width).Clear();
            return scratch;
        }
    }
}
