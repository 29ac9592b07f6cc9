using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.KernelFrame;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>What an emitted tile is called with.</summary>
// SAFETY: only emitted code follows these pointers; whoever fills them in has checked what they point to.
internal unsafe struct RowTileArguments
{
    /// <summary>The weight rows of the first tile.</summary>
    public byte* Row0, Row1, Row2, Row3;

    /// <summary>Bytes from a tile's rows to those of the next.</summary>
    public nint Advance;

    /// <summary>The first row of activations.</summary>
    public byte* X;

    /// <summary>Bytes between rows of activations.</summary>
    public nint XStride;

    /// <summary>Columns.</summary>
    public nint Width;

    /// <summary>Partial sums to begin with, <see cref="RowTile.SumFloats"/> a tile; null to begin with zeros. The kernel changes it and the next three.</summary>
    public float* Taken;

    /// <summary>Where partial sums are kept; null where the results are complete.</summary>
    public float* Kept;

    /// <summary>Results, tile after tile; in a tile four, one for each weight row, to each of four or eight rows of activations.</summary>
    public float* Results;

    /// <summary>Tiles, at least one.</summary>
    public nint Count;
}

/// <summary>How an emitted tile multiplies.</summary>
internal enum RowTileKind
{
    /// <summary>Float activations, bfloat16 weights, 16 columns a step; the bits of <see cref="FloatTile"/>.</summary>
    BF16ByF32,

    /// <summary>Float activations, half-precision weights, 16 columns a step; the bits of <see cref="FloatTile"/>.</summary>
    F16ByF32,
}

/// <summary>Writes the tile of <see cref="RowTile"/>: four weight rows by one to six rows of activations.</summary>
internal static class RowTileCode
{
    private const int Weights = RowTile.WeightRows, SumBytes = RowTile.SumFloats * sizeof(float);

    // Offsets in RowTileArguments.
    private const int AdvanceAt = 32, XAt = 40, XStrideAt = 48, WidthAt = 56, TakenAt = 64, KeptAt = 72, ResultsAt = 80, CountAt = 88;

    /// <summary>The kernels of a kind, for one to six rows.</summary>
    public static EmittedKernel<RowTileArguments>[] Kernels(RowTileKind kind)
        => [.. Enumerable.Range(1, RowTile.MaxRows).Select(rows => new EmittedKernel<RowTileArguments>($"{kind} of {rows} rows", c => Write(c, kind, rows)))];

