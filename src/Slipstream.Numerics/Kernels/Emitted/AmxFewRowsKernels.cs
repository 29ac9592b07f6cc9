using System.Collections.Concurrent;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.AmxTiles;
using static Slipstream.Numerics.Kernels.Emitted.KernelFrame;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>
/// The emitted kernels of one <see cref="PackedLayout"/> for the matrix unit and up to sixteen rows of activations, with the bits of <see cref="AmxIntegerKernels"/>: weights that few rows meet become bfloat16 record by record,
/// while the unit multiplies those of the records before.
/// </summary>
internal sealed class AmxFewRowsKernels : PackedKernels
{
    /// <summary>Rows of activations from which on and up to which they are taken.</summary>
    public const int LeastRows = 9, MostRows = Rows;

    /// <summary>Columns of weights at least: with fewer, what activations become and the beginning and the end of a group, where not all is on the way, cost more than is saved.</summary>
    public const int LeastColumns = 2048;

    private static readonly ConcurrentDictionary<PackedLayout, AmxFewRowsKernels> s_all = [];

    private readonly PackedLayout _layout;

    private AmxFewRowsKernels(PackedLayout layout) : base("packed, in a tile", Rows, maxGroups: 1, accumulators: 1, maxLines: 8, accumulatorRows: Rows) => _layout = layout;

    /// <summary>The kernels of a layout.</summary>
    public static AmxFewRowsKernels Of(PackedLayout layout) => s_all.GetOrAdd(layout, static l => new AmxFewRowsKernels(l));

    /// <summary>
    /// Whether they are taken for weights of so many columns: enough, and whole turns; and not for what takes longer than sixteen rows of vectors, codes of whole bytes to become bfloat16 and columns that share a scale by 16 to be
    /// stored, twice in a record.
    /// </summary>
    public static bool Take(PackedLayout layout, int columns) => layout.LowBits < 8 && layout.GroupLength == PackedLayout.PlaneLength && AmxFewRowsKernelEmitter.CanTake(layout, columns);

    public override int StepColumns => PackedLayout.PlaneLength;

    public override int ScratchBytes => AmxFewRowsKernelEmitter.ScratchBytes;

    public override int GroupsTogether(int rows, int fetch) => 1;

    public override int RowsTogether(int rows) => Rows;

    private protected override void Emit(Assembler c, int rows, int groups, int fetch) => new AmxFewRowsKernelEmitter(c, _layout, rows, fetch).Emit();
}

/// <summary>Writes one kernel: some rows of activations by sixteen weight rows, or by such groups one after another.</summary>
internal sealed class AmxFewRowsKernelEmitter
{
    // Records from what codes become to their product, its store and its addition: a store that waits for a product holds up the stores after it, of codes too. Measured.
    private const int ProductLag = 2, StoreLag = 4, AddLag = 5;

    // Records of a turn at least, and records whose sums are in memory at a time: one is written while the other is read.
    private const int Least = 2;

    // Records whose codes are in memory at a time, and tiles of sums, at most.
    private const int MostCodes = 4, MostSums = 4;

    // Bytes ahead of its use that a line is asked for into the second-level cache, and from there into the first.
    private const int Far = 12 << 10, Near = 4 << 10;

    // Parts of the scratch.
    private const int WeightsAt = 0, SumsAt = MostCodes * Bytes, HalvesAt = SumsAt + Least * Bytes;

    /// <summary>Bytes of scratch.</summary>
    public const int ScratchBytes = HalvesAt + 2 * Bytes;

    private readonly Assembler c;
    private readonly PackedLayout _layout;
    private readonly int _rows, _fetch, _recordsOfBlock, _unrolled, _filling, _codesRing, _sumsRing;
    private readonly AmxCodes _codes;
    private readonly AssemblerRegisterZMM _scale = Zmm(30), _offset = Zmm(31);
    private readonly AssemblerRegister64 _block = rdx, _x = rax, _lines = r10, _count = r11, _results = rbx, _tiles = r12, _tile = r13, _after = r14, _scratch = r15, _row = rdi;
    private readonly List<(Label From, Label Back, int Record)> _wide = [];

    public AmxFewRowsKernelEmitter(Assembler assembler, PackedLayout layout, int rows, int fetch)
    {
        c = assembler;
        (_layout, _rows, _fetch) = (layout, rows, fetch);
        (_recordsOfBlock, _unrolled, _filling) = Turns(layout);
        _codesRing = Math.Min(MostCodes, _unrolled);
        _sumsRing = Math.Min(MostSums, _unrolled);
        _codes = new AmxCodes(assembler, layout);
    }

