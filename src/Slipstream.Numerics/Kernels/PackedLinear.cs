using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Numerics.Kernels;

/// <summary>A layer whose weights were packed in groups of sixteen rows of W, for <see cref="PackedProduct"/>; it owns their memory, or an arena does.</summary>
internal abstract unsafe class PackedLinear : Linear
{
    // More weights than this do not stay in a third-level cache from pass to pass.
    private const long CacheBytes = 32 << 20;

    private readonly NativeBuffer<byte>? _owned;
    private readonly WeightArena? _arena;
    private readonly ByteRegion _packed;

    private protected PackedLinear(string format, long groupBytes, int outFeatures, int inFeatures, WeightArena? arena) : base(outFeatures, inFeatures)
    {
        Format = format;
        GroupBytes = groupBytes;
        Groups = (outFeatures + PackedLayout.Rows - 1) / PackedLayout.Rows;
        _arena = arena;
        _packed = arena is not null ? arena.Take(Groups * GroupBytes) : (_owned = new NativeBuffer<byte>(Groups * GroupBytes)).Region;
    }

    public sealed override string Format { get; }

    public sealed override long Bytes => _packed.Length;

    /// <summary>Groups of sixteen rows; the last may have fewer.</summary>
    public int Groups { get; }

    /// <summary>Bytes of a group.</summary>
    public long GroupBytes { get; }

    /// <summary>The first group.</summary>
    // SAFETY: valid until this is disposed; groups are GroupBytes apart.
    public byte* Pointer => _packed.Pointer;

    /// <summary>How emitted kernels fetch weights that they come to: from memory, where these and those beside them are more than a cache holds.</summary>
    public int Fetch => (_arena?.Used ?? Bytes) > CacheBytes ? PackedKernels.FromMemory : PackedKernels.Ahead;

    /// <summary>The emitted kernels for a product with these activations; null where it takes the compiled one.</summary>
    /// <param name="x">The activations.</param>
    /// <param name="job">The layers of the job, which have kernels of one kind.</param>
    /// <exception cref="InvalidOperationException">The weights were packed for other activations.</exception>
    public abstract PackedKernels? EmittedFor(Activations x, PackedLayers job);

    /// <summary>The kernel that needs no emitted code.</summary>
    public abstract delegate*<in PackedCall, int, void> Kernel { get; }

    /// <summary>The most rows it takes.</summary>
    public abstract int KernelRows { get; }

    /// <summary>Blocks of a row, as kernels count them.</summary>
    public abstract int Blocks { get; }

    /// <summary>The code that stands for zero; 0 where weights are no codes.</summary>
    public virtual int Zero => 0;

    /// <summary>Whether codes are whole bytes, which take longest to become bfloat16 for the matrix unit.</summary>
    public virtual bool HasBytes => false;

    /// <summary>Whether the matrix unit pays for few rows too.</summary>
    public virtual bool TakesFewRows => false;

    /// <summary>Whether there is an exact form of activations, in which each row is two.</summary>
    public virtual bool HasExactForm => false;

    /// <summary>Rows of activations that lie together in a tile of the form that such kernels read, and bytes from a tile to the next.</summary>
    public abstract (int Rows, nint Bytes) Tile(PackedKernels? kernels);

    /// <summary>Bytes of activations that are gone through for each set of groups: what stays in the second-level cache beside it.</summary>
    public abstract int CachedBytes { get; }

    /// <summary>The form of activations that such kernels read, made by all threads.</summary>
    // SAFETY: (both) valid until the next set of activations.
    public abstract byte* FormOf(Activations x, ComputePool pool, bool exact, int zero, PackedKernels? kernels);

    /// <summary>The same, made by and for one thread.</summary>
    public abstract byte* FormBy(Activations x, int worker, bool exact, int zero, PackedKernels? kernels, StageClock? clock);

    /// <summary>Makes room for rows that another product writes as this layer will read them; null where that needs them as floats first.</summary>
    public abstract NextForm? ReserveNext(Activations x, int rows);

    public sealed override void Multiply(Activations x, Matrix y, ComputePool pool, bool exact = false)
    {
        CheckShapes(x, y);
        PackedProduct.Run(new(this), x, y, default, default, pool, exact ? 0 : 1);
    }

    public sealed override void ReadRow(int row, Span<float> destination)
    {
        CheckRow(row, destination);
        ReadRow(Pointer + row / PackedLayout.Rows * GroupBytes, row % PackedLayout.Rows, destination[..InFeatures]);
    }

    /// <summary>Decodes one row of a group.</summary>
    private protected abstract void ReadRow(byte* group, int row, Span<float> destination);

    public override void Dispose()
    {
        _owned?.Dispose();
        base.Dispose();
    }
}
