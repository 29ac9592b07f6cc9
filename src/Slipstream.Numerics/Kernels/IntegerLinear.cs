namespace Slipstream.Numerics.Kernels;

/// <summary>A layer over encoded rows with integer codes, which products may use as integers.</summary>
internal sealed unsafe class IntegerLinear<TFormat>(ByteRegion data, int outFeatures, int inFeatures) : EncodedLinear<TFormat>(data, outFeatures, inFeatures)
    where TFormat : IIntegerFormat
{
    public override void Multiply(Activations x, Matrix y, ComputePool pool, bool exact = false)
    {
        CheckShapes(x, y);
        if (exact || x.Precision == ActivationPrecision.F32 || InFeatures % QuantizedRows.Block != 0)
        {
            base.Multiply(x, y, pool, exact);
            return;
        }
        if (x.Rows == 0) return;
        QuantizedRows quantized = x.Quantized(pool);
        int records = QuantizedRows.Records(InFeatures), groups = InFeatures / TFormat.GroupLength;
        long scratchBytes = CodeBytes(InFeatures) + 2 * ScaleBytes(groups);
        // SAFETY: y is pinned until every range has run; the scratch has room for one tile a worker; the quantised rows are of this width.
        fixed (float* results = y.Data)
        {
            Job job = new()
            {
                Weights = Data,
                RowBytes = RowBytes,
                Width = InFeatures,
                Records = records,
                X = quantized.Pointer,
                Sums = quantized.Sums(TFormat.GroupLength),
                XRows = x.Rows,
                Y = results,
                YStride = y.Stride,
                Scratch = x.Scratch(pool.Threads, scratchBytes),
                ScratchBytes = (nint)scratchBytes,
                Counters = pool.Counters,
            };
            pool.For(ref job, OutFeatures, 2 * IntegerTile.WeightRows);
        }
    }

    // Room for four rows and for what a kernel may read beyond them, in whole cache lines.
    private static long CodeBytes(int width) => (IntegerTile.WeightRows * (long)width + QuantizedRows.RecordLength + 63) & ~63L;

    private static long ScaleBytes(int groups) => ((IntegerTile.WeightRows * (long)groups + Lanes.Count) * sizeof(float) + 63) & ~63L;

    private struct Job : IRangeJob
    {
        public ByteRegion Weights;
        public int RowBytes, Width, Records, XRows;
        public byte* X, Scratch;
        public float* Sums, Y;
        public nint YStride, ScratchBytes;
        public ComputeCounters Counters;

        public readonly void Execute(int from, int to, int worker)
        {
            UnpackedRows tile;
            tile.Groups = Width / TFormat.GroupLength;
            tile.Codes = Scratch + worker * ScratchBytes;
            tile.CodeStride = Width;
            tile.Scales = (float*)(tile.Codes + CodeBytes(Width));
            tile.Offsets = (float*)((byte*)tile.Scales + ScaleBytes(tile.Groups));
            for (int row = from; row < to; row += IntegerTile.WeightRows)
            {
                int live = Math.Min(IntegerTile.WeightRows, to - row), groups = live * tile.Groups;
                TFormat.Unpack(
                    Weights.Span((long)row * RowBytes, live * RowBytes),
                    new Span<byte>(tile.Codes, live * Width),
                    new Span<float>(tile.Scales, groups),
                    TFormat.HasOffsets ? new Span<float>(tile.Offsets, groups) : default);
                IntegerTile.Multiply<TFormat>(tile, live, X, Records, Sums, XRows, Y + row, YStride);
            }
            Counters.AddWeights((long)(to - from) * RowBytes);
        }
    }
}
