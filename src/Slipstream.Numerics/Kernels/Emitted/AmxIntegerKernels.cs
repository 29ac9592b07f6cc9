using System.Collections.Concurrent;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.AmxTiles;
using static Slipstream.Numerics.Kernels.Emitted.KernelFrame;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>
/// The emitted kernels of one <see cref="PackedLayout"/> for the matrix unit, in the element order of <see cref="PackedTile"/> and with its bits: <see cref="QuantizedTiles"/> by codes that become bfloat16 on the way, exactly both.
/// </summary>
/// <remarks>Always whole tiles of activations: of the last, rows that are not there are computed too.</remarks>
internal sealed class AmxIntegerKernels : PackedKernels
{
    /// <summary>Rows of activations from which on they are taken, and where a layer has codes of bytes, which take longest to become bfloat16, or rows are short: for fewer, what weights and activations become takes longer than it saves.</summary>
    public const int LeastRows = 28, LeastRowsElse = 32;

    // Tiles of weights that each tile of activations is loaded for.
    private const int MostGroups = 2;

    private static readonly ConcurrentDictionary<PackedLayout, AmxIntegerKernels> s_all = [];

    private readonly PackedLayout _layout;

    private AmxIntegerKernels(PackedLayout layout) : base("packed, in tiles", Rows, MostGroups, accumulators: MostGroups, maxLines: 3, accumulatorRows: Rows) => _layout = layout;

    /// <summary>The kernels of a layout.</summary>
    public static AmxIntegerKernels Of(PackedLayout layout) => s_all.GetOrAdd(layout, static l => new AmxIntegerKernels(l));

    public override int StepColumns => PackedLayout.PlaneLength;

    public override int StoredResults => MostStored;

    public override int? CachedBytes => AmxTiles.CachedBytes;

    public override bool TakesGroupAtOnce => true;

    public override int ScratchBytes => AmxIntegerKernelEmitter.ScratchBytes;

    public override int GroupsTogether(int rows, int fetch) => MostGroups;

    public override int RowsTogether(int rows) => Rows;

    private protected override void Emit(Assembler c, int rows, int groups, int fetch) => new AmxIntegerKernelEmitter(c, _layout, groups, fetch).Emit();
}

/// <summary>Writes one kernel: tiles of sixteen rows of activations by one or two groups of sixteen weight rows.</summary>
internal sealed class AmxIntegerKernelEmitter
{
    // Records of 32 columns in a turn, of all groups: their weights as bfloat16 stay in the first-level cache while all tiles pass.
    private const int MostRecords = 16;

    // Tiles of sums that are on their way from the matrix unit through memory to the vectors: a store waits for a product, a load for a store.
    private const int Sums = 4;

    // Parts of the scratch.
    private const int HalvesAt = Sums * Bytes, ScalesAt = HalvesAt + 2 * Bytes, MaxSteps = 2 * MostRecords, OffsetsAt = ScalesAt + MaxSteps * RowBytes, WeightsAt = OffsetsAt + MaxSteps * RowBytes;

    private const int Registers = 30; // For results: all but two.

    private readonly Assembler c;
    private readonly PackedLayout _layout;
    private readonly int _groups, _fetch, _ring, _turnRecords, _stepsOfRecord, _stepBytes;
    private readonly AmxCodes _codes;
    private readonly AssemblerRegisterZMM _scale = Zmm(Registers), _result = Zmm(Registers + 1);
    private readonly AssemblerRegister64 _block = rdx, _planes = rsi, _bytes = rdi, _stride = rsi, _x = rax, _weights = r8, _scales = r9, _lines = r10, _count = r11, _results = rbx, _tiles = r12, _tile = r13, _after = r14, _scratch = r15;
    private readonly List<(Label From, Label Back, int Slot, int Step)> _wide = [];

    /// <summary>Bytes of scratch.</summary>
    public const int ScratchBytes = WeightsAt + MostRecords * Bytes;

