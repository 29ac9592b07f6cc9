namespace Slipstream.Numerics;

/// <summary>How activations enter a matrix product.</summary>
public enum ActivationPrecision
{
    /// <summary><see cref="Int8"/> for block formats, <see cref="F32"/> for the others.</summary>
    Auto,

    /// <summary>32-bit floats; quantised weights are decoded first.</summary>
    F32,

    /// <summary>8-bit integers in groups of 32 with one scale each; only for block formats, others take <see cref="F32"/>.</summary>
    Int8,
}

/// <summary>A dense layer's weights, whatever their encoding: <c>y = x · Wᵀ</c>, W is <c>[OutFeatures, InFeatures]</c>.</summary>
/// <remarks>One element of y has one order of accumulation for every number of rows and threads, so row results do not depend on the batch.</remarks>
public abstract class Linear
{
    private protected Linear(int outFeatures, int inFeatures)
    {
        OutFeatures = outFeatures;
        InFeatures = inFeatures;
    }

    /// <summary>Rows of W.</summary>
    public int OutFeatures { get; }

    /// <summary>Columns of W.</summary>
    public int InFeatures { get; }

    /// <summary>The name of the encoding.</summary>
    public abstract string Format { get; }

    /// <summary>Bytes of the encoded weights.</summary>
    public abstract long Bytes { get; }

    /// <summary>Multiplies every row of <paramref name="x"/>; each weight is read once for all rows.</summary>
    /// <param name="x"><c>[rows, InFeatures]</c>.</param>
    /// <param name="y"><c>[rows, OutFeatures]</c>, overwritten.</param>
    /// <param name="pool">The threads to use.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public abstract void Multiply(Activations x, Matrix y, ComputePool pool);

    /// <summary>Decodes row <paramref name="row"/> of W, as an embedding look-up does.</summary>
    /// <param name="row">0 to <see cref="OutFeatures"/> − 1.</param>
    /// <param name="destination"><c>[InFeatures]</c>.</param>
    public abstract void ReadRow(int row, Span<float> destination);
}
