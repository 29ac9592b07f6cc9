using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.KernelFrame;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>The emitted kernels of <see cref="PairLayout"/>: products by 512-bit <c>vdpbf16ps</c>, a pair of columns of sixteen weight rows by a broadcast pair of activations.</summary>
internal sealed class PairProductKernels : PackedKernels
{
    private const int MostRows = 8, MostResults = 24;

    private PairProductKernels() : base("bfloat16 pairs", MostRows, maxGroups: 4, MostResults, maxLines: PairLayout.StepPairs)
    {
    }

    /// <summary>The kernels.</summary>
    public static PairProductKernels Instance { get; } = new();

    public override int StepColumns => PairLayout.StepColumns;

    // While one tile is all, as many streams from memory as registers allow. For more, two: what meets all tiles then takes less of the second-level cache, and groups of layers are multiples of it.
    public override int GroupsTogether(int rows, int fetch) => rows > MostRows ? 2 : Math.Min(MaxGroups, MostResults / rows);

    // As even as can be: 9 are 5 and 4.
    public override int RowsTogether(int rows)
    {
        int tiles = (rows + MostRows - 1) / MostRows;
        return (rows + tiles - 1) / tiles;
    }

    private protected override void Emit(Assembler c, int rows, int groups, int fetch) => new Emitter(c, rows, groups, fetch).Emit();

    private sealed class Emitter
    {
        private const int ColumnsBytes = 2 * sizeof(ushort), RowsOfPointer = 3, FirstWeight = MostResults, FirstPair = FirstWeight + 4, Pairs = 4;

        private readonly Assembler c;
        private readonly int _rows, _groups, _fetch, _far, _near;
        private readonly AssemblerRegister64[] _x;
        private readonly AssemblerRegister64 _weights = rdx, _stride = r8, _stride3 = r9, _rowBytes = r10, _steps = r11, _tiles = r12, _tile = r13, _after = r14, _results = r15;

        public Emitter(Assembler assembler, int rows, int groups, int fetch)
        {
            c = assembler;
            (_rows, _groups, _fetch) = (rows, groups, fetch);
            // Bytes ahead of its use that a line is fetched into the second-level cache and from there into the first: measured. See IntegerKernelEmitter.
            (_far, _near) = rows <= 4 ? (1024, 256) : (4096, 1024);
            AssemblerRegister64[] pointers = [rax, rsi, rdi];
            _x = pointers[..((rows + RowsOfPointer - 1) / RowsOfPointer)];
        }

        public void Emit()
        {
            Label tiles = c.CreateLabel(), steps = c.CreateLabel();
            Begin(c, _groups, _fetch, _stride, _stride3, _tile, _tiles, _results, _after);
            c.mov(_rowBytes, Argument(nameof(PackedCall.TileBytes)));
            c.mov(_weights, Argument(nameof(PackedCall.Weights)));
            c.Label(ref tiles);
            c.mov(_steps, Argument(nameof(PackedCall.Blocks)));
            c.mov(_x[0], _tile);
            for (int i = 1; i < _x.Length; i++)
            {
                c.lea(_x[i], __[_x[i - 1] + _rowBytes * 2]);
                c.add(_x[i], _rowBytes);
            }
            for (int i = 0; i < _rows * _groups; i++) c.vpxord(Zmm(i), Zmm(i), Zmm(i));
            c.Label(ref steps);
            for (int pair = 0; pair < PairLayout.StepPairs; pair++) Pair(pair);
            c.add(_weights, PairLayout.StepPairs * PairLayout.PairBytes);
            foreach (AssemblerRegister64 x in _x) c.add(x, PairLayout.StepPairs * ColumnsBytes);
            if (_fetch > 0) c.add(_after, _fetch * Lines.Bytes);
            c.dec(_steps);
            c.jnz(steps);
            for (int i = 0; i < _rows * _groups; i++) c.vmovups(__zmmword_ptr[_results + PairLayout.PairBytes * i], Zmm(i)); // [group][row], as the registers are.
            c.add(_results, PairLayout.PairBytes * _rows * _groups);
            Next(c, _weights, _tile);
            c.dec(_tiles);
            c.jnz(tiles);
        }

        private void Pair(int pair)
        {
            for (int g = 0; g < _groups; g++)
            {
                AssemblerMemoryOperand weights = Group(_weights, _stride, _stride3, g) + PairLayout.PairBytes * pair;
                c.vmovdqu64(Zmm(FirstWeight + g), __zmmword_ptr[weights]);
                if (_fetch < Nothing)
                {
                    c.prefetcht1(__byte_ptr[weights + _far]);
                    c.prefetcht0(__byte_ptr[weights + _near]);
                }
                else if (pair < _fetch) c.prefetcht1(__byte_ptr[Group(_after, _stride, _stride3, g) + Lines.Bytes * pair]);
            }
            for (int row = 0; row < _rows; row++)
            {
                AssemblerRegister64 x = _x[row / RowsOfPointer];
                AssemblerMemoryOperand columns = (row % RowsOfPointer) switch { 0 => __[x], 1 => __[x + _rowBytes], _ => __[x + _rowBytes * 2] };
                // One load for all groups.
                c.vpbroadcastd(Zmm(FirstPair + row % Pairs), __dword_ptr[columns + ColumnsBytes * pair]);
                for (int g = 0; g < _groups; g++) c.vdpbf16ps(Zmm(g * _rows + row), Zmm(FirstWeight + g), Zmm(FirstPair + row % Pairs));
            }
        }
    }
}
