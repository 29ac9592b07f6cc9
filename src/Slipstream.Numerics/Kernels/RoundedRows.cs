namespace Slipstream.Numerics.Kernels;

/// <summary>Rows of activations rounded to bfloat16, nearest, ties to even: as the 16 bits, or as the floats they stand for in the order of <see cref="PairProduct"/>.</summary>
/// <param name="asFloats">Whether as floats.</param>
internal sealed unsafe class RoundedRows(bool asFloats) : IDisposable
{
    private NativeBuffer<byte>? _rows;

    /// <summary>The first row, each followed by zeros up to <see cref="PairProduct.Pad"/> of the width. Rows begin <see cref="RowBytes"/> apart.</summary>
    // SAFETY: valid until this is disposed; kernels read within the rows rounded last.
    public byte* Pointer => _rows!.Pointer;

    /// <summary>Which set of activations this is the form of, as its owner counts them.</summary>
    public long Set { get; set; } = -1;

    /// <summary>Bytes from a row to the next. Those of bits are an odd number of lines, so that rows that are read together do not share the same few places of a cache.</summary>
    public static nint RowBytes(int width, bool asFloats) => asFloats ? (nint)PairProduct.Pad(width) * sizeof(float) : (PairProduct.Pad(width) * sizeof(ushort) / Lines.Bytes | 1) * Lines.Bytes;

    /// <summary>Makes room for rows of bits that others write block by block (<see cref="Write"/>).</summary>
    public byte* Reserve(int capacity, int width) => NativeBuffer<byte>.Reserve(ref _rows, capacity * (long)RowBytes(width, asFloats));

    /// <summary>Rounds a block of rows of bits.</summary>
    // SAFETY: as NextForm says.
    public static void Write(in NextForm form, in NextBlock block)
    {
        const int Half = NextForm.Columns / 2;
        float* x = block.X;
        byte* to = form.Pointer + block.FirstRow * form.TileBytes + block.Index * NextForm.Columns * sizeof(ushort);
        for (int row = 0; row < block.Rows; row++, x += Half, to += form.TileBytes)
        {
            BF16.Encode(new ReadOnlySpan<float>(x, Half), new Span<byte>(to, Half * sizeof(ushort)));
            BF16.Encode(new ReadOnlySpan<float>(x + block.HalfStride, Half), new Span<byte>(to + Half * sizeof(ushort), Half * sizeof(ushort)));
        }
    }

    /// <summary>Rounds every row of <paramref name="source"/>.</summary>
    /// <param name="source">The rows.</param>
    /// <param name="capacity">Rows of that width to make room for.</param>
    /// <param name="pool">The threads to use; null for this one.</param>
    public void Round(Matrix source, int capacity, ComputePool? pool)
    {
        nint stride = RowBytes(source.Columns, asFloats);
        Reserve(capacity, source.Columns);
        if (source.Rows == 0) return;
        // SAFETY: the source is pinned until every range has run; the target holds all rows of the padded width.
        fixed (float* x = source.Data)
        {
            Job job = new() { Source = x, Target = _rows!.Pointer, TargetStride = stride, AsFloats = asFloats, Columns = source.Columns, Stride = source.Stride };
            if (pool is null) job.Execute(0, source.Rows, 0);
            else pool.For(ref job, source.Rows);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _rows?.Dispose();

    private struct Job : IRangeJob
    {
        public float* Source;
        public byte* Target;
        public bool AsFloats;
        public int Columns, Stride;
        public nint TargetStride;

        public readonly void Execute(int from, int to, int worker)
        {
            int padded = PairProduct.Pad(Columns), bits = padded * sizeof(ushort);
            for (int row = from; row < to; row++)
            {
                ReadOnlySpan<float> source = new(Source + (nint)row * Stride, Columns);
                byte* target = Target + row * TargetStride;
                // Either way the bits come first; as floats they take the upper half of the room, which their floats overwrite last.
                Span<byte> rounded = new(AsFloats ? target + bits : target, bits);
                BF16.Encode(source, rounded[..(Columns * sizeof(ushort))]);
                rounded[(Columns * sizeof(ushort))..].Clear();
                if (AsFloats) PairProduct.Widen(rounded, new Span<float>(target, padded));
            }
        }
    }
}
