namespace Slipstream.Numerics.Kernels;

/// <summary>Adds one bias to every row.</summary>
internal static class AddBias
{
    /// <summary><c>y[m, i] += bias[i]</c>. Has the bits of <see cref="AddInPlace"/> row by row.</summary>
    /// <exception cref="ArgumentException">The bias is not as long as a row.</exception>
    public static void Apply(Matrix y, ReadOnlySpan<float> bias)
    {
        if (bias.Length != y.Columns) Elementwise.ThrowLengths(bias.Length, y.Columns, y.Columns);
        for (int row = 0; row < y.Rows; row++) AddInPlace.Apply(y[row], bias);
    }
}
