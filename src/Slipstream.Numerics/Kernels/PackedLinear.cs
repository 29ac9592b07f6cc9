using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <summary>A layer whose weights were packed for integer products; it owns their memory, or an arena does.</summary>
internal sealed unsafe class PackedLinear : Linear
{
    private readonly NativeBuffer<byte>? _owned;
    private readonly ByteRegion _packed;
    private PackedKernels? _emitted;

    private PackedLinear(string format, PackedLayout layout, delegate*<in PackedCall, int, void> kernel, int outFeatures, int inFeatures, WeightArena? arena) : base(outFeatures, inFeatures)
    {
        Format = format;
        Layout = layout;
        Kernel = kernel;
        GroupBytes = layout.BytesOf(inFeatures);
        Groups = (outFeatures + PackedLayout.Rows - 1) / PackedLayout.Rows;
        _packed = arena is not null ? arena.Take(Groups * GroupBytes) : (_owned = new NativeBuffer<byte>(Groups * GroupBytes)).Region;
    }

    public override string Format { get; }

    public override long Bytes => _packed.Length;

    /// <summary>How the weights lie.</summary>
    public PackedLayout Layout { get; }

    /// <summary>The kernel of the format that needs no emitted code.</summary>
    public delegate*<in PackedCall, int, void> Kernel { get; }

    /// <summary>The emitted kernels of the layout, found once: products come here many times a token.</summary>
    public PackedKernels Emitted => _emitted ??= PackedKernels.Of(Layout);

    /// <summary>Groups of sixteen rows; the last may have fewer.</summary>
    public int Groups { get; }

    /// <summary>Bytes of a group.</summary>
    public long GroupBytes { get; }

    /// <summary>The first group.</summary>
    // SAFETY: valid until this is disposed; groups are GroupBytes apart.
    public byte* Pointer => _packed.Pointer;

    /// <summary>Packs encoded rows; their pages are let go of afterwards.</summary>
    /// <param name="data">The rows one after another.</param>
    /// <param name="outFeatures">Rows of W.</param>
    /// <param name="inFeatures">Columns of W, whole blocks.</param>
    /// <param name="pool">The threads to pack on.</param>
    /// <param name="arena">Where the packed weights go, which then must outlive the layer; null for memory of its own.</param>
    public static PackedLinear Create<TFormat>(ByteRegion data, int outFeatures, int inFeatures, ComputePool pool, WeightArena? arena) where TFormat : IIntegerFormat
    {
        PackedLinear packed = new(TFormat.Name, PackedLayout.Of<TFormat>(), &PackedTile.Multiply<TFormat>, outFeatures, inFeatures, arena);
        long scratchBytes = Packer.ScratchBytes(inFeatures);
        using NativeBuffer<byte> scratch = new(pool.Threads * scratchBytes);
        PackJob<TFormat> job = new() { Source = data, RowBytes = data.Length / outFeatures, Target = packed, Scratch = scratch.Pointer, ScratchBytes = scratchBytes };
        pool.For(ref job, packed.Groups);
        data.Discard();
        return packed;
    }

    public override void Multiply(Activations x, Matrix y, ComputePool pool, bool exact = false)
    {
        CheckShapes(x, y);
        PackedProduct.Run(new(this), x, y, default, default, pool, exact ? 0 : 1);
    }

    public override void ReadRow(int row, Span<float> destination)
    {
        CheckRow(row, destination);
        Packer.ReadRow(Pointer + row / PackedLayout.Rows * GroupBytes, Layout, row % PackedLayout.Rows, destination[..InFeatures]);
    }

    public override void Dispose()
    {
        _owned?.Dispose();
        base.Dispose();
    }

    private struct PackJob<TFormat> : IRangeJob where TFormat : IIntegerFormat
    {
        public ByteRegion Source;
        public PackedLinear Target;
        public byte* Scratch;
        public long RowBytes, ScratchBytes;

        public readonly void Execute(int from, int to, int worker)
        {
            for (int group = from; group < to; group++)
            {
                int first = group * PackedLayout.Rows, live = Math.Min(PackedLayout.Rows, Target.OutFeatures - first);
                Packer.Pack<TFormat>(Source.Span(first * RowBytes, (int)(live * RowBytes)), live, Target.InFeatures, Target.Pointer + group * Target.GroupBytes, Scratch + worker * ScratchBytes);
            }
        }
    }
}
