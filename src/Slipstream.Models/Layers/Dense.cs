using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>A matrix product with an optional bias: <c>y = x · Wᵀ + b</c>.</summary>
internal sealed class Dense(Linear weight, float[]? bias)
{
    public int OutFeatures => weight.OutFeatures;

    /// <summary>The matrix.</summary>
    public Linear Weight => weight;

    /// <summary>Whether there is a bias.</summary>
    public bool HasBias => bias is not null;

    /// <summary>Multiplies the rows of <paramref name="x"/>.</summary>
    /// <param name="x"><c>[rows, in]</c>.</param>
    /// <param name="y"><c>[rows, out]</c>, overwritten.</param>
    /// <param name="pool">The threads to use.</param>
    /// <param name="exact">Whether to use the activations as exactly as the layer can.</param>
    public void Multiply(Activations x, Matrix y, ComputePool pool, bool exact = false)
    {
        weight.Multiply(x, y, pool, exact);
        AddBiasTo(y);
    }

    /// <summary>Adds the bias, if there is one, to a product made elsewhere.</summary>
    public void AddBiasTo(Matrix y)
    {
        if (bias is not null) AddBias.Apply(y, bias);
    }
}