    public AmxIntegerKernelEmitter(Assembler assembler, PackedLayout layout, int groups, int fetch)
    {
        c = assembler;
        (_layout, _groups, _fetch) = (layout, groups, fetch);
        (_ring, _turnRecords) = (Sums / groups, MostRecords / groups);
        _stepsOfRecord = PackedLayout.PlaneLength / layout.GroupLength;
        _stepBytes = Bytes / _stepsOfRecord;
        _codes = new AmxCodes(assembler, layout);
    }

    private bool IsWhole => _stepsOfRecord == 1; // Steps of 32 columns, which may be wide.

    public void Emit()
    {
        Label turns = c.CreateLabel(), tiles = c.CreateLabel(), zeros = c.CreateLabel(), multiply = c.CreateLabel(), end = c.CreateLabel();
        GiveShape(c, Rows, 0, Sums, _layout.GroupLength);
        c.mov(ebx, 0xF0); // The upper half of a vector.
        c.kmovd(k1, ebx);
        c.mov(_lines, RowBytes);
        c.mov(_scratch, Argument(nameof(PackedCall.Scratch)));
        c.mov(_block, Argument(nameof(PackedCall.Weights)));
        if (_fetch > PackedKernels.Nothing)
        {
            c.mov(_after, Argument(nameof(PackedCall.After)));
            c.imul(_count, Argument(nameof(PackedCall.Blocks)), _layout.BlockBytes);
            c.add(_count, _after);
            c.mov(Argument(nameof(PackedCall.AskedEnd)), _count);
        }
        c.mov(_tile, Argument(nameof(PackedCall.Activations)));
        c.mov(Argument(nameof(PackedCall.TurnActivations)), _tile);
        c.imul(_count, Argument(nameof(PackedCall.Blocks)), _layout.BlockLength / PackedLayout.PlaneLength);
        c.mov(Argument(nameof(PackedCall.Left)), _count);
        c.mov(Argument(nameof(PackedCall.First)), 1);

        c.Label(ref turns);
        c.mov(_count, _turnRecords);
        BeginTurn(c, _count);
        _codes.Begin();
        c.mov(_tile, _block);
        ConvertTurn(0);
        for (int g = 1; g < _groups; g++)
        {
            c.mov(_x, _block); // The next turn's.
            c.mov(_block, _tile);
            c.add(_block, Argument(nameof(PackedCall.GroupStride)));
            c.mov(_count, Argument(nameof(PackedCall.Turn)));
            ConvertTurn(g);
            c.mov(_block, _x);
        }

        c.mov(_tiles, Argument(nameof(PackedCall.Tiles)));
        c.mov(_results, Argument(nameof(PackedCall.Results)));
        c.mov(_tile, Argument(nameof(PackedCall.TurnActivations)));
        c.Label(ref tiles);
        if (_fetch > PackedKernels.Nothing) BeginAsking();
        c.mov(_x, _tile);
        c.lea(_weights, __[_scratch + WeightsAt]);
        c.lea(_scales, __[_scratch + ScalesAt]);
        c.cmp(Argument(nameof(PackedCall.First)), 0);
        c.jne(zeros);
        for (int i = 0; i < InRegisters; i++) c.vmovups(Zmm(i), ResultOf(i));
        c.jmp(multiply);
        c.Label(ref zeros);
        for (int i = 0; i < InRegisters; i++) c.vpxord(Zmm(i), Zmm(i), Zmm(i));
        for (int i = InRegisters; i < Rows * _groups; i++) c.vmovups(ResultOf(i), Zmm(0));
        c.Label(ref multiply);
        MultiplyTurn();
        for (int i = 0; i < InRegisters; i++) c.vmovups(ResultOf(i), Zmm(i));
        c.add(_results, Bytes * _groups);
        c.add(_tile, Argument(nameof(PackedCall.TileBytes)));
        c.dec(_tiles);
        c.jnz(tiles);

        c.imul(_count, Argument(nameof(PackedCall.Turn)), QuantizedTiles.RecordBytes);
        c.add(Argument(nameof(PackedCall.TurnActivations)), _count);
        c.mov(Argument(nameof(PackedCall.First)), 0);
        c.cmp(Argument(nameof(PackedCall.Left)), 0);
        c.jne(turns);
        c.jmp(end);
        foreach ((Label from, Label back, int slot, int step) in _wide) Halves(from, back, slot, step);
        c.Label(ref end);
    }