    private static void Write(Assembler c, RowTileKind kind, int rows)
    {
        AssemblerRegister64[] w = [rax, rdx, r8, r9], x = [r10, r11, rsi, rdi, rbx, r12];
        AssemblerRegister64 i = r13, width = r14, pointer = r15;
        for (int n = 0; n < Weights; n++) c.mov(w[n], __[rcx + 8 * n]);
        c.mov(x[0], __[rcx + XAt]);
        c.mov(pointer, __[rcx + XStrideAt]);
        for (int m = 1; m < rows; m++) c.lea(x[m], __[x[m - 1] + pointer]);
        c.mov(width, __[rcx + WidthAt]);

        // Bytes ahead of its use that a line is fetched into the second-level cache and from there into the first: measured. See IntegerKernelEmitter.
        (int far, int near) = rows <= 2 ? (1024, 256) : (4096, 1024);

        // Sums: zmm0 on; four weight rows to a row of activations. Weights zmm24-27, activations zmm28 and zmm29.
        Label tile = c.CreateLabel(), zeros = c.CreateLabel(), loop = c.CreateLabel(), reduce = c.CreateLabel(), next = c.CreateLabel();
        c.Label(ref tile);
        c.mov(pointer, __[rcx + TakenAt]);
        c.xor(r13d, r13d);
        c.test(pointer, pointer);
        c.je(zeros);
        for (int n = 0; n < Weights * rows; n++) c.vmovups(Zmm(n), __zmmword_ptr[pointer + 64 * n]);
        c.add(__qword_ptr[rcx + TakenAt], SumBytes);
        c.jmp(loop);
        c.Label(ref zeros);
        for (int n = 0; n < Weights * rows; n++) c.vpxord(Zmm(n), Zmm(n), Zmm(n));
        c.Label(ref loop);
        for (int n = 0; n < Weights; n++)
        {
            c.prefetcht1(__byte_ptr[w[n] + i * 2 + far]);
            c.prefetcht0(__byte_ptr[w[n] + i * 2 + near]);
            switch (kind)
            {
                case RowTileKind.BF16ByF32:
                    c.vpmovzxwd(Zmm(24 + n), __ymmword_ptr[w[n] + i * 2]);
                    c.vpslld(Zmm(24 + n), Zmm(24 + n), 16);
                    break;
                default:
                    c.vcvtph2ps(Zmm(24 + n), __ymmword_ptr[w[n] + i * 2]);
                    break;
            }
        }
        for (int m = 0; m < rows; m++)
        {
            AssemblerRegisterZMM u = Zmm(28 + m % 2);
            c.vmovups(u, __zmmword_ptr[x[m] + i * 4]);
            for (int n = 0; n < Weights; n++) c.vfmadd231ps(Zmm(Weights * m + n), Zmm(24 + n), u);
        }
        c.add(i, Lanes.Count);
        c.cmp(i, width);
        c.jb(loop);
        c.mov(pointer, __[rcx + KeptAt]);
        c.test(pointer, pointer);
        c.je(reduce);
        for (int n = 0; n < Weights * rows; n++) c.vmovups(__zmmword_ptr[pointer + 64 * n], Zmm(n));
        c.add(__qword_ptr[rcx + KeptAt], SumBytes);
        c.jmp(next);
        c.Label(ref reduce);
        c.mov(pointer, __[rcx + ResultsAt]);
        Reduce(c, rows, pointer);
        c.add(__qword_ptr[rcx + ResultsAt], ResultRows(rows) * Weights * sizeof(float));
        c.Label(ref next);
        c.mov(pointer, __[rcx + AdvanceAt]);
        for (int n = 0; n < Weights; n++) c.add(w[n], pointer);
        c.dec(__qword_ptr[rcx + CountAt]);
        c.jne(tile);
    }

    /// <summary>Rows of results in a tile of <paramref name="rows"/> rows of activations.</summary>
    public static int ResultRows(int rows) => rows > 4 ? 8 : 4;

    /// <summary>
    /// Adds the lanes of all sums in the order of <see cref="Lanes"/>, four rows of activations together: a quarter of a register for each, and in it the four weight rows.
    /// </summary>
    private static void Reduce(Assembler c, int rows, AssemblerRegister64 results)
    {
        for (int first = 0; first < rows; first += 4)
        {
            // Rows that are not there repeat the last; their results are not read.
            int Sum(int m, int n) => Weights * Math.Min(first + m, rows - 1) + n;
            for (int n = 0; n < Weights; n++)
            {
                // Lane i + lane i + 8: two rows of activations to a register.
                Fold(c, 24, Sum(0, n), Sum(1, n));
                Fold(c, 25, Sum(2, n), Sum(3, n));
                // Then i + 4: quarters are the four rows.
                c.vshuff64x2(Zmm(30), Zmm(24), Zmm(25), 0x88);
                c.vshuff64x2(Zmm(31), Zmm(24), Zmm(25), 0xDD);
                c.vaddps(Zmm(26 + n), Zmm(30), Zmm(31));
            }
            // Then i + 2, two weight rows to a register, and i + 1.
            Halve(c, 24, 26, 27, 0x44, 0xEE);
            Halve(c, 25, 28, 29, 0x44, 0xEE);
            Halve(c, 24, 24, 25, 0x88, 0xDD);
            c.vmovups(__zmmword_ptr[results + 16 * first], Zmm(24));
        }
    }

    private static void Fold(Assembler c, int target, int a, int b)
    {
        c.vshuff64x2(Zmm(30), Zmm(a), Zmm(b), 0x44);
        c.vshuff64x2(Zmm(31), Zmm(a), Zmm(b), 0xEE);
        c.vaddps(Zmm(target), Zmm(30), Zmm(31));
    }

    private static void Halve(Assembler c, int target, int a, int b, byte low, byte high)
    {
        c.vshufps(Zmm(30), Zmm(a), Zmm(b), low);
        c.vshufps(Zmm(31), Zmm(a), Zmm(b), high);
        c.vaddps(Zmm(target), Zmm(30), Zmm(31));
    }
}
