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
    /// <summary>Rows of activations from which on the matrix unit is used: for fewer, what weights become takes longer than it saves.</summary>
    public const int LeastRows = 48;

    /// <summary>Bytes that a kernel needs for what it makes of weights, and of sums.</summary>
    public const int ScratchBytes = AmxIntegerKernelEmitter.ScratchBytes;

    private static readonly ConcurrentDictionary<PackedLayout, AmxIntegerKernels> s_all = [];

    private readonly PackedLayout _layout;

    private AmxIntegerKernels(PackedLayout layout) : base("packed, in tiles", Rows, maxGroups: 1, accumulators: 1, maxLines: 1, accumulatorRows: Rows) => _layout = layout;

    /// <summary>The kernels of a layout.</summary>
    public static AmxIntegerKernels Of(PackedLayout layout) => s_all.GetOrAdd(layout, static l => new AmxIntegerKernels(l));

    public override int StepColumns => PackedLayout.PlaneLength;

    public override int StoredResults => MostStored;

    public override int? CachedBytes => AmxTiles.CachedBytes;

    public override bool TakesGroupAtOnce => true;

    public override int GroupsTogether(int rows, int fetch) => 1;

    public override int RowsTogether(int rows) => Rows;

    private protected override void Emit(Assembler c, int rows, int groups, int fetch) => new AmxIntegerKernelEmitter(c, _layout, fetch).Emit();
}

/// <summary>Writes one kernel: tiles of sixteen rows of activations by a group of sixteen weight rows.</summary>
internal sealed class AmxIntegerKernelEmitter
{
    // Records of 32 columns in a turn: their weights as bfloat16 stay in the first-level cache while all tiles pass.
    private const int TurnRecords = 16;

    // Tiles of sums that are on their way from the matrix unit through memory to the vectors: a store waits for a product, a load for a store.
    private const int Ring = 4, StoreLag = 2;

    // Parts of the scratch.
    private const int HalvesAt = Ring * Bytes, ScalesAt = HalvesAt + 2 * Bytes, MaxSteps = 2 * TurnRecords, OffsetsAt = ScalesAt + MaxSteps * RowBytes, WeightsAt = OffsetsAt + MaxSteps * RowBytes;

    // Bytes of weights beyond a turn's that are asked for while it is multiplied, where nobody did before: while a turn is converted, memory rests.
    private const int Lead = 10 << 10;

    private const byte AAndBOrC = 0xEA, AOrBAndC = 0xF8;
    private const int Sums = 0, First = 16;

    private readonly Assembler c;
    private readonly PackedLayout _layout;
    private readonly int _fetch, _stepsOfRecord, _stepBytes;
    private readonly PackedCodes _unpacking;
    private readonly AssemblerRegisterZMM _code = Zmm(First), _low = Zmm(First + 1), _high = Zmm(First + 2), _table = Zmm(First + 3), _table2 = Zmm(First + 4), _number = Zmm(First + 5), _scale = Zmm(First + 6), _offset = Zmm(First + 7), _second = Zmm(First + 8);
    private readonly AssemblerRegister64 _block = rdx, _planes = rsi, _bytes = rdi, _x = rax, _weights = r8, _scales = r9, _lines = r10, _count = r11, _results = rbx, _tiles = r12, _tile = r13, _after = r14, _scratch = r15;
    private readonly AssemblerRegisterYMM _lower = new(Register.YMM0 + First); // Of the codes.
    private readonly List<(Label From, Label Back, int Slot, int Step)> _wide = [];

    /// <summary>Bytes of scratch.</summary>
    public const int ScratchBytes = WeightsAt + TurnRecords * Bytes;

    public AmxIntegerKernelEmitter(Assembler assembler, PackedLayout layout, int fetch)
    {
        c = assembler;
        (_layout, _fetch) = (layout, fetch);
        _stepsOfRecord = PackedLayout.PlaneLength / layout.GroupLength;
        _stepBytes = Bytes / _stepsOfRecord;
        _unpacking = new PackedCodes(assembler, layout, Zmm(29), Zmm(30), Zmm(31));
    }

