namespace Slipstream.Numerics.Kernels;

/// <summary>Rows of activations rounded to bfloat16, nearest, ties to even: as the 16 bits, or as the floats they stand for in the order of <see cref="PairProduct"/>.</summary>
internal sealed unsafe class RoundedRows : IDisposable
{
    private readonly NativeBuffer<byte> _rows;
    private readonly bool _asFloats;

    /// <summary>Reserves room for <paramref name="maxRows"/> rows of at most <paramref name="maxWidth"/>.</summary>
    public RoundedRows(int maxRows, int maxWidth, bool asFloats)
    {
        _asFloats = asFloats;
        _rows = new NativeBuffer<byte>((long)maxRows * PairProduct.Pad(maxWidth) * (asFloats ? sizeof(float) : sizeof(ushort)));
    }

    /// <summary>The first row; they begin <see cref="PairProduct.Pad"/> of the width apart, with zeros between.</summary>
    // SAFETY: valid until this is disposed; kernels read within the rows rounded last.
    public byte* Pointer => _rows.Pointer;

    /// <summary>Rounds every row of <paramref name="source"/>.</summary>
    public void Round(Matrix source, ComputePool pool)
    {
        if (source.Rows == 0) return;
        // SAFETY: the source is pinned until every range has run; the target holds all rows of the padded width.
        fixed (float* x = source.Data)
        {
            Job job = new() { Source = x, Target = _rows.Pointer, AsFloats = _asFloats, Columns = source.Columns, Stride = source.Stride };
            pool.For(ref job, source.Rows);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _rows.Dispose();

    private struct Job : IRangeJob
    {
        public float* Source;
        public byte* Target;
        public bool AsFloats;
        public int Columns, Stride;

        public readonly void Execute(int from, int to, int worker)
        {
            int padded = PairProduct.Pad(Columns);
            for (int row = from; row < to; row++)
            {
                ReadOnlySpan<float> source = new(Source + (nint)row * Stride, Columns);
                // Either way the bits come first; as floats they take the upper half of the room, which their floats overwrite last.
                Span<byte> target = AsFloats
                    ? new(Target + (nint)row * padded * sizeof(float) + padded * sizeof(ushort), padded * sizeof(ushort))
                    : new(Target + (nint)row * padded * sizeof(ushort), padded * sizeof(ushort));
                BF16.Encode(source, target[..(Columns * sizeof(ushort))]);
                target[(Columns * sizeof(ushort))..].Clear();
                if (AsFloats) PairProduct.Widen(target, new Span<float>(Target + (nint)row * padded * sizeof(float), padded));
            }
        }
    }
}