    /// <summary>Makes bfloat16 of the codes of a turn of a group, and floats of its scales and offsets.</summary>
    private void ConvertTurn(int group)
    {
        AssemblerRegisterZMM offset = _result; // The results of a turn are in memory.
        Label blocks = c.CreateLabel(), records = c.CreateLabel();
        c.lea(_weights, __[_scratch + (WeightsAt + WeightsOf(group))]);
        c.lea(_scales, __[_scratch + (ScalesAt + ScalesOf(group))]);
        c.Label(ref blocks);
        c.vcvtph2ps(_scale, __ymmword_ptr[_block]);
        if (_layout.HasOffsets) c.vcvtph2ps(offset, __ymmword_ptr[_block + PackedLayout.OffsetsAt]);
        if (_layout.Groups == 1)
        {
            Record(_block, _layout.PlanesAt, offset);
        }
        else
        {
            c.lea(_planes, __[_block + _layout.PlanesAt]);
            c.lea(_bytes, __[_block + _layout.ScaleBytesAt]);
            c.mov(_tiles, _layout.BlockLength / PackedLayout.PlaneLength);
            c.Label(ref records);
            Record(_planes, 0, offset);
            c.add(_planes, _layout.PlaneBytes);
            c.add(_bytes, PackedLayout.Rows * _stepsOfRecord);
            c.dec(_tiles);
            c.jnz(records);
        }
        c.add(_block, _layout.BlockBytes);
        c.sub(_count, _layout.BlockLength / PackedLayout.PlaneLength);
        c.jnz(blocks);
    }

    /// <summary>32 columns, whose planes begin at a register and a displacement.</summary>
    private void Record(AssemblerRegister64 planes, int at, AssemblerRegisterZMM offset)
    {
        int lines = (at + _layout.PlaneBytes + RowBytes - 1) / RowBytes, asked = 0;
        for (int step = 0; step < AmxCodes.Steps; step++)
        {
            for (; _fetch < PackedKernels.Nothing && asked < lines && asked * AmxCodes.Steps <= step * lines; asked++) c.prefetcht1(__byte_ptr[planes + (_turnRecords * _layout.StepBytes + RowBytes * asked)]);
            _codes.Step(planes + at, step, __zmmword_ptr[_weights + 2 * RowBytes * step], __zmmword_ptr[_weights + 2 * RowBytes * step + RowBytes]);
        }
        c.add(_weights, Bytes);
        for (int group = 0; group < _stepsOfRecord; group++)
        {
            Factor(_scale, 0, group, 0);
            if (_layout.HasOffsets) Factor(offset, _layout.MinimaAt - _layout.ScaleBytesAt, group, OffsetsAt - ScalesAt);
        }
        c.add(_scales, RowBytes * _stepsOfRecord);
    }

    private void Factor(AssemblerRegisterZMM of, int bytesAt, int group, int at)
    {
        AssemblerRegisterZMM factor = of;
        if (_layout.Groups > 1) _codes.Factor(factor = Zmm(0), of, _bytes + (bytesAt + PackedLayout.Rows * group));
        c.vmovups(__zmmword_ptr[_scales + (at + RowBytes * group)], factor);
    }

    // Memory is asked for some lines at every step, not for many at once, which the matrix unit would wait for; and for lines that are near when all have been.
    private void BeginAsking()
    {
        Label some = c.CreateLabel();
        c.mov(_stride, Argument(nameof(PackedCall.GroupStride)));
        c.cmp(_after, Argument(nameof(PackedCall.AskedEnd)));
        c.jb(some);
        c.mov(Argument(nameof(PackedCall.AskedEnd)), 0);
        c.mov(_after, _scratch);
        c.xor(esi, esi);
        c.Label(ref some);
    }

