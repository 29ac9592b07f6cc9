using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.AmxTiles;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>The emitted kernels of <see cref="PairLayout"/> for the matrix unit: 32 columns of sixteen weight rows are a tile as they lie.</summary>
internal sealed class AmxPairKernels : PackedKernels
{
    /// <summary>Columns of a step; widths must be whole ones.</summary>
    public const int Columns = AmxTiles.Columns;

    private const int MostGroups = 4, TogetherGroups = 2, BlockSteps = Columns / PairLayout.StepColumns;

    private AmxPairKernels() : base("bfloat16 tiles", 2 * Rows, MostGroups, accumulators: MostGroups, maxLines: Rows, accumulatorRows: Rows)
    {
    }

    /// <summary>The kernels.</summary>
    public static AmxPairKernels Instance { get; } = new();

    public override int StepColumns => Columns;

    public override int StoredResults => Stored;

    public override int? CachedBytes => AmxTiles.CachedBytes;

    // Few rows are bound by memory, whose streams tiles of sums suffice for; more rows take two by two tiles of sums, which is most for what they load.
    public override int GroupsTogether(int rows, int fetch) => rows > Rows ? TogetherGroups : MostGroups;

    // As even as can be: a tile takes as long as it has rows.
    public override int RowsTogether(int rows)
    {
        int tiles = (rows + MaxRows - 1) / MaxRows;
        return (rows + tiles - 1) / tiles;
    }

    private protected override void Emit(Assembler c, int rows, int groups, int fetch) => new Emitter(c, rows, groups, fetch).Emit();

    private sealed class Emitter
    {
        // Steps of a turn over the columns: weights of a turn stay in the first-level cache while tiles of activations pass. And bytes of a stream that are asked for ahead.
        private const int TurnSteps = 16, Far = 4096, Near = 1024;

        private readonly Assembler c;
        private readonly int _first, _second, _groups, _fetch;
        private readonly AssemblerRegister64[] _weights, _x = [rax, rsi];
        private readonly AssemblerRegister64 _lines = rbx, _rowBytes = r10, _steps = r11, _tiles = r12, _tile = r13, _after = r14, _results = r15;

        public Emitter(Assembler assembler, int rows, int groups, int fetch)
        {
            c = assembler;
            (_first, _second, _groups, _fetch) = (Math.Min(rows, Rows), Math.Max(0, rows - Rows), groups, fetch);
            AssemblerRegister64[] pointers = [rdx, rdi, r8, r9];
            _weights = pointers[..groups];
        }

        private int Halves => _second > 0 ? 2 : 1;

