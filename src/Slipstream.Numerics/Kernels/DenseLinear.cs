using System.Runtime.InteropServices;

namespace Slipstream.Numerics.Kernels;

/// <summary>A layer whose weights lie in memory as 32-bit floats, row after row; products read them where they lie.</summary>
internal sealed unsafe class DenseLinear(ByteRegion data, int outFeatures, int inFeatures, NativeBuffer<float>? owned) : Linear(outFeatures, inFeatures)
{
    public override string Format => "F32";

    public override long Bytes => data.Length;

    public override void Multiply(Activations x, Matrix y, ComputePool pool, bool exact = false)
    {
        CheckShapes(x, y);
        // SAFETY: the region was checked against the shape on creation.
        FloatProduct.Run(new Rows((float*)data.Pointer, InFeatures), OutFeatures, x.FloatPointer, Activations.PadFloats(InFeatures), x, y, pool);
    }

    public override void ReadRow(int row, Span<float> destination)
    {
        CheckRow(row, destination);
        MemoryMarshal.Cast<byte, float>(data.Span((long)row * InFeatures * sizeof(float), InFeatures * sizeof(float))).CopyTo(destination);
    }

    public override void Dispose()
    {
        owned?.Dispose();
        base.Dispose();
    }

    private readonly struct Rows(float* weights, int width) : IFloatRows
    {
        public long RowBytes => (long)width * sizeof(float);

        // SAFETY: row < OutFeatures; the scratch has room for a padded row.
        public float* Read(int row, float* scratch)
        {
            float* source = weights + (long)row * width;
            int padded = Activations.PadFloats(width);
            if (padded == width) return source;
            new ReadOnlySpan<float>(source, width).CopyTo(new Span<float>(scratch, width));
            new Span<float>(scratch + width, padded - width).Clear();
            return scratch;
        }
    }
}