    // Results of a tile stay in registers while it is multiplied, but for as many as these are short of.
    private int InRegisters => Math.Min(Registers, Rows * _groups);

    private AssemblerMemoryOperand ResultOf(int index) => __zmmword_ptr[_results + RowBytes * index];

    // Where the weights and scales of a group lie after those of the first.
    private int WeightsOf(int group) => group * _turnRecords * Bytes;

    private int ScalesOf(int group) => group * _turnRecords * _stepsOfRecord * RowBytes;

    /// <summary>
    /// One tile by the weights of a turn. Products, stores of their sums and what is made of these are steps apart, in rings; steps that are no whole ring come first, and the processor goes on with the rings while it waits for them.
    /// </summary>
    private void MultiplyTurn()
    {
        Label rings = c.CreateLabel(), next = c.CreateLabel(), drain = c.CreateLabel(), end = c.CreateLabel();
        int lag = _ring / 2;
        c.mov(_count, Argument(nameof(PackedCall.Turn)));
        if (!IsWhole) c.add(_count, _count);
        for (int few = _stepsOfRecord; few < _ring; few += _stepsOfRecord)
        {
            bool isLast = few + _stepsOfRecord == _ring;
            Label other = isLast ? rings : c.CreateLabel();
            c.mov(_bytes, _count);
            c.and(_bytes, _ring - 1);
            c.cmp(_bytes, few);
            c.jne(other);
            for (int step = 0; step < few; step++) Product(step, step);
            for (int step = 0; step < few; step++) Store(step);
            for (int step = 0; step < few; step++) Add(step, step);
            NextSteps(few);
            c.sub(_count, few);
            c.jz(end);
            if (isLast) continue;
            c.jmp(rings);
            c.Label(ref other);
        }
        c.Label(ref rings);
        for (int step = 0; step < _ring; step++)
        {
            Product(step, step);
            if (step >= lag) Store(step - lag);
        }
        NextSteps(_ring);
        c.sub(_count, _ring);
        c.Label(ref next);
        c.jz(drain);
        for (int step = 0; step < _ring; step++)
        {
            Product(step, step);
            Store((step + _ring - lag) % _ring);
            Add(step, step - _ring);
        }
        NextSteps(_ring);
        c.sub(_count, _ring);
        c.jmp(next);
        c.Label(ref drain);
        for (int step = _ring - lag; step < _ring; step++) Store(step);
        for (int step = 0; step < _ring; step++) Add(step, step - _ring);
        c.Label(ref end);
    }

    private void NextSteps(int count)
    {
        c.add(_x, count / _stepsOfRecord * QuantizedTiles.RecordBytes);
        c.add(_weights, count * _stepBytes);
        c.add(_scales, count * RowBytes);
        if (_fetch > PackedKernels.Nothing) c.add(_after, count / _stepsOfRecord * _fetch * RowBytes);
    }

    // A step's place in the records, counted from the registers: it may be before them.
    private int RecordOf(int step) => (step >> (_stepsOfRecord - 1)) * QuantizedTiles.RecordBytes;

    private int HalfOf(int step) => step & (_stepsOfRecord - 1);

    // The tile of sums of a step's place in the ring.
    private AssemblerRegisterTMM SumsOf(int slot, int group) => Tmm(slot * _groups + group);