        public void Emit()
        {
            Label turns = c.CreateLabel(), whole = c.CreateLabel(), tiles = c.CreateLabel(), taken = c.CreateLabel(), steps = c.CreateLabel();
            GiveShape(c, _first, _second, _groups, Columns);
            c.mov(_lines, RowBytes);
            c.mov(_rowBytes, Argument(nameof(PackedCall.TileBytes)));
            for (int g = 0; g < _groups; g++)
            {
                c.mov(_weights[g], g == 0 ? Argument(nameof(PackedCall.Weights)) : Argument(nameof(PackedCall.GroupStride)));
                if (g > 0) c.add(_weights[g], _weights[g - 1]);
            }
            c.mov(_after, Argument(nameof(PackedCall.After)));
            c.sub(_after, _weights[0]); // As a distance from weights, it serves all groups.
            c.mov(_tile, Argument(nameof(PackedCall.Activations)));
            c.mov(Argument(nameof(PackedCall.TurnActivations)), _tile);
            // Weights that one tile meets pass once, in the order of memory; those that many tiles meet, some columns at a time.
            c.mov(_steps, Argument(nameof(PackedCall.Blocks)));
            c.shr(_steps, BlockSteps / 2);
            c.mov(Argument(nameof(PackedCall.Left)), _steps);
            c.cmp(Argument(nameof(PackedCall.Rewind)), 0);
            c.je(whole);
            c.mov(_steps, TurnSteps);
            c.Label(ref whole);
            c.mov(Argument(nameof(PackedCall.Longest)), _steps);
            c.mov(Argument(nameof(PackedCall.First)), 1);

            c.Label(ref turns);
            c.mov(_steps, Argument(nameof(PackedCall.Longest)));
            BeginTurn(c, _steps);
            c.shl(_steps, 10); // The bytes of a turn, which weights go back by where the next tile meets the same.
            c.xor(eax, eax);
            c.cmp(Argument(nameof(PackedCall.Rewind)), 0);
            c.cmove(_steps, rax);
            c.mov(Argument(nameof(PackedCall.Back)), _steps);
            c.mov(_tiles, Argument(nameof(PackedCall.Tiles)));
            c.mov(_results, Argument(nameof(PackedCall.Results)));
            c.mov(_tile, Argument(nameof(PackedCall.TurnActivations)));

            c.Label(ref tiles);
            c.mov(_x[0], _tile);
            if (Halves > 1)
            {
                c.mov(_x[1], _rowBytes);
                c.shl(_x[1], 4);
                c.add(_x[1], _tile);
            }
            c.mov(_steps, Argument(nameof(PackedCall.Turn)));
            c.cmp(Argument(nameof(PackedCall.First)), 0);
            c.je(taken);
            for (int i = 0; i < Halves * _groups; i++) c.tilezero(Tmm(i));
            c.jmp(steps);
            c.Label(ref taken);
            Sums((tile, memory) => c.tileloadd(tile, memory));
            c.Label(ref steps);
            Step();
            c.dec(_steps);
            c.jnz(steps);
            Sums((tile, memory) => c.tilestored(memory, tile));
            c.add(_results, RowBytes * (_first + _second) * _groups);
            c.add(_tile, Argument(nameof(PackedCall.NextTile)));
            c.mov(rax, Argument(nameof(PackedCall.Back)));
            foreach (AssemblerRegister64 weights in _weights) c.sub(weights, rax);
            c.add(_after, rax);
            c.dec(_tiles);
            c.jnz(tiles);

            // The next turn.
            foreach (AssemblerRegister64 weights in _weights) c.add(weights, rax);
            c.sub(_after, rax);
            c.mov(rax, Argument(nameof(PackedCall.Turn)));
            c.shl(rax, 6);
            c.add(Argument(nameof(PackedCall.TurnActivations)), rax);
            c.mov(Argument(nameof(PackedCall.First)), 0);
            c.cmp(Argument(nameof(PackedCall.Left)), 0);
            c.jne(turns);
        }

        private void Step()
        {
            for (int half = 0; half < Halves; half++) c.tileloadd(Tmm(4 + half), __[_x[half] + _rowBytes]);
            for (int g = 0; g < _groups; g++)
            {
                for (int line = 0; line < Rows && _fetch < Nothing; line++)
                {
                    c.prefetcht1(__byte_ptr[_weights[g] + (Far + RowBytes * line)]);
                    c.prefetcht0(__byte_ptr[_weights[g] + (Near + RowBytes * line)]);
                }
                for (int line = 0; line < _fetch; line++) c.prefetcht1(__byte_ptr[_weights[g] + _after + RowBytes * line]);
                AssemblerRegisterTMM weights = Tmm(6 + g % 2);
                c.tileloadd(weights, __[_weights[g] + _lines]);
                for (int half = 0; half < Halves; half++) c.tdpbf16ps(Tmm(half * _groups + g), Tmm(4 + half), weights);
            }
            foreach (AssemblerRegister64 weights in _weights) c.add(weights, Bytes);
            for (int half = 0; half < Halves; half++) c.add(_x[half], RowBytes);
            // What comes after is asked for some lines a step, these a whole tile.
            c.add(_after, RowBytes * Math.Max(_fetch, 0) - Bytes);
        }

        // Results are [group][row][16].
        private void Sums(Action<AssemblerRegisterTMM, AssemblerMemoryOperand> each)
        {
            for (int half = 0; half < Halves; half++)
                for (int g = 0; g < _groups; g++) each(Tmm(half * _groups + g), __[_results + _lines] + RowBytes * (g * (_first + _second) + half * Rows));
        }
    }
}