    /// <summary>Whether columns are enough, and whole turns.</summary>
    public static bool CanTake(PackedLayout layout, int columns)
    {
        (_, int unrolled, int filling) = Turns(layout);
        return columns >= AmxFewRowsKernels.LeastColumns && (columns / PackedLayout.PlaneLength - filling) % unrolled == 0;
    }

    // Records of a block, of a turn of the loop, and before the first turn, in which not all is on the way yet: whole blocks each.
    private static (int OfBlock, int Unrolled, int Filling) Turns(PackedLayout layout)
    {
        int ofBlock = layout.BlockLength / PackedLayout.PlaneLength, unrolled = Math.Max(Least, ofBlock);
        return (ofBlock, unrolled, (AddLag + unrolled - 1) / unrolled * unrolled);
    }

    public void Emit()
    {
        Label tiles = c.CreateLabel(), turns = c.CreateLabel(), end = c.CreateLabel();
        GiveShape(c, _rows, 0, MostSums, Columns);
        c.mov(ebx, 0xF0); // The upper half of a vector.
        c.kmovd(k1, ebx);
        _codes.Begin();
        c.mov(_lines, RowBytes);
        c.mov(_scratch, Argument(nameof(PackedCall.Scratch)));
        c.mov(_block, Argument(nameof(PackedCall.Weights)));
        PackedKernels.Begin(c, 1, _fetch, default, default, _tile, _tiles, _results, _after);

        c.Label(ref tiles);
        c.mov(_x, _tile);
        for (int row = 0; row < _rows; row++) c.vpxord(Zmm(row), Zmm(row), Zmm(row));
        for (int i = 0; i < _filling; i++) Record(i, AddLag <= i, StoreLag <= i, ProductLag <= i, converts: true);
        Next(_filling);
        c.imul(_count, Argument(nameof(PackedCall.Blocks)), _recordsOfBlock);
        c.sub(_count, _filling);
        c.Label(ref turns);
        for (int i = 0; i < _unrolled; i++) Record(i, true, true, true, converts: true);
        Next(_unrolled);
        c.sub(_count, _unrolled);
        c.jnz(turns);
        for (int i = 0; i < AddLag; i++) Record(i, true, i < StoreLag, i < ProductLag, converts: false);
        for (int row = 0; row < _rows; row++) c.vmovups(__zmmword_ptr[_results + RowBytes * row], Zmm(row));
        c.add(_results, RowBytes * _rows);
        PackedKernels.Next(c, _block, _tile);
        c.dec(_tiles);
        c.jnz(tiles);
        c.jmp(end);
        foreach ((Label from, Label back, int record) in _wide) Halves(from, back, record);
        c.Label(ref end);
    }

    private void Next(int records)
    {
        c.add(_block, records / _recordsOfBlock * _layout.BlockBytes);
        c.add(_x, records * QuantizedTiles.RecordBytes);
        if (_fetch > PackedKernels.Nothing) c.add(_after, records * _fetch * RowBytes);
    }

    /// <summary>The work of a record's turn, for those before it that have come so far. Counted from the registers; those before may be before them.</summary>
    private void Record(int record, bool adds, bool stores, bool multiplies, bool converts)
    {
        if (adds) Add(record - AddLag);
        if (stores) Store(record - StoreLag);
        if (multiplies) Multiply(record - ProductLag);
        if (converts) Convert(record);
    }

    private int CodesAt(int record) => WeightsAt + (record & (_codesRing - 1)) * Bytes;

    private int BlockOf(int record) => (record >= 0 ? record / _recordsOfBlock : (record + 1) / _recordsOfBlock - 1) * _layout.BlockBytes;

    private int InBlock(int record) => (record % _recordsOfBlock + _recordsOfBlock) % _recordsOfBlock;

    private void Convert(int record)
    {
        int at = BlockOf(record) + _layout.PlanesAt + InBlock(record) * _layout.PlaneBytes;
        // A block's header is asked for with its first planes.
        int first = InBlock(record) == 0 ? BlockOf(record) : at, lines = (at + _layout.PlaneBytes - first + RowBytes - 1) / RowBytes, asked = 0;
        for (int step = 0; step < AmxCodes.Steps; step++)
        {
            for (; _fetch < PackedKernels.Nothing && asked < lines && asked * AmxCodes.Steps <= step * lines; asked++)
            {
                c.prefetcht1(__byte_ptr[_block + (first + RowBytes * asked + Far)]);
                c.prefetcht0(__byte_ptr[_block + (first + RowBytes * asked + Near)]);
            }
            for (int line = step; line < _fetch; line += AmxCodes.Steps) c.prefetcht1(__byte_ptr[_after + RowBytes * (record * _fetch + line)]);
            AssemblerMemoryOperand row = _scratch + (CodesAt(record) + 2 * RowBytes * step);
            _codes.Step(_block + at, step, __zmmword_ptr[row], __zmmword_ptr[row + RowBytes]);
        }
    }