    private bool IsWhole => _stepsOfRecord == 1; // Steps of 32 columns, which may be wide.

    private int Bits => _layout.LowBits + _layout.HighBits;

    public void Emit()
    {
        Label turns = c.CreateLabel(), tiles = c.CreateLabel(), zeros = c.CreateLabel(), multiply = c.CreateLabel(), end = c.CreateLabel();
        Configure(c, Rows, 0, Ring, _layout.GroupLength);
        BeginCodes();
        c.mov(_lines, RowBytes);
        c.mov(_scratch, Argument(nameof(PackedCall.Scratch)));
        c.mov(_block, Argument(nameof(PackedCall.Weights)));
        if (_fetch > PackedKernels.Nothing)
        {
            c.mov(_after, Argument(nameof(PackedCall.After)));
            c.sub(_after, _block); // As a distance.
        }
        c.mov(_tile, Argument(nameof(PackedCall.Activations)));
        c.mov(Argument(nameof(PackedCall.TurnActivations)), _tile);
        c.imul(_count, Argument(nameof(PackedCall.Blocks)), _layout.BlockLength / PackedLayout.PlaneLength);
        c.mov(Argument(nameof(PackedCall.Left)), _count);
        c.mov(Argument(nameof(PackedCall.First)), 1);

        c.Label(ref turns);
        c.mov(_count, TurnRecords);
        BeginTurn(c, _count);
        ConvertTurn();

        c.mov(_tiles, Argument(nameof(PackedCall.Tiles)));
        c.mov(_results, Argument(nameof(PackedCall.Results)));
        c.mov(_tile, Argument(nameof(PackedCall.TurnActivations)));
        c.Label(ref tiles);
        c.mov(_x, _tile);
        c.lea(_weights, __[_scratch + WeightsAt]);
        c.lea(_scales, __[_scratch + ScalesAt]);
        if (_fetch < PackedKernels.Nothing) c.lea(_after, __[_block + Lead]);
        c.cmp(Argument(nameof(PackedCall.First)), 0);
        c.jne(zeros);
        for (int row = 0; row < Rows; row++) c.vmovups(Zmm(Sums + row), __zmmword_ptr[_results + RowBytes * row]);
        c.jmp(multiply);
        c.Label(ref zeros);
        for (int row = 0; row < Rows; row++) c.vpxord(Zmm(Sums + row), Zmm(Sums + row), Zmm(Sums + row));
        c.Label(ref multiply);
        MultiplyTurn();
        for (int row = 0; row < Rows; row++) c.vmovups(__zmmword_ptr[_results + RowBytes * row], Zmm(Sums + row));
        c.add(_results, Bytes);
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
        c.tilerelease();
    }

    // What turns codes into bfloat16: tables of up to five or six bits; for eight, a float whose last bits are the code, from which one is subtracted.
    private void BeginCodes()
    {
        _unpacking.Begin();
        c.mov(ebx, 0xF0); // The upper half of a vector.
        c.kmovd(k1, ebx);
        if (Bits == 8)
        {
            Broadcast(_table, BitConverter.SingleToInt32Bits((1 << 23) + _layout.Zero));
            Broadcast(_table2, BitConverter.SingleToInt32Bits(1 << 23));
            Broadcast(_number, 0xFF);
            Broadcast(_high, unchecked((int)0xFFFF0000));
            return;
        }
        byte[] values = new byte[2 * Bytes / Rows];
        for (int i = 0; i < values.Length / 2; i++)
        {
            float value = (i & ((1 << Bits) - 1)) - _layout.Zero;
            BitConverter.TryWriteBytes(values.AsSpan(2 * i), (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16));
        }
        c.mov(rbx, (ulong)Constant(values));
        c.vmovdqu64(_table, __zmmword_ptr[rbx]);
        if (Bits > 5) c.vmovdqu64(_table2, __zmmword_ptr[rbx + RowBytes]);
    }

