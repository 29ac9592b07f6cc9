namespace Slipstream.Numerics;

/// <summary>
/// Rows that enter matrix products, with their quantised form made once, on the first product that asks for it:
/// so Q, K, V, gate and up quantise once. Owned by one model; not for two threads at a time.
/// </summary>
public sealed class Activations : IDisposable
{
    private readonly NativeBuffer<float> _rows;
    private int _count, _width;

    /// <summary>Reserves room for <paramref name="maxRows"/> rows of at most <paramref name="maxWidth"/> floats.</summary>
    public Activations(int maxRows, int maxWidth, ActivationPrecision precision)
    {
        Precision = precision;
        _rows = new NativeBuffer<float>((long)maxRows * maxWidth);
    }

    /// <summary>The precision products use.</summary>
    public ActivationPrecision Precision { get; }

    /// <summary>Rows in use.</summary>
    public int Rows => _count;

    /// <summary>Floats in a row.</summary>
    public int Width => _width;

    /// <summary>Begins a new set of <paramref name="rows"/> rows of <paramref name="width"/> floats, to be written by the caller; quantised forms of the old set are forgotten.</summary>
    /// <returns><c>[rows, width]</c>, contents undefined.</returns>
    public Matrix Begin(int rows, int width)
    {
        _count = rows;
        _width = width;
        return Values;
    }

    /// <summary>The rows of the current set.</summary>
    public Matrix Values => new(_rows.Span(0, _count * _width), _count, _width);

    /// <inheritdoc/>
    public void Dispose() => _rows.Dispose();
}
