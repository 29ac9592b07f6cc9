using System.Runtime.InteropServices;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.AmxTiles;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>
/// Attention of blocks of query rows over whole tiles of 64 positions on the matrix unit: what <see cref="AmxAttentionKernels"/> do in two calls for a tile and a block, for all of them in one, to the bit, from span to span.
/// The scores of the next block or tile are multiplied before the weights of this one are made, so that the unit, the vectors and the memory have something to do at the same time.
/// </summary>
internal static class AmxSpanKernels
{
    /// <summary>The most columns of a head.</summary>
    public const int MaxColumns = 256;

    private const int Lanes = 16, Groups = TiledAttention.Tile / Lanes, Chunk = 4, Sixteenths = 16;
    private const int ScoreBytes = TiledAttention.Tile * sizeof(float), WeightBytes = TiledAttention.Tile * sizeof(ushort);
    private const byte NotEqual = 4;

    // By rows, columns and sixteenths of the lines that a block asks for: of more than two thousand a program needs some.
    private static readonly EmittedKernel<SpanCall>?[] s_kernels = new EmittedKernel<SpanCall>?[Rows * (MaxColumns / Columns) * Sixteenths];

    /// <summary>Whether heads of so many columns, padded to a multiple of 16, can be done so.</summary>
    public static bool Takes(int columns) => columns % Columns == 0 && columns <= MaxColumns;

    /// <summary>The kernel for blocks of so many rows, for which tiles are configured.</summary>
    /// <param name="rows">Rows of a block, 1 to 16.</param>
    /// <param name="columns">Columns that <see cref="Takes"/> lets be.</param>
    /// <param name="blocks">Blocks: the lines to ask for with a tile are shared out among them.</param>
    public static EmittedKernel<SpanCall> Attend(int rows, int columns, int blocks)
    {
        int share = (Sixteenths + blocks - 1) / blocks;
        ref EmittedKernel<SpanCall>? kernel = ref s_kernels[((rows - 1) * (MaxColumns / Columns) + columns / Columns - 1) * Sixteenths + share - 1];
        return Volatile.Read(ref kernel) ?? Add(ref kernel, rows, columns, share);
    }

    private static EmittedKernel<SpanCall> Add(ref EmittedKernel<SpanCall>? place, int rows, int columns, int share)
    {
        EmittedKernel<SpanCall> kernel = new("whole tiles", c => Emit(c, rows, columns, share));
        return Interlocked.CompareExchange(ref place, kernel, null) ?? kernel;
    }

