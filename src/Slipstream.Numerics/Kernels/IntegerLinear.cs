using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <summary>A layer of a block format, packed for integer products.</summary>
internal sealed unsafe class IntegerLinear : PackedLinear
{
    private readonly PackedLayout _layout;
    private IntegerKernels? _emitted;
    private AmxIntegerKernels? _amx;
    private AmxFewRowsKernels? _amxFewRows;

    private IntegerLinear(string format, PackedLayout layout, delegate*<in PackedCall, int, void> kernel, int outFeatures, int inFeatures, WeightArena? arena)
        : base(format, layout.BytesOf(inFeatures), outFeatures, inFeatures, arena)
    {
        _layout = layout;
        Kernel = kernel;
        TakesFewRows = AmxFewRowsKernels.Take(layout, inFeatures);
    }

    public override delegate*<in PackedCall, int, void> Kernel { get; }

    // Found once: products come here many times a token.
    public override PackedKernels? EmittedFor(Activations x, PackedLayers job)
    {
        if (x.UsesAmx && x.Rows >= (job.HaveBytes || InFeatures < AmxFewRowsKernels.LeastColumns ? AmxIntegerKernels.LeastRowsElse : AmxIntegerKernels.LeastRows)) return _amx ??= AmxIntegerKernels.Of(_layout);
        if (x.UsesAmx && x.Rows is >= AmxFewRowsKernels.LeastRows and <= AmxFewRowsKernels.MostRows && job.TakeFewRows) return _amxFewRows ??= AmxFewRowsKernels.Of(_layout);
        return x.UsesEmitted && EmissionSupport.HasVnni512 ? _emitted ??= IntegerKernels.Of(_layout) : null;
    }

    public override bool TakesFewRows { get; }

    public override bool HasBytes => _layout.LowBits == 8;

    public override int Blocks => InFeatures / _layout.BlockLength;

    public override int Zero => _layout.Zero;

    public override bool HasExactForm => true;

    public override int KernelRows => QuantizedRows.TileRows;

    public override int CachedBytes => 384 << 10;

    /// <summary>Packs encoded rows; their pages are let go of afterwards.</summary>
    /// <param name="data">The rows one after another.</param>
    /// <param name="outFeatures">Rows of W.</param>
    /// <param name="inFeatures">Columns of W, whole blocks.</param>
    /// <param name="pool">The threads to pack on.</param>
    /// <param name="arena">Where the packed weights go, which then must outlive the layer; null for memory of its own.</param>
    public static IntegerLinear Create<TFormat>(ByteRegion data, int outFeatures, int inFeatures, ComputePool pool, WeightArena? arena) where TFormat : IIntegerFormat
    {
        IntegerLinear packed = new(TFormat.Name, PackedLayout.Of<TFormat>(), &PackedTile.Multiply<TFormat>, outFeatures, inFeatures, arena);
        long scratchBytes = Packer.ScratchBytes(inFeatures);
        using NativeBuffer<byte> scratch = new(pool.Threads * scratchBytes);
        PackJob<TFormat> job = new() { Source = data, RowBytes = data.Length / outFeatures, Target = packed, Scratch = scratch.Pointer, ScratchBytes = scratchBytes };
        pool.For(ref job, packed.Groups);
        data.Discard();
        return packed;
    }

    public override (int Rows, nint Bytes) Tile(PackedKernels? kernels)
        => kernels is AmxIntegerKernels or AmxFewRowsKernels ? (QuantizedTiles.TileRows, QuantizedTiles.TileBytes(InFeatures)) : (QuantizedRows.TileRows, QuantizedRows.TileBytes(InFeatures));

    public override byte* FormOf(Activations x, ComputePool pool, bool exact, int zero, PackedKernels? kernels)
        => kernels is AmxIntegerKernels or AmxFewRowsKernels ? x.Tiled(pool, exact) : x.Quantized(pool, exact, zero).Pointer;

    public override byte* FormBy(Activations x, int worker, bool exact, int zero, PackedKernels? kernels, StageClock? clock) => x.QuantizedBy(worker, exact, zero, clock);

    public override NextForm? ReserveNext(Activations x, int rows)
        => x.Precision == ActivationPrecision.Int16 ? null : new NextForm(x.ReserveNext(rows, InFeatures, Zero), QuantizedRows.TileBytes(InFeatures), Zero, &QuantizedRows.Write);

    private protected override void ReadRow(byte* group, int row, Span<float> destination) => Packer.ReadRow(group, _layout, row, destination);

    private struct PackJob<TFormat> : IRangeJob where TFormat : IIntegerFormat
    {
        public ByteRegion Source;
        public IntegerLinear Target;
        public byte* Scratch;
        public long RowBytes, ScratchBytes;

        public readonly void Execute(int from, int to, int worker)
        {
            // SAFETY: each group has its room in the target, and each worker its scratch.
            for (int group = from; group < to; group++)
            {
                int first = group * PackedLayout.Rows, live = Math.Min(PackedLayout.Rows, Target.OutFeatures - first);
                Packer.Pack<TFormat>(Source.Span(first * RowBytes, (int)(live * RowBytes)), live, Target.InFeatures, Target.Pointer + group * Target.GroupBytes, Scratch + worker * ScratchBytes);
            }
        }
    }
}
