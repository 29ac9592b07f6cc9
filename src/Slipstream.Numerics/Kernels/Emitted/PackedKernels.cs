using System.Runtime.InteropServices;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>The emitted kernels of one way to pack weights: some rows of activations by some groups of sixteen weight rows, each assembled at its first use.</summary>
internal abstract unsafe class PackedKernels
{
    /// <summary>
    /// What a kernel asks for: weights that it comes to itself soon, where they are in a cache or come from memory; or nothing. A number above is of lines of the weights after, for each group and step.
    /// </summary>
    public const int FromMemory = -2, Ahead = -1, Nothing = 0;

    /// <summary>What no kernels' <see cref="StoredResults"/> are above: of those that <see cref="TakesGroupAtOnce"/>, and of others.</summary>
    public const int MostStored = 1024, Stored = 384;

    private readonly EmittedKernel<PackedCall>[,,] _kernels;

    private readonly int _accumulators, _accumulatorRows;

    private protected PackedKernels(string name, int maxRows, int maxGroups, int accumulators, int maxLines, int accumulatorRows = 1)
    {
        (MaxRows, MaxGroups, MaxLines) = (maxRows, maxGroups, maxLines);
        (_accumulators, _accumulatorRows) = (accumulators, accumulatorRows);
        _kernels = new EmittedKernel<PackedCall>[maxRows, maxGroups, maxLines + 1 - FromMemory];
        for (int r = 1; r <= maxRows; r++)
            for (int g = 1; g <= MaxGroupsFor(r); g++)
                for (int f = FromMemory; f <= maxLines; f++)
                {
                    (int rows, int groups, int fetch) = (r, g, f);
                    _kernels[r - 1, g - 1, f - FromMemory] = new EmittedKernel<PackedCall>($"{name} {rows} x {groups}, {fetch}", c => Emit(c, rows, groups, fetch));
                }
    }

    /// <summary>Rows of activations that a kernel takes at most, and groups of sixteen weight rows.</summary>
    public int MaxRows { get; }

    /// <inheritdoc cref="MaxRows"/>
    public int MaxGroups { get; }

    /// <summary>Groups at most for a number of rows: as many as there are accumulators of sixteen results, or of sixteen for several rows.</summary>
    public int MaxGroupsFor(int rows) => Math.Min(MaxGroups, _accumulators / ((rows + _accumulatorRows - 1) / _accumulatorRows));

    /// <summary>Lines of each group that a kernel may ask memory for in a step.</summary>
    public int MaxLines { get; }

    /// <summary>Columns of a step.</summary>
    public abstract int StepColumns { get; }

    /// <summary>
    /// Whether a call makes something of its weights for all its tiles, which so should be many; rows that the last tile lacks are made too.
    /// </summary>
    public virtual bool TakesGroupAtOnce => false;

    /// <summary>Bytes of activations that are gone through for each set of groups: what stays in the second-level cache beside it. Null where it is the layer's number.</summary>
    public virtual int? CachedBytes => null;

    /// <summary>Results, of sixteen floats each, that kernels make of several tiles before they are stored, at most <see cref="MostStored"/>.</summary>
    public virtual int StoredResults => 128;

    /// <summary>Bytes of <see cref="PackedCall.Scratch"/> that a kernel needs.</summary>
    public virtual int ScratchBytes => 0;

    /// <summary>Groups that go together for a number of rows of activations, where weights are fetched so.</summary>
    public abstract int GroupsTogether(int rows, int fetch);

    /// <summary>Rows of activations that go together, of as many as a thread has.</summary>
    public abstract int RowsTogether(int rows);

    /// <summary>The kernel for some rows of activations by some groups, which lie <see cref="PackedCall.GroupStride"/> apart; assembled at its first use.</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="groups">Groups of weights; at most <see cref="MaxGroupsFor"/> the rows.</param>
    /// <param name="fetch">What it asks memory for: <see cref="FromMemory"/>, <see cref="Ahead"/>, <see cref="Nothing"/> or lines.</param>
    // SAFETY: callers pass calls whose pointers hold what PackedCall says, for these rows and groups, on processors with the instruction.
    public delegate* unmanaged<PackedCall*, void> Entry(int rows, int groups, int fetch) => Kernel(rows, groups, fetch).Entry;

    /// <summary>The same before it is loaded.</summary>
    internal EmittedKernel<PackedCall> Kernel(int rows, int groups, int fetch) => _kernels[rows - 1, groups - 1, fetch - FromMemory];

    /// <summary>Writes a kernel.</summary>
    private protected abstract void Emit(Assembler c, int rows, int groups, int fetch);

    /// <summary>A field of the call.</summary>
    internal static AssemblerMemoryOperand Argument(string field) => __qword_ptr[rcx + (int)Marshal.OffsetOf<PackedCall>(field)];

    /// <summary>Loads what both kinds of kernels keep of the call: the first tile, the number of tiles, the results, what comes after, and strides for more than one and more than three groups.</summary>
    internal static void Begin(Assembler c, int groups, int fetch, AssemblerRegister64 stride, AssemblerRegister64 stride3, AssemblerRegister64 tile, AssemblerRegister64 tiles, AssemblerRegister64 results, AssemblerRegister64 after)
    {
        if (groups > 1) c.mov(stride, Argument(nameof(PackedCall.GroupStride)));
        if (groups > 3) c.lea(stride3, __[stride + stride * 2]);
        c.mov(tile, Argument(nameof(PackedCall.Activations)));
        c.mov(tiles, Argument(nameof(PackedCall.Tiles)));
        c.mov(results, Argument(nameof(PackedCall.Results)));
        if (fetch > 0) c.mov(after, Argument(nameof(PackedCall.After)));
    }

    /// <summary>Goes on to the next tile of activations by the same weights, or to the weights after them, which were gone through, by the same tile.</summary>
    internal static void Next(Assembler c, AssemblerRegister64 weights, AssemblerRegister64 tile)
    {
        c.sub(weights, Argument(nameof(PackedCall.Rewind)));
        c.add(tile, Argument(nameof(PackedCall.NextTile)));
    }

    /// <summary>Where a group's part begins: groups are a stride apart, and three strides are in a register where there are four of them.</summary>
    internal static AssemblerMemoryOperand Group(AssemblerRegister64 start, AssemblerRegister64 stride, AssemblerRegister64 stride3, int g) => g switch
    {
        0 => __[start],
        1 => __[start + stride],
        2 => __[start + stride * 2],
        _ => __[start + stride3],
    };
}
