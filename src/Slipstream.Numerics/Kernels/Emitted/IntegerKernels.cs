using System.Collections.Concurrent;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.PackedKernels;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>The emitted kernels of one <see cref="PackedLayout"/>: products by 512-bit <c>vpdpbusd</c>, in the element order of <see cref="PackedTile"/> and with its bits.</summary>
internal sealed class IntegerKernels : PackedKernels
{
    /// <summary>The most groups that go together.</summary>
    public const int MostGroups = 4;

    private static readonly ConcurrentDictionary<PackedLayout, IntegerKernels> s_all = [];

    private readonly PackedLayout _layout;

    private IntegerKernels(PackedLayout layout) : base("packed", maxRows: 2 * QuantizedRows.TileRows, MostGroups, accumulators: 8, maxLines: 16) => _layout = layout;

    /// <summary>The kernels of a layout.</summary>
    public static IntegerKernels Of(PackedLayout layout) => s_all.GetOrAdd(layout, static l => new IntegerKernels(l));

    public override int StepColumns => PackedLayout.PlaneLength;

    // Out of a cache, up to a tile of four take as many as registers allow: one load of activations serves them all. Memory needs no more than one stream that it is asked for far ahead. And of more than
    // a tile of four, two go together, and codes are unpacked and weights come from memory once for eight rows.
    public override int GroupsTogether(int rows, int fetch) => fetch == FromMemory || rows > QuantizedRows.TileRows ? 1 : rows > 2 ? 2 : MostGroups;

    public override int RowsTogether(int rows) => rows <= QuantizedRows.TileRows ? QuantizedRows.TileRows : MaxRows;

    private protected override void Emit(Assembler c, int rows, int groups, int fetch) => new IntegerKernelEmitter(c, _layout, rows, groups, fetch).Emit();
}

/// <summary>Writes one kernel: some rows of activations by some groups of sixteen weight rows.</summary>
internal sealed class IntegerKernelEmitter
{
    // Bytes of all streams that a kernel asks for ahead: once, and more than once (nobody asks for the first of them in a product); and into the first-level cache.
    private const int Lead = 12 << 10, LongLead = 20 << 10, Near = 6 << 10;

    private readonly Assembler c;
    private readonly PackedLayout _layout;
    private readonly int _rows, _groups, _near, _fetch;
    private readonly int[] _far;
    private readonly bool _wide;
    private readonly AssemblerRegisterZMM[] _sums, _integers, _terms, _codes, _scales, _offsets;
    private readonly AssemblerRegisterZMM _x4;
    private readonly PackedCodes _unpacking;
    private readonly AssemblerRegister64 _block = rdx, _planes = rsi, _bytes = rdi, _x = rax, _stride = r8, _stride3 = r9, _x2 = r15, _blocks = r10, _inner = r11, _results = rbx, _tiles = r12, _tile = r13, _after = r14;

    public IntegerKernelEmitter(Assembler assembler, PackedLayout layout, int rows, int groups, int fetch)
    {
        c = assembler;
        (_layout, _rows, _groups, _fetch) = (layout, rows, groups, fetch);
        // Bytes ahead of its use that a line is asked for into the second-level cache, and from there into the first. What goes to the first at once holds one of its few outstanding misses for as long as
        // memory takes, and then products wait. Such requests seem to be dropped while too many are outstanding, and a dropped line is waited for; so what comes from memory is asked for again on
        // the way, as often as arithmetic leaves time for. All measured.
        int asks = fetch == PackedKernels.FromMemory ? Math.Clamp((layout.StepBytes + 25 * rows) / (50 * rows), 1, 5) : 1;
        _far = [.. Enumerable.Range(1, asks).Select(ask => (asks > 1 ? LongLead : Lead) / groups * ask / asks)];
        _near = Near / groups;
        _wide = layout.GroupLength == PackedLayout.PlaneLength;
        int next = 0, count = rows * groups;
        AssemblerRegisterZMM[] Take(int n) => [.. Enumerable.Range(0, n).Select(_ => new AssemblerRegisterZMM(Register.ZMM0 + next++))];
        _sums = Take(count);
        _integers = Take(count);
        _terms = Take(count);
        _codes = Take(Math.Max(groups, 1 + (layout.HasOffsets ? 1 : 0) + (layout.Groups > 1 ? 1 : 0)));
        AssemblerRegisterZMM TakeFor(bool needed) => needed ? Take(1)[0] : default;
        _x4 = TakeFor(groups > 1);
        _unpacking = new PackedCodes(assembler, layout, TakeFor(layout.LowBits < 8), TakeFor(layout.HighBits > 0), TakeFor(layout.HighBits > 0));
        // A block's halves as floats: converted once, where registers are left for them.
        bool keeps = layout.Groups > 1 && next + groups * (layout.HasOffsets ? 2 : 1) <= 32;
        (_scales, _offsets) = (keeps ? Take(groups) : [], keeps && layout.HasOffsets ? Take(groups) : []);
    }

