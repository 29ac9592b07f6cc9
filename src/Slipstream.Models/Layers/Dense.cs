using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>A matrix product with an optional bias: <c>y = x · Wᵀ + b</c>.</summary>
internal sealed class Dense(Linear weight, float[]? bias)
{
    public int OutFeatures => weight.OutFeatures;

    /// <summary>Multiplies the rows of <paramref name="x"/>.</summary>
    /// <param name="x"><c>[rows, in]</c>.</param>
    /// <param name="y"><c>[rows, out]</c>, overwritten.</param>
    /// <param name="pool">The threads to use.</param>
    /// <param name="exact">Whether to use the activations as 32-bit floats whatever their precision says.</param>
    public void Multiply(Activations x, Matrix y, ComputePool pool, bool exact = false)
    {
        weight.Multiply(x, y, pool, exact);
        if (bias is not null) AddBias.Apply(y, bias);
    }
}