    private void Product(int slot, int step)
    {
        Label isWide = c.CreateLabel(), back = c.CreateLabel();
        if (IsWhole)
        {
            c.cmp(__dword_ptr[_x + (RecordOf(step) + QuantizedTiles.WideAt)], 0);
            c.jne(isWide);
        }
        for (int g = 0; g < _groups; g++)
        {
            c.tileloadd(Tmm(6 + g), __[_weights + _lines] + (WeightsOf(g) + _stepBytes * step));
            if (g == 0) c.tileloadd(Tmm(4), __[_x + _lines] + (RecordOf(step) + RowBytes / 2 * HalfOf(step)));
            c.tilezero(SumsOf(slot, g));
            c.tdpbf16ps(SumsOf(slot, g), Tmm(4), Tmm(6 + g));
            for (int line = 0; line < _fetch && HalfOf(step) == 0; line++)
            {
                int at = RowBytes * (step / _stepsOfRecord * _fetch + line);
                c.prefetcht1(g == 0 ? __byte_ptr[_after + at] : __byte_ptr[_after + _stride + at]);
            }
        }
        if (!IsWhole) return;
        c.Label(ref back);
        _wide.Add((isWide, back, slot, step));
    }

    // A wide record: its halves one after the other, each beside zeros.
    private void Halves(Label from, Label back, int slot, int step)
    {
        c.Label(ref from);
        Label rows = c.CreateLabel();
        AssemblerRegisterZMM lower = _scale, upper = _result; // Which hold nothing between steps.
        c.xor(edi, edi);
        c.Label(ref rows);
        c.vmovdqu64(new AssemblerRegisterYMM(Register.YMM0 + Registers), __ymmword_ptr[_x + _bytes + RecordOf(step)]); // The upper half of the register becomes zeros.
        c.vmovdqu64(upper.k1.z, __zmmword_ptr[_x + _bytes + RecordOf(step)]);
        c.vmovdqu64(__zmmword_ptr[_scratch + _bytes + HalvesAt], lower);
        c.vmovdqu64(__zmmword_ptr[_scratch + _bytes + (HalvesAt + Bytes)], upper);
        c.add(_bytes, RowBytes);
        c.cmp(_bytes, Bytes);
        c.jb(rows);
        for (int g = 0; g < _groups; g++)
        {
            c.tileloadd(Tmm(6 + g), __[_weights + _lines] + (WeightsOf(g) + _stepBytes * step));
            c.tilezero(SumsOf(slot, g));
        }
        for (int half = 0; half < 2; half++)
        {
            c.tileloadd(Tmm(4), __[_scratch + _lines] + (HalvesAt + Bytes * half));
            for (int g = 0; g < _groups; g++) c.tdpbf16ps(SumsOf(slot, g), Tmm(4), Tmm(6 + g));
        }
        c.jmp(back);
    }

    private int SumsAt(int slot, int group) => Bytes * (slot * _groups + group);

    private void Store(int slot)
    {
        for (int g = 0; g < _groups; g++) c.tilestored(__[_scratch + _lines] + SumsAt(slot, g), SumsOf(slot, g));
    }

    // Sums, scaled, to the results so far; then offsets.
    private void Add(int slot, int step)
    {
        int terms = RecordOf(step) + (IsWhole ? QuantizedTiles.TermsAt : QuantizedTiles.GroupTermsAt + RowBytes * HalfOf(step));
        for (int g = 0; g < _groups; g++)
        {
            int scale = ScalesOf(g) + RowBytes * step, sums = SumsAt(slot, g);
            AddTimes(g, scale, row => __zmmword_ptr[_scratch + (sums + RowBytes * row)]);
            if (_layout.HasOffsets) AddTimes(g, scale + OffsetsAt - ScalesAt, row => __dword_bcst[_x + (terms + sizeof(float) * row)]);
        }
    }

    private void AddTimes(int group, int factor, Func<int, AssemblerMemoryOperand> values)
    {
        c.vmovups(_scale, __zmmword_ptr[_scales + factor]);
        for (int row = 0; row < Rows; row++)
        {
            int i = Rows * group + row;
            if (i < InRegisters)
            {
                c.vfmadd231ps(Zmm(i), _scale, values(row));
                continue;
            }
            c.vmovups(_result, ResultOf(i));
            c.vfmadd231ps(_result, _scale, values(row));
            c.vmovups(ResultOf(i), _result);
        }
    }

    private static AssemblerMemoryOperand Argument(string field) => PackedKernels.Argument(field);
}