    public void Emit()
    {
        Label tiles = c.CreateLabel(), blocks = c.CreateLabel(), planes = c.CreateLabel();
        _unpacking.Begin();
        Begin(c, _groups, _fetch, _stride, _stride3, _tile, _tiles, _results, _after); // After the masks, which pass through the register of the results.
        c.mov(_block, Argument(nameof(PackedCall.Weights)));
        c.Label(ref tiles);
        c.mov(_x, _tile);
        if (TwoTiles)
        {
            c.mov(_x2, _tile);
            c.add(_x2, Argument(nameof(PackedCall.TileBytes)));
        }
        c.mov(_blocks, Argument(nameof(PackedCall.Blocks)));
        foreach (AssemblerRegisterZMM sum in _sums) c.vpxord(sum, sum, sum);
        c.Label(ref blocks);
        if (_layout.Groups > 1)
        {
            c.lea(_planes, __[_block + _layout.PlanesAt]);
            c.lea(_bytes, __[_block + _layout.ScaleBytesAt]);
            c.mov(_inner, _layout.BlockLength / PackedLayout.PlaneLength);
            for (int g = 0; g < _scales.Length; g++) c.vcvtph2ps(_scales[g], __ymmword_ptr[Group(_block, g)]);
            for (int g = 0; g < _offsets.Length; g++) c.vcvtph2ps(_offsets[g], __ymmword_ptr[Group(_block, g) + PackedLayout.OffsetsAt]);
            c.Label(ref planes);
            Plane(_planes, 0);
            c.add(_planes, _layout.PlaneBytes);
            c.add(_bytes, PackedLayout.Rows * (PackedLayout.PlaneLength / _layout.GroupLength));
            NextRecord();
            c.dec(_inner);
            c.jnz(planes);
        }
        else
        {
            Plane(_block, _layout.PlanesAt);
            NextRecord();
        }
        c.add(_block, _layout.BlockBytes);
        c.dec(_blocks);
        c.jnz(blocks);
        for (int i = 0; i < _sums.Length; i++) c.vmovups(__zmmword_ptr[_results + 64 * i], _sums[i]); // [group][row], as the registers are.
        c.add(_results, 64 * _sums.Length);
        Next(c, _block, _tile);
        c.dec(_tiles);
        c.jnz(tiles);
    }

    private bool TwoTiles => _rows > QuantizedRows.TileRows;

    private void NextRecord()
    {
        c.add(_x, QuantizedRows.RecordBytes);
        if (TwoTiles) c.add(_x2, QuantizedRows.RecordBytes);
    }

    /// <summary>A part of a row's record: each row has so many bytes of it.</summary>
    private AssemblerMemoryOperand Record(int row, int part, int bytes) => __[row < QuantizedRows.TileRows ? _x : _x2] + (part + bytes * (row % QuantizedRows.TileRows));

    /// <summary>32 columns, whose planes begin at a register and a displacement.</summary>
    private void Plane(AssemblerRegister64 planes, int at)
    {
        // Spread over the steps: in a burst they wait for each other. A block's header is fetched with its planes.
        int lines = (at + _layout.PlaneBytes + 63) / 64, asked = 0, steps = 8 * _groups;
        void Prefetch(int done)
        {
            if (_fetch >= Nothing) return;
            for (; asked < lines * _groups && asked * steps <= done * lines * _groups; asked++)
            {
                AssemblerMemoryOperand line = Group(planes, asked % _groups) + 64 * (asked / _groups);
                foreach (int far in _far) c.prefetcht1(__byte_ptr[line + far]);
                c.prefetcht0(__byte_ptr[line + _near]);
            }
        }
        for (int half = 0; half < 2; half++)
        {
            Start(half);
            for (int step = 0; step < 4; step++)
            {
                for (int g = 0; g < _groups; g++)
                {
                    Prefetch((4 * half + step) * _groups + g);
                    _unpacking.Load(_codes[g], Group(planes, g) + at, half, step);
                    for (int line = 4 * half + step; line < _fetch; line += 8) c.prefetcht1(__byte_ptr[Group(_after, g) + 64 * line]);
                }
                for (int row = 0; row < _rows; row++)
                {
                    AssemblerMemoryOperand activations = Record(row, QuantizedRows.Group * half + PackedLayout.StepLength * step, QuantizedRows.RecordLength);
                    if (_groups == 1) c.vpdpbusd(_integers[row], _codes[0], __dword_bcst[activations]);
                    else
                    {
                        // One load for all groups: two loads a cycle are what bounds such a kernel first.
                        c.vpbroadcastd(_x4, __dword_ptr[activations]);
                        for (int g = 0; g < _groups; g++) c.vpdpbusd(_integers[g * _rows + row], _codes[g], _x4);
                    }
                }
            }
            Scale(half);
            if (!_wide || half == 1)
                for (int g = 0; g < _groups; g++) Finish(g, half);
        }
        if (_fetch > 0) c.add(_after, 64 * _fetch);
    }

