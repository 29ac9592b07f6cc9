using Slipstream.Numerics.Kernels;

namespace Slipstream.Numerics;

/// <summary>Two or three layers that multiply the same activations, such as queries, keys and values, or gate and up: in one parallel job where their formats allow.</summary>
/// <remarks>The layers stay their owners'. Results are those of one layer at a time, bit for bit.</remarks>
public sealed class LinearGroup
{
    private readonly Linear[] _layers;
    private readonly PackedLayers? _packed;

    /// <summary>Groups layers.</summary>
    /// <exception cref="ArgumentException">There are not two or three, or their input widths differ.</exception>
    public LinearGroup(params Linear[] layers)
    {
        ArgumentNullException.ThrowIfNull(layers);
        if (layers.Length is not (2 or 3)) throw new ArgumentException($"A group is two or three layers, not {layers.Length}.", nameof(layers));
        foreach (Linear layer in layers)
            if (layer.InFeatures != layers[0].InFeatures) throw new ArgumentException($"Layers of {layers[0].InFeatures} and {layer.InFeatures} inputs cannot share activations.", nameof(layers));
        _layers = layers;
        if (layers[0] is PackedLinear first && layers[1] is PackedLinear second && (layers.Length == 2 || layers[2] is PackedLinear)
            && new PackedLayers(first, second, layers.Length == 2 ? null : (PackedLinear)layers[2]) is { FitTogether: true } together) _packed = together;
    }

    /// <summary>Multiplies every row of <paramref name="x"/> by each layer.</summary>
    /// <param name="x"><c>[rows, InFeatures]</c>.</param>
    /// <param name="first">The first layer's result, <c>[rows, OutFeatures]</c>, overwritten.</param>
    /// <param name="second">The second layer's.</param>
    /// <param name="third">The third layer's; empty for a group of two.</param>
    /// <param name="pool">The threads to use.</param>
    /// <param name="exactFrom">The first layer (0, 1, 2; 3 for none) from which on products are exact, as for <see cref="Linear.Multiply"/>.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public void Multiply(Activations x, Matrix first, Matrix second, Matrix third, ComputePool pool, int exactFrom = 3)
    {
        if (_packed is { } packed)
        {
            packed.First.CheckShapes(x, first);
            packed.Second!.CheckShapes(x, second);
            packed.Third?.CheckShapes(x, third);
            PackedProduct.Run(packed, x, first, second, third, pool, exactFrom);
            return;
        }
        _layers[0].Multiply(x, first, pool, exactFrom <= 0);
        _layers[1].Multiply(x, second, pool, exactFrom <= 1);
        if (_layers.Length == 3) _layers[2].Multiply(x, third, pool, exactFrom <= 2);
    }

    /// <summary>Whether <see cref="MultiplyAndCombine"/> can be asked for: two layers in one job, of as many outputs.</summary>
    internal bool CanCombine => _packed is { Third: null } packed && packed.First.OutFeatures == packed.Second!.OutFeatures;

    /// <summary>
    /// Multiplies every row of <paramref name="x"/> by two layers, and makes of the results the rows of <paramref name="x"/> for another layer, in one job: the two halves of a gated feed-forward part.
    /// </summary>
    /// <param name="x"><c>[rows, InFeatures]</c>; afterwards <c>[rows, OutFeatures]</c>, where that layer takes it in the form it will multiply.</param>
    /// <param name="first">Room for the first layer's result, <c>[rows, OutFeatures]</c>, overwritten: with the combined rows where they do not go into that form at once.</param>
    /// <param name="second">Room for the second layer's result, <c>[rows, OutFeatures]</c>, overwritten.</param>
    /// <param name="combine">Makes the results of any piece of a row; the third span is the first.</param>
    /// <param name="next">What multiplies the results.</param>
    /// <param name="pool">The threads to use.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    /// <exception cref="InvalidOperationException"><see cref="CanCombine"/> is false.</exception>
    internal void MultiplyAndCombine(Activations x, Matrix first, Matrix second, Combination combine, Linear next, ComputePool pool)
    {
        if (!CanCombine) throw new InvalidOperationException("These layers cannot be combined in one job.");
        _packed!.Value.First.CheckShapes(x, first);
        _packed.Value.Second!.CheckShapes(x, second);
        if (next.InFeatures != first.Columns) throw new ArgumentException($"Results of {first.Columns} columns are no inputs of a layer of {next.InFeatures}.", nameof(next));
        NextForm? form = x.Rows > Activations.MostOwnRows && next is PackedLinear packed ? packed.ReserveNext(x, x.Rows) : null;
        PackedProduct.Run(_packed.Value, x, first, second, default, pool, exactFrom: 3, combine, form);
        if (form is null) x.Use(first);
        else x.UseNext(x.Rows, first.Columns, next is PairLinear);
    }
}