    // SAFETY: callers pass factors and results that hold the rows and columns, have configured tiles for the rows, and check the processor first.
    private static void Emit(Assembler c, int rows, int columns, int share)
    {
        Label loop = c.CreateLabel(), isLast = c.CreateLabel(), wasLast = c.CreateLabel(), kept = c.CreateLabel(), turned = c.CreateLabel();
        // A tile of keys, and as many of values.
        int lines = TiledAttention.Tile * columns * sizeof(ushort) / RowBytes * share / Sixteenths;
        PairWeights.LoadConstants(c);
        (AssemblerRegister64 queries, AssemblerRegister64 max, AssemblerRegister64 sum, AssemblerRegister64 results, AssemblerRegister64 scores, AssemblerRegister64 keep, AssemblerRegister64 weights) = (r8, rdx, rsi, r13, r14, r10, r11);
        foreach ((AssemblerRegister64 register, string field) in (ReadOnlySpan<(AssemblerRegister64, string)>)[(scores, nameof(SpanCall.Scores)), (keep, nameof(SpanCall.Keep)), (weights, nameof(SpanCall.Weights))]) c.mov(register, Field(field));
        (AssemblerRegister64 keys, AssemblerRegister64 values, AssemblerRegister64 askKeys, AssemblerRegister64 askValues) = (r9, r12, r15, rdi);
        LoadNextTile();
        LoadTile();
        MultiplyKeys();
        EndKeys(ref loop);
        c.cmp(Field(nameof(SpanCall.Left)), 1);
        c.je(isLast);
        MultiplyKeys();
        c.Label(ref isLast);
        PairWeights.EmitWhole(c, rows, scores, (row, count) => AmxAttentionKernels.Ask(c, askKeys, lines * count / rows, row, count));
        c.cmp(Field(nameof(SpanCall.Left)), 1);
        c.je(wasLast);
        EndKeys(ref wasLast);
        KeepResults();
        AddValues();
        Next(nameof(SpanCall.BlocksLeft), [(max, rows * sizeof(float)), (sum, rows * sizeof(float)), (results, rows * columns * sizeof(float))], nameof(SpanCall.Tile), LoadTile, ref turned);
        c.dec(Field(nameof(SpanCall.Left)));
        c.jnz(loop);

        void MultiplyKeys()
        {
            c.mov(eax, RowBytes);
            c.mov(ebx, columns * sizeof(ushort));
            for (int n = 0; n < Groups; n++) c.tilezero(Tmm(n));
            for (int step = 0; step < columns / Columns; step++)
            {
                AssemblerRegisterTMM factor = Tmm(step % 2 == 0 ? 4 : 6);
                c.tileloadd(factor, __[queries + rbx] + RowBytes * step);
                for (int n = 0; n < Groups; n++)
                {
                    AssemblerRegisterTMM tile = Tmm(n % 2 == 0 ? 5 : 7);
                    c.tileloadd(tile, __[keys + rax] + (n * Lanes * columns * sizeof(ushort) + Bytes * step));
                    c.tdpbf16ps(Tmm(n), factor, tile);
                }
            }
        }

        void EndKeys(ref Label end)
        {
            c.mov(eax, ScoreBytes);
            for (int n = 0; n < Groups; n++) c.tilestored(__[scores + rax] + RowBytes * n, Tmm(n));
            Next(nameof(SpanCall.NextBlocks), [(queries, rows * columns * sizeof(ushort))], nameof(SpanCall.NextTile), LoadNextTile, ref end);
        }

        // Results are worth as much as before where no row has a greater score than before.
        void KeepResults()
        {
            Label row = c.CreateLabel();
            IsFirst();
            c.jne(kept);
            c.mov(eax, (1 << rows) - 1);
            c.kmovw(k1, eax);
            c.vcmpps(k1.k1, PairWeights.One, __zmmword_ptr[keep], NotEqual);
            c.kortestw(k1, k1);
            c.jz(kept);
            c.mov(rax, results);
            c.xor(ebx, ebx);
            c.Label(ref row);
            c.vbroadcastss(zmm0, __dword_ptr[keep + rbx * sizeof(float)]);
            for (int at = 0; at < columns * sizeof(float); at += RowBytes)
            {
                c.vmulps(zmm1, zmm0, __zmmword_ptr[rax + at]);
                c.vmovups(__zmmword_ptr[rax + at], zmm1);
            }
            c.add(rax, columns * sizeof(float));
            c.inc(ebx);
            c.cmp(ebx, rows);
            c.jb(row);
            c.Label(ref kept);
        }

        void AddValues()
        {
            int vectors = columns / Lanes, steps = TiledAttention.Tile / Columns, turns = vectors * steps, turn = 0;
            c.mov(ebx, columns * sizeof(float));
            for (int from = 0; from < vectors; from += Chunk)
            {
                Label load = c.CreateLabel(), ready = c.CreateLabel();
                int count = Math.Min(Chunk, vectors - from);
                IsFirst();
                c.je(load);
                for (int n = 0; n < count; n++) c.tilezero(Tmm(n));
                c.jmp(ready);
                c.Label(ref load);
                for (int n = 0; n < count; n++) c.tileloadd(Tmm(n), __[results + rbx] + RowBytes * (from + n));
                c.Label(ref ready);
                c.mov(eax, WeightBytes);
                for (int step = 0; step < steps; step++)
                {
                    AssemblerRegisterTMM factor = Tmm(step % 2 == 0 ? 4 : 6);
                    c.tileloadd(factor, __[weights + rax] + RowBytes * step);
                    for (int n = 0; n < count; n++, turn++)
                    {
                        AssemblerRegisterTMM tile = Tmm(n % 2 == 0 ? 5 : 7);
                        c.tileloadd(tile, __[values + rbx] + (step * Lanes * columns * sizeof(float) + RowBytes * (from + n)));
                        c.tdpbf16ps(Tmm(n), factor, tile);
                        AmxAttentionKernels.Ask(c, askValues, lines * (turn + 1) / turns - lines * turn / turns, 0, 1);
                    }
                }
                for (int n = 0; n < count; n++) c.tilestored(__[results + rbx] + RowBytes * (from + n), Tmm(n));
            }
        }

        // Whether the tile is the first of its span: not equal.
        void IsFirst()
        {
            c.mov(rax, Field(nameof(SpanCall.Tile)));
            c.cmp(OfTile(nameof(SpanTile.IsFirst)), 0);
        }

        void LoadNextTile()
        {
            c.mov(queries, Field(nameof(SpanCall.Queries)));
            c.mov(rax, Field(nameof(SpanCall.NextTile)));
            c.mov(keys, OfTile(nameof(SpanTile.Keys)));
        }

        void LoadTile()
        {
            c.mov(rax, Field(nameof(SpanCall.Tile)));
            foreach ((AssemblerRegister64 register, string field) in (ReadOnlySpan<(AssemblerRegister64, string)>)[(values, nameof(SpanTile.Values)), (askKeys, nameof(SpanTile.AskKeys)), (askValues, nameof(SpanTile.AskValues)),
                (max, nameof(SpanTile.Max)), (sum, nameof(SpanTile.Sum)), (results, nameof(SpanTile.Results))]) c.mov(register, OfTile(field));
        }

        // The next block; after the last one the first, with the next tile. The label comes after it.
        void Next(string blocks, ReadOnlySpan<(AssemblerRegister64 Pointer, int Bytes)> steps, string tile, Action load, ref Label end)
        {
            foreach ((AssemblerRegister64 pointer, int bytes) in steps) c.add(pointer, bytes);
            c.dec(Field(blocks));
            c.jnz(end);
            c.mov(rax, Field(nameof(SpanCall.Blocks)));
            c.mov(Field(blocks), rax);
            unsafe
            {
                c.add(Field(tile), sizeof(SpanTile));
            }
            load();
            c.Label(ref end);
        }
    }

    private static AssemblerMemoryOperand Field(string name) => __qword_ptr[rcx + (int)Marshal.OffsetOf<SpanCall>(name)];

    private static AssemblerMemoryOperand OfTile(string name) => __qword_ptr[rax + (int)Marshal.OffsetOf<SpanTile>(name)];
}