    /// <summary>Integers begin at the origin's bits, less what the code for zero adds.</summary>
    private void Start(int half)
    {
        for (int row = 0; row < _rows; row++)
        {
            c.vpbroadcastd(_integers[row], __dword_ptr[Record(row, (_layout.Zero == 0 ? QuantizedRows.OriginsAt : QuantizedRows.StartsAt) + 4 * half, 8)]);
            for (int g = 1; g < _groups; g++) c.vmovdqa64(_integers[g * _rows + row], _integers[row]);
        }
    }

    /// <summary>Scales the integers of a half, and adds them to the other's where the halves share a weight scale. Subtractions and additions leave the multipliers, which bound these kernels, to the products.</summary>
    private void Scale(int half)
    {
        bool adds = _wide && half == 1;
        for (int row = 0; row < _rows; row++)
        {
            if (_groups > 1) c.vbroadcastss(_x4, __dword_ptr[Record(row, QuantizedRows.OriginsAt + 4 * half, 8)]);
            for (int g = 0; g < _groups; g++)
            {
                (AssemblerRegisterZMM term, AssemblerRegisterZMM integer) = (_terms[g * _rows + row], _integers[g * _rows + row]);
                AssemblerRegisterZMM scaled = adds ? integer : term;
                if (_groups > 1) c.vsubps(scaled, integer, _x4);
                else c.vsubps(scaled, integer, __dword_bcst[Record(row, QuantizedRows.OriginsAt + 4 * half, 8)]);
                if (adds) c.vaddps(term, term, integer);
            }
        }
    }

    /// <summary>Adds the columns that share a weight scale, 32 or a half of them, to the sums.</summary>
    private void Finish(int g, int half)
    {
        LoadScales(g, _wide ? 0 : half);
        for (int row = 0; row < _rows; row++) c.vfmadd231ps(_sums[g * _rows + row], _terms[g * _rows + row], _codes[0]);
        if (!_layout.HasOffsets) return;
        for (int row = 0; row < _rows; row++)
            c.vfmadd231ps(_sums[g * _rows + row], _codes[1], __dword_bcst[_wide ? Record(row, QuantizedRows.TermsAt, 4) : Record(row, QuantizedRows.GroupTermsAt + 4 * half, 8)]);
    }

    /// <summary>Scales and offsets of a group of columns, in the first two registers of codes, which are free then.</summary>
    private void LoadScales(int g, int half)
    {
        (AssemblerRegisterZMM scale, AssemblerRegisterZMM offset, AssemblerRegisterZMM number) = (_codes[0], _layout.HasOffsets ? _codes[1] : default, _layout.Groups > 1 ? _codes[_layout.HasOffsets ? 2 : 1] : default);
        bool kept = _scales.Length > 0;
        if (!kept) c.vcvtph2ps(scale, __ymmword_ptr[Group(_block, g)]);
        if (!kept && _layout.HasOffsets) c.vcvtph2ps(offset, __ymmword_ptr[Group(_block, g) + PackedLayout.OffsetsAt]);
        if (_layout.Groups == 1) return;
        Factor(scale, kept ? _scales[g] : scale, PackedLayout.Rows * half);
        if (_layout.HasOffsets) Factor(offset, kept ? _offsets[g] : offset, _layout.MinimaAt - _layout.ScaleBytesAt + PackedLayout.Rows * half);

        void Factor(AssemblerRegisterZMM result, AssemblerRegisterZMM of, int at)
        {
            c.vpmovsxbd(number, __xmmword_ptr[Group(_bytes, g) + at]);
            c.vcvtdq2ps(number, number);
            c.vmulps(result, of, number);
        }
    }

    private AssemblerMemoryOperand Group(AssemblerRegister64 start, int g) => PackedKernels.Group(start, _stride, _stride3, g);
}
