using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.AmxTiles;
using static Slipstream.Numerics.Kernels.Emitted.KernelFrame;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>
/// The kernels of <see cref="AttentionPairs"/> for the matrix unit: up to sixteen rows and four tiles of sums, which are 64 keys or 64 columns. Groups of keys are tiles as they lie, and so are two groups of values that follow each other.
/// </summary>
/// <remarks>
/// A configuration takes longer than the products of a block (82 ns, and 50 for sixteen rows by 64 keys of 64 columns), so one serves all kernels of a number of rows, and stays until <see cref="AmxTiles.Release"/>: tiles 0 to 3 have sums, 4 and 6 rows of
/// queries or weights, 5 and 7 keys or values; the first of both 32 columns, the second 16 where the columns of a head leave half a tile, else 32 too.
/// </remarks>
internal static unsafe class AmxAttentionKernels
{
    private const int MaxVectors = AttentionPairs.Columns / 16, MaxAsks = 4, Whole = AmxTiles.Columns / 2, Half = Whole / 2;

    // For each number of rows: one for whole tiles, one with halves.
    private static readonly nint[] s_shapes =
    [
        .. from rows in Enumerable.Range(1, Rows) from last in (int[])[Whole, Half] select Shape(tile => (tile switch { 5 => Whole, 7 => last, _ => rows }, tile == 6 ? RowBytes * last / Whole : RowBytes)),
    ];

    private static readonly EmittedKernel<ScoreCall>[] WeighKernels = [.. Kinds.Select(s => new EmittedKernel<ScoreCall>("scores in tiles", c => EmitWeigh(c, s.Rows, s.Vectors, s.Asks)))];
    private static readonly EmittedKernel<ValueCall>[] ValueKernels = [.. Kinds.Select(s => new EmittedKernel<ValueCall>("values in tiles", c => EmitValues(c, s.Rows, s.Vectors, s.Asks)))];

    /// <summary>Gives this thread's tiles the shape for so many rows, 1 to 16, which kernels of as many rows expect.</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns of queries and keys, a multiple of 16.</param>
    public static void Configure(int rows, int columns) => AmxTiles.Configure(s_shapes[2 * (rows - 1) + (columns % Columns == 0 ? 0 : 1)]);

    /// <summary>The kernel for weights of so many rows and groups of sixteen keys.</summary>
    public static EmittedKernel<ScoreCall> Weigh(int rows, int groups, int asks) => WeighKernels[Index(rows, groups, asks)];

    /// <summary>The kernel for weighted values of so many rows and vectors of sixteen columns.</summary>
    public static EmittedKernel<ValueCall> AddValues(int rows, int vectors, int asks) => ValueKernels[Index(rows, vectors, asks)];

    private static IEnumerable<(int Rows, int Vectors, int Asks)> Kinds
        => from rows in Enumerable.Range(1, AttentionPairs.MaxTileRows) from vectors in Enumerable.Range(1, MaxVectors) from asks in Enumerable.Range(0, MaxAsks + 1) select (rows, vectors, asks);

    private static int Index(int rows, int vectors, int asks) => ((rows - 1) * MaxVectors + vectors - 1) * (MaxAsks + 1) + asks;

    // SAFETY: (both) callers pass factors and results that hold the rows and columns, have configured tiles for the rows, and check the processor first.
    private static void EmitWeigh(Assembler c, int rows, int groups, int asks)
    {
        AssemblerRegister64[] keys = [rdi, rsi, r11, r15];
        Label loop = c.CreateLabel(), rest = c.CreateLabel(), end = c.CreateLabel();
        Load(c, r8, r9, r10, r12, rdx);
        for (int n = 0; n < groups; n++) c.mov(keys[n], __qword_ptr[r10 + 8 * n]);
        c.mov(r14, __qword_ptr[rcx + 8 * 10]); // Scores.
        c.mov(eax, RowBytes);
        for (int n = 0; n < groups; n++) c.tilezero(Tmm(n));
        c.mov(rbx, r12);
        c.shr(rbx, 4);
        c.jz(rest);
        c.Label(ref loop);
        Step(Whole, Tmm(4), Tmm(5));
        foreach (AssemblerRegister64 pointer in keys.AsSpan(0, groups)) c.add(pointer, Bytes);
        c.add(r8, RowBytes);
        c.dec(rbx);
        c.jnz(loop);
        c.Label(ref rest); // Strides are multiples of sixteen columns, which may be half a tile.
        c.test(r12, Half);
        c.jz(end);
        Step(Half, Tmm(6), Tmm(7));
        c.Label(ref end);
        c.mov(r13d, TiledAttention.Tile * sizeof(float));
        for (int n = 0; n < groups; n++) c.tilestored(__[r14 + r13] + RowBytes * n, Tmm(n));
        PairWeights.EmitStored(c, rows, groups, r14);

        void Step(int pairs, AssemblerRegisterTMM queries, AssemblerRegisterTMM tile)
        {
            c.tileloadd(queries, __[r8 + r9]);
            for (int n = 0; n < groups; n++)
            {
                c.tileloadd(tile, __[keys[n] + rax]);
                c.tdpbf16ps(Tmm(n), queries, tile);
                Ask(c, rdx, pairs * asks, n, groups);
            }
        }
    }

    private static void EmitValues(Assembler c, int rows, int vectors, int asks)
    {
        Label loop = c.CreateLabel();
        Load(c, r8, r9, r10, r12, r13, r14, r15, r11, rdx, rsi);
        c.mov(rdi, r13);
        for (int row = 0; row < rows; row++)
        {
            c.vbroadcastss(Zmm(0), __dword_ptr[r15 + sizeof(float) * row]);
            for (int n = 0; n < vectors; n++) c.vmulps(Zmm(1 + n), Zmm(0), __zmmword_ptr[rdi + RowBytes * n]);
            for (int n = 0; n < vectors; n++) c.vmovups(__zmmword_ptr[rdi + RowBytes * n], Zmm(1 + n));
            if (row + 1 < rows) c.add(rdi, r14);
        }
        for (int n = 0; n < vectors; n++) c.tileloadd(Tmm(n), __[r13 + r14] + RowBytes * n);
        c.Label(ref loop); // Two groups.
        c.mov(rdi, __qword_ptr[r10]);
        c.add(rdi, rsi);
        c.tileloadd(Tmm(4), __[r8 + r9]);
        for (int n = 0; n < vectors; n++)
        {
            c.tileloadd(Tmm(5), __[rdi + r11] + RowBytes * n);
            c.tdpbf16ps(Tmm(n), Tmm(4), Tmm(5));
            Ask(c, rdx, Whole * asks, n, vectors);
        }
        c.add(r8, RowBytes);
        c.add(r10, 2 * sizeof(long));
        c.sub(r12, 2);
        c.jnz(loop);
        for (int n = 0; n < vectors; n++) c.tilestored(__[r13 + r14] + RowBytes * n, Tmm(n));
    }

    /// <summary>Asks for one of several shares of some lines.</summary>
    internal static void Ask(Assembler c, AssemblerRegister64 line, int lines, int share, int shares)
    {
        for (int n = lines * share / shares; n < lines * (share + 1) / shares; n++) c.prefetcht1(__byte_ptr[line + RowBytes * n]);
        if (share + 1 == shares && lines > 0) c.add(line, RowBytes * lines);
    }
}
