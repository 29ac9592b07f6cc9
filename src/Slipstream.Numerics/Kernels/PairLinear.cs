using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <summary>A layer of bfloat16 weights, packed for products with activations that are rounded to bfloat16 too.</summary>
internal sealed unsafe class PairLinear : PackedLinear
{
    private PairLinear(int outFeatures, int inFeatures, WeightArena? arena) : base(BF16.Name, PairLayout.GroupBytes(inFeatures), outFeatures, inFeatures, arena)
    {
    }

    public override PackedKernels? EmittedFor(Activations x, PackedLayers job)
    {
        if (x.Precision != ActivationPrecision.Bf16) throw new InvalidOperationException($"These weights were packed for activations of bfloat16, not for {x.Precision}.");
        if (x.UsesAmx && InFeatures % AmxPairKernels.Columns == 0) return AmxPairKernels.Instance;
        return x.UsesEmitted && EmissionSupport.HasBf16 ? PairProductKernels.Instance : null;
    }

    public override delegate*<in PackedCall, int, void> Kernel => &PairTile.Multiply;

    public override int KernelRows => PairTile.Rows;

    public override int Blocks => PairLayout.Steps(InFeatures);

    public override int CachedBytes => 768 << 10;

    /// <summary>Packs rows of bfloat16; their pages are let go of afterwards.</summary>
    /// <param name="data">The rows one after another.</param>
    /// <param name="outFeatures">Rows of W.</param>
    /// <param name="inFeatures">Columns of W.</param>
    /// <param name="pool">The threads to pack on.</param>
    /// <param name="arena">Where the packed weights go, which then must outlive the layer; null for memory of its own.</param>
    public static PairLinear Create(ByteRegion data, int outFeatures, int inFeatures, ComputePool pool, WeightArena? arena)
    {
        PairLinear packed = new(outFeatures, inFeatures, arena);
        PackJob job = new() { Source = data.Pointer, Target = packed };
        pool.For(ref job, packed.Groups);
        data.Discard();
        return packed;
    }

    public override (int Rows, nint Bytes) Tile(PackedKernels? kernels) => (1, RoundedRows.RowBytes(InFeatures, asFloats: kernels is null));

    public override byte* FormOf(Activations x, ComputePool pool, bool exact, int zero, PackedKernels? kernels) => kernels is not null ? x.Rounded(pool) : (byte*)x.RoundedFloats(pool);

    public override byte* FormBy(Activations x, int worker, bool exact, int zero, PackedKernels? kernels, StageClock? clock) => x.RoundedBy(worker, asFloats: kernels is null, clock);

    public override NextForm? ReserveNext(Activations x, int rows)
        => InFeatures % NextForm.Columns == 0 && EmittedFor(x, new(this)) is { } kernels ? new NextForm(x.ReserveNextRounded(InFeatures), Tile(kernels).Bytes, 0, &RoundedRows.Write) : null;

    private protected override void ReadRow(byte* group, int row, Span<float> destination) => PairLayout.ReadRow(group, row, destination);

    private struct PackJob : IRangeJob
    {
        public byte* Source;
        public PairLinear Target;

        public readonly void Execute(int from, int to, int worker)
        {
            // SAFETY: the region's length was checked against the shape.
            for (int group = from; group < to; group++)
            {
                long first = (long)group * PackedLayout.Rows;
                int live = (int)Math.Min(PackedLayout.Rows, Target.OutFeatures - first);
                PairLayout.Pack(Source + first * Target.InFeatures * sizeof(ushort), live, Target.InFeatures, Target.Pointer + group * Target.GroupBytes);
            }
        }
    }
}
