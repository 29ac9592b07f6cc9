using System.Runtime.CompilerServices;

namespace Slipstream.Numerics;

/// <summary>Row-major view of <c>[Rows, Columns]</c> floats whose rows begin <c>Stride</c> floats apart; it never owns memory.</summary>
public readonly ref struct Matrix
{
    /// <summary>Views <paramref name="data"/> as <paramref name="rows"/> rows of <paramref name="columns"/> floats, <paramref name="stride"/> floats apart (default: no gap).</summary>
    /// <exception cref="ArgumentException">The data is too short.</exception>
    public Matrix(Span<float> data, int rows, int columns, int stride = 0)
    {
        Stride = stride == 0 ? columns : stride;
        if (rows < 0 || columns < 0 || Stride < columns || (rows > 0 && (long)(rows - 1) * Stride + columns > data.Length))
            throw new ArgumentException($"{data.Length} floats do not hold {rows} rows of {columns} with a stride of {Stride}.", nameof(data));
        Data = data;
        Rows = rows;
        Columns = columns;
    }

    /// <summary>The floats behind the view, from the first row on.</summary>
    public Span<float> Data { get; }

    /// <summary>Number of rows.</summary>
    public int Rows { get; }

    /// <summary>Floats in a row.</summary>
    public int Columns { get; }

    /// <summary>Floats from the beginning of a row to the beginning of the next.</summary>
    public int Stride { get; }

    /// <summary>Row <paramref name="row"/>.</summary>
    public Span<float> this[int row]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Data.Slice(row * Stride, Columns);
    }

    /// <summary>The first <paramref name="rows"/> rows.</summary>
    public Matrix Top(int rows) => new(Data, rows, Columns, Stride);

    /// <summary><paramref name="count"/> rows from <paramref name="first"/> on.</summary>
    internal Matrix RowRange(int first, int count) => new(Data[(first * Stride)..], count, Columns, Stride);

    /// <summary><paramref name="count"/> columns from <paramref name="first"/> on, of every row.</summary>
    public Matrix ColumnRange(int first, int count) => new(Data[first..], Rows, count, Stride);
}