    private AssemblerRegisterTMM SumsOf(int record) => Tmm(record & (_sumsRing - 1));

    private void Multiply(int record)
    {
        int x = record * QuantizedTiles.RecordBytes;
        Label isWide = c.CreateLabel(), back = c.CreateLabel();
        c.cmp(__dword_ptr[_x + (x + QuantizedTiles.WideAt)], 0);
        c.jne(isWide);
        c.tileloadd(WeightsOf(record), __[_scratch + _lines] + CodesAt(record));
        c.tileloadd(ValuesOf(record), __[_x + _lines] + x);
        c.tilezero(SumsOf(record));
        c.tdpbf16ps(SumsOf(record), ValuesOf(record), WeightsOf(record));
        c.Label(ref back);
        _wide.Add((isWide, back, record));
    }

    // Both of each kind are in use by turns.
    private static AssemblerRegisterTMM WeightsOf(int record) => Tmm(6 + (record & 1));

    private static AssemblerRegisterTMM ValuesOf(int record) => Tmm(4 + (record & 1));

    // A wide record: its halves one after the other, each beside zeros.
    private void Halves(Label from, Label back, int record)
    {
        int x = record * QuantizedTiles.RecordBytes;
        AssemblerRegisterTMM sums = SumsOf(record), values = ValuesOf(record), weights = WeightsOf(record);
        Label rows = c.CreateLabel();
        c.Label(ref from);
        c.xor(edi, edi);
        c.Label(ref rows);
        c.vmovdqu64(new AssemblerRegisterYMM(Register.YMM0 + 30), __ymmword_ptr[_x + _row + x]); // The upper half of the register becomes zeros.
        c.vmovdqu64(_offset.k1.z, __zmmword_ptr[_x + _row + x]);
        c.vmovdqu64(__zmmword_ptr[_scratch + _row + HalvesAt], _scale);
        c.vmovdqu64(__zmmword_ptr[_scratch + _row + (HalvesAt + Bytes)], _offset);
        c.add(_row, RowBytes);
        c.cmp(_row, RowBytes * _rows);
        c.jb(rows);
        c.tileloadd(weights, __[_scratch + _lines] + CodesAt(record));
        c.tilezero(sums);
        for (int half = 0; half < 2; half++)
        {
            c.tileloadd(values, __[_scratch + _lines] + (HalvesAt + Bytes * half));
            c.tdpbf16ps(sums, values, weights);
        }
        c.jmp(back);
    }

    private static int SumsIn(int record) => SumsAt + (record & (Least - 1)) * Bytes;

    private void Store(int record) => c.tilestored(__[_scratch + _lines] + SumsIn(record), SumsOf(record));

    // Sums, scaled, to the results so far; then offsets.
    private void Add(int record)
    {
        int block = BlockOf(record), group = PackedLayout.Rows * InBlock(record), terms = record * QuantizedTiles.RecordBytes + QuantizedTiles.TermsAt;
        Factor(_scale, block, 0, _layout.ScaleBytesAt + group);
        for (int row = 0; row < _rows; row++) c.vfmadd231ps(Zmm(row), _scale, __zmmword_ptr[_scratch + (SumsIn(record) + RowBytes * row)]);
        if (!_layout.HasOffsets) return;
        Factor(_offset, block, PackedLayout.OffsetsAt, _layout.MinimaAt + group);
        for (int row = 0; row < _rows; row++) c.vfmadd231ps(Zmm(row), _offset, __dword_bcst[_x + (terms + sizeof(float) * row)]);
    }

    private void Factor(AssemblerRegisterZMM result, int block, int halvesAt, int bytesAt)
    {
        c.vcvtph2ps(result, __ymmword_ptr[_block + (block + halvesAt)]);
        if (_layout.Groups > 1) _codes.Factor(result, result, _block + (block + bytesAt));
    }

    private static AssemblerMemoryOperand Argument(string field) => PackedKernels.Argument(field);
}