    private void Broadcast(AssemblerRegisterZMM register, int value)
    {
        c.mov(ebx, value);
        c.vpbroadcastd(register, ebx);
    }

    /// <summary>Makes bfloat16 of the codes of a turn, and floats of its scales and offsets.</summary>
    private void ConvertTurn()
    {
        Label blocks = c.CreateLabel(), records = c.CreateLabel();
        c.lea(_weights, __[_scratch + WeightsAt]);
        c.lea(_scales, __[_scratch + ScalesAt]);
        c.Label(ref blocks);
        c.vcvtph2ps(_scale, __ymmword_ptr[_block]);
        if (_layout.HasOffsets) c.vcvtph2ps(_offset, __ymmword_ptr[_block + PackedLayout.OffsetsAt]);
        if (_layout.Groups == 1)
        {
            Record(_block, _layout.PlanesAt);
        }
        else
        {
            c.lea(_planes, __[_block + _layout.PlanesAt]);
            c.lea(_bytes, __[_block + _layout.ScaleBytesAt]);
            c.mov(_tiles, _layout.BlockLength / PackedLayout.PlaneLength);
            c.Label(ref records);
            Record(_planes, 0);
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
    private void Record(AssemblerRegister64 planes, int at)
    {
        int lines = (at + _layout.PlaneBytes + RowBytes - 1) / RowBytes, asked = 0;
        for (int step = 0; step < 8; step++)
        {
            for (; _fetch > PackedKernels.Nothing && asked < lines && asked * 8 <= step * lines; asked++) c.prefetcht1(__byte_ptr[planes + _after + RowBytes * asked]);
            Step(planes, at, step / 4, step % 4, __zmmword_ptr[_weights + 2 * RowBytes * step], __zmmword_ptr[_weights + 2 * RowBytes * step + RowBytes]);
        }
        c.add(_weights, Bytes);
        for (int group = 0; group < _stepsOfRecord; group++)
        {
            Factor(_scale, 0, group, 0);
            if (_layout.HasOffsets) Factor(_offset, _layout.MinimaAt - _layout.ScaleBytesAt, group, OffsetsAt - ScalesAt);
        }
        c.add(_scales, RowBytes * _stepsOfRecord);
    }

    // Four columns of sixteen rows: the columns 0 and 2 as one row of a tile, 1 and 3 as the next.
    private void Step(AssemblerRegister64 planes, int at, int half, int step, AssemblerMemoryOperand even, AssemblerMemoryOperand odd)
    {
        if (Bits == 8)
        {
            _unpacking.Load(_code, planes + at, half, step);
            FloatOf(_low, 0);
            FloatOf(_second, 16);
            Pair(even);
            FloatOf(_low, 8);
            FloatOf(_second, 24);
            Pair(odd);
            return;
        }
        if (_layout.HighBits == 0)
        {
            // Bits above the code are another code's: the table repeats.
            AssemblerMemoryOperand vector = __zmmword_ptr[planes + (at + RowBytes * (_layout.LowBits == 4 ? step : half))];
            int right = _layout.LowBits == 4 ? 4 * half : 2 * step;
            if (right > 0) c.vpsrlw(_low, vector, (byte)right);
            else c.vmovdqu64(_low, vector);
            c.vpsrlw(_code, vector, (byte)(8 + right));
            c.vpermw(_low, _low, _table);
            c.vpermw(_code, _code, _table);
            c.vmovdqu64(even, _low);
            c.vmovdqu64(odd, _code);
            return;
        }
        _unpacking.Load(_code, planes + at, half, step);
        c.vpsrlw(_low, _code, 8);
        if (Bits <= 5)
        {
            c.vpermw(_code, _code, _table);
            c.vpermw(_low, _low, _table);
        }
        else
        {
            c.vpermi2w(_code, _table, _table2);
            c.vpermi2w(_low, _table, _table2);
        }
        c.vmovdqu64(even, _code);
        c.vmovdqu64(odd, _low);
    }

    // The byte of each four that begins at a bit, less the code for zero.
    private void FloatOf(AssemblerRegisterZMM target, int bit)
    {
        if (bit == 0) c.vmovdqa64(target, _code);
        else c.vpsrld(target, _code, (byte)bit);
        if (bit == 24) c.vpord(target, target, _table2);
        else c.vpternlogd(target, _number, _table2, AAndBOrC);
        c.vsubps(target, target, _table);
    }

    // The upper halves of two floats, which are all of them: the first float's as the lower one.
    private void Pair(AssemblerMemoryOperand target)
    {
        c.vpsrld(_low, _low, 16);
        c.vpternlogd(_low, _second, _high, AOrBAndC);
        c.vmovdqu64(target, _low);
    }

    private void Factor(AssemblerRegisterZMM of, int bytesAt, int group, int at)
    {
        AssemblerMemoryOperand target = __zmmword_ptr[_scales + (at + RowBytes * group)];
        if (_layout.Groups == 1)
        {
            c.vmovups(target, of);
            return;
        }
        c.vpmovsxbd(_low, __xmmword_ptr[_bytes + (bytesAt + PackedLayout.Rows * group)]);
        c.vcvtdq2ps(_low, _low);
        c.vmulps(_low, of, _low);
        c.vmovups(target, _low);
    }

    /// <summary>
    /// One tile by the weights of a turn. Products, stores of their sums and what is made of these are steps apart, in quads; steps that are no quad come first, and the processor goes on with the quads while it waits for them.
    /// </summary>
    private void MultiplyTurn()
    {
        Label quads = c.CreateLabel(), next = c.CreateLabel(), drain = c.CreateLabel(), end = c.CreateLabel();
        c.mov(_count, Argument(nameof(PackedCall.Turn)));
        if (!IsWhole) c.add(_count, _count);
        for (int few = _stepsOfRecord; few < Ring; few += _stepsOfRecord)
        {
            bool isLast = few + _stepsOfRecord == Ring;
            Label other = isLast ? quads : c.CreateLabel();
            c.mov(_bytes, _count);
            c.and(_bytes, Ring - 1);
            c.cmp(_bytes, few);
            c.jne(other);
            for (int step = 0; step < few; step++) Product(step, step);
            for (int step = 0; step < few; step++) Store(step);
            for (int step = 0; step < few; step++) Add(step, step);
            NextSteps(few);
            c.sub(_count, few);
            c.jz(end);
            if (isLast) continue;
            c.jmp(quads);
            c.Label(ref other);
        }
        c.Label(ref quads);
        for (int step = 0; step < Ring; step++)
        {
            Product(step, step);
            if (step >= StoreLag) Store(step - StoreLag);
        }
        NextSteps(Ring);
        c.sub(_count, Ring);
        c.Label(ref next);
        c.jz(drain);
        for (int step = 0; step < Ring; step++)
        {
            Product(step, step);
            Store((step + Ring - StoreLag) % Ring);
            Add(step, step - Ring);
        }
        NextSteps(Ring);
        c.sub(_count, Ring);
        c.jmp(next);
        c.Label(ref drain);
        for (int step = Ring - StoreLag; step < Ring; step++) Store(step);
        for (int step = 0; step < Ring; step++) Add(step, step - Ring);
        c.Label(ref end);
        c.nop();
    }

    private void NextSteps(int count)
    {
        c.add(_x, count / _stepsOfRecord * QuantizedTiles.RecordBytes);
        c.add(_weights, count * _stepBytes);
        c.add(_scales, count * RowBytes);
        if (_fetch < PackedKernels.Nothing) c.add(_after, count * _layout.StepBytes / _stepsOfRecord);
    }

    // A step's place in the records, counted from the registers: it may be before them.
    private int RecordOf(int step) => (step >> (_stepsOfRecord - 1)) * QuantizedTiles.RecordBytes;

    private int HalfOf(int step) => step & (_stepsOfRecord - 1);

    private void Product(int slot, int step)
    {
        Label isWide = c.CreateLabel(), back = c.CreateLabel();
        if (IsWhole)
        {
            c.cmp(__dword_ptr[_x + (RecordOf(step) + QuantizedTiles.WideAt)], 0);
            c.jne(isWide);
        }
        for (int line = 0, bytes = _layout.StepBytes / _stepsOfRecord; _fetch < PackedKernels.Nothing && line * RowBytes < bytes; line++) c.prefetcht1(__byte_ptr[_after + (bytes * step + RowBytes * line)]);
        c.tileloadd(Tmm(6), __[_weights + _lines] + _stepBytes * step);
        c.tileloadd(Tmm(4), __[_x + _lines] + (RecordOf(step) + RowBytes / 2 * HalfOf(step)));
        c.tilezero(Tmm(slot));
        c.tdpbf16ps(Tmm(slot), Tmm(4), Tmm(6));
        if (!IsWhole) return;
        c.Label(ref back);
        _wide.Add((isWide, back, slot, step));
    }

    // A wide record: its halves one after the other, each beside zeros.
    private void Halves(Label from, Label back, int slot, int step)
    {
        c.Label(ref from);
        Label rows = c.CreateLabel();
        c.xor(edi, edi);
        c.Label(ref rows);
        c.vmovdqu64(_lower, __ymmword_ptr[_x + _bytes + RecordOf(step)]); // The upper half of the register becomes zeros.
        c.vmovdqu64(_low.k1.z, __zmmword_ptr[_x + _bytes + RecordOf(step)]);
        c.vmovdqu64(__zmmword_ptr[_scratch + _bytes + HalvesAt], _code);
        c.vmovdqu64(__zmmword_ptr[_scratch + _bytes + (HalvesAt + Bytes)], _low);
        c.add(_bytes, RowBytes);
        c.cmp(_bytes, Bytes);
        c.jb(rows);
        c.tileloadd(Tmm(6), __[_weights + _lines] + _stepBytes * step);
        c.tilezero(Tmm(slot));
        for (int half = 0; half < 2; half++)
        {
            c.tileloadd(Tmm(4), __[_scratch + _lines] + (HalvesAt + Bytes * half));
            c.tdpbf16ps(Tmm(slot), Tmm(4), Tmm(6));
        }
        c.jmp(back);
    }

    private void Store(int slot) => c.tilestored(__[_scratch + _lines] + Bytes * slot, Tmm(slot));

    // Sums, scaled, to the results so far; then offsets.
    private void Add(int slot, int step)
    {
        c.vmovups(_scale, __zmmword_ptr[_scales + RowBytes * step]);
        if (_layout.HasOffsets) c.vmovups(_offset, __zmmword_ptr[_scales + (OffsetsAt - ScalesAt + RowBytes * step)]);
        for (int row = 0; row < Rows; row++) c.vfmadd231ps(Zmm(Sums + row), _scale, __zmmword_ptr[_scratch + (Bytes * slot + RowBytes * row)]);
        if (!_layout.HasOffsets) return;
        int terms = RecordOf(step) + (IsWhole ? QuantizedTiles.TermsAt : QuantizedTiles.GroupTermsAt + RowBytes * HalfOf(step));
        for (int row = 0; row < Rows; row++) c.vfmadd231ps(Zmm(Sums + row), _offset, __dword_bcst[_x + (terms + sizeof(float) * row)]);
    }

    private static AssemblerMemoryOperand Argument(string field) => PackedKernels.Argument(field);
}
