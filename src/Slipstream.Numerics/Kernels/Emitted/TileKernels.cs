using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.KernelFrame;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>What <see cref="TileKernels"/> are called with.</summary>
internal unsafe struct TileCall
{
    /// <summary>Where offsets count from.</summary>
    public byte* From;

    /// <summary>Where each row begins, in bytes.</summary>
    public long* Offset;

    /// <summary>Steps, at least 1: of sixteen rows where columns are paired, of two where rows are.</summary>
    public nint Count;

    /// <summary>Floats in a row, a multiple of 16.</summary>
    public nint Columns;

    /// <summary>The pairs.</summary>
    public uint* To;

    /// <summary>Bytes from each line that is read to the one that is asked for meanwhile, for kernels that ask.</summary>
    public nint Ahead;

    /// <summary>Where each of 32 words comes from that two rows of sixteen are put together from.</summary>
    public ushort* Order;
}

/// <summary>Brings rows of a tile into the pairs of <see cref="AttentionPairs"/>, rounded by <c>vcvtne2ps2bf16</c>, which .NET does not expose.</summary>
internal static unsafe class TileKernels
{
    private const int Rows = 16, PairRowBytes = Rows * sizeof(uint);

    /// <summary>Pairs of columns of sixteen rows at a time, one group after the other: a transpose of sixteen times sixteen pairs in registers.</summary>
    public static EmittedKernel<TileCall> PairColumns(bool asks) => Columns[asks ? 1 : 0];

    /// <summary>Pairs of two rows at a time.</summary>
    public static EmittedKernel<TileCall> PairRows(bool asks) => RowPairs[asks ? 1 : 0];

    private static readonly EmittedKernel<TileCall>[] Columns = [new("pairs of columns", c => EmitColumns(c, asks: false)), new("pairs of columns, asking", c => EmitColumns(c, asks: true))];
    private static readonly EmittedKernel<TileCall>[] RowPairs = [new("pairs of rows", c => EmitRows(c, asks: false)), new("pairs of rows, asking", c => EmitRows(c, asks: true))];

    // SAFETY: (both) callers pass rows that can be read and room for their pairs, and check the processor first.
    private static void EmitColumns(Assembler c, bool asks)
    {
        Label block = c.CreateLabel(), step = c.CreateLabel(), half = c.CreateLabel(), next = c.CreateLabel();
        Load(c, r8, r9, r10, r11, r12, rdx);
        c.Label(ref block);
        c.mov(r13, r8);  // The columns of this step, in every row.
        c.mov(r15, r11); // Columns left.
        c.Label(ref step);
        c.cmp(r15, 2 * Rows);
        c.jb(half);
        for (int row = 0; row < Rows; row++)
        {
            c.mov(rax, __qword_ptr[r9 + 8 * row]);
            c.vmovups(Zmm(16 + row), __zmmword_ptr[r13 + rax + 64]);
            c.vcvtne2ps2bf16(Zmm(row), Zmm(16 + row), __zmmword_ptr[r13 + rax]);
            if (!asks) continue;
            c.add(rax, rdx);
            c.prefetcht1(__byte_ptr[r13 + rax]);
            c.prefetcht1(__byte_ptr[r13 + rax + 64]);
        }
        Transpose();
        for (int pair = 0; pair < Rows; pair++) c.vmovdqu64(__zmmword_ptr[r12 + pair * PairRowBytes], Zmm(pair));
        c.add(r13, 128);
        c.add(r12, Rows * PairRowBytes);
        c.sub(r15, 2 * Rows);
        c.jnz(step);
        c.jmp(next);
        c.Label(ref half); // Sixteen columns: half as many pairs.
        for (int row = 0; row < Rows; row++)
        {
            c.mov(rax, __qword_ptr[r9 + 8 * row]);
            c.vcvtneps2bf16(new AssemblerRegisterYMM(Register.YMM0 + row), __zmmword_ptr[r13 + rax]);
            if (!asks) continue;
            c.add(rax, rdx);
            c.prefetcht1(__byte_ptr[r13 + rax]);
        }
        Transpose();
        for (int pair = 0; pair < Rows / 2; pair++) c.vmovdqu64(__zmmword_ptr[r12 + pair * PairRowBytes], Zmm(pair));
        c.add(r12, Rows / 2 * PairRowBytes);
        c.Label(ref next);
        c.add(r9, 8 * Rows);
        c.dec(r10);
        c.jnz(block);

        // Rows in registers 0 to 15 become columns there.
        void Transpose()
        {
            for (int i = 0; i < Rows; i += 2)
            {
                c.vpunpckldq(Zmm(16 + i), Zmm(i), Zmm(i + 1));
                c.vpunpckhdq(Zmm(17 + i), Zmm(i), Zmm(i + 1));
            }
            // Of each four rows: register 4 q + k has in lane l column 4 l + k of rows 4 q to 4 q + 3.
            for (int i = 0; i < Rows; i += 4)
            {
                c.vpunpcklqdq(Zmm(i), Zmm(16 + i), Zmm(18 + i));
                c.vpunpckhqdq(Zmm(i + 1), Zmm(16 + i), Zmm(18 + i));
                c.vpunpcklqdq(Zmm(i + 2), Zmm(17 + i), Zmm(19 + i));
                c.vpunpckhqdq(Zmm(i + 3), Zmm(17 + i), Zmm(19 + i));
            }
            for (int k = 0; k < 4; k++)
            {
                c.vshufi32x4(Zmm(16 + k), Zmm(k), Zmm(4 + k), 0x88);      // Lanes 0 and 2 of rows 0 to 7,
                c.vshufi32x4(Zmm(20 + k), Zmm(k), Zmm(4 + k), 0xDD);      // lanes 1 and 3 of them,
                c.vshufi32x4(Zmm(24 + k), Zmm(8 + k), Zmm(12 + k), 0x88); // and of rows 8 to 15.
                c.vshufi32x4(Zmm(28 + k), Zmm(8 + k), Zmm(12 + k), 0xDD);
            }
            for (int k = 0; k < 4; k++)
            {
                c.vshufi32x4(Zmm(k), Zmm(16 + k), Zmm(24 + k), 0x88);
                c.vshufi32x4(Zmm(8 + k), Zmm(16 + k), Zmm(24 + k), 0xDD);
                c.vshufi32x4(Zmm(4 + k), Zmm(20 + k), Zmm(28 + k), 0x88);
                c.vshufi32x4(Zmm(12 + k), Zmm(20 + k), Zmm(28 + k), 0xDD);
            }
        }
    }

    private static void EmitRows(Assembler c, bool asks)
    {
        Label pair = c.CreateLabel(), vectors = c.CreateLabel();
        Load(c, r8, r9, r10, r11, r12, rdx, r13);
        c.vmovdqu16(zmm31, __zmmword_ptr[r13]);
        c.Label(ref pair);
        c.mov(rsi, __qword_ptr[r9]);
        c.mov(rdi, __qword_ptr[r9 + 8]);
        c.add(rsi, r8);
        c.add(rdi, r8);
        c.mov(rax, r11);
        c.Label(ref vectors);
        c.vmovups(zmm0, __zmmword_ptr[rdi]);
        c.vcvtne2ps2bf16(zmm0, zmm0, __zmmword_ptr[rsi]);
        c.vpermw(zmm0, zmm31, zmm0);
        c.vmovdqu64(__zmmword_ptr[r12], zmm0);
        if (asks)
        {
            c.prefetcht1(__byte_ptr[rsi + rdx]);
            c.prefetcht1(__byte_ptr[rdi + rdx]);
        }
        c.add(rsi, 64);
        c.add(rdi, 64);
        c.add(r12, 64);
        c.sub(rax, 16);
        c.jnz(vectors);
        c.add(r9, 16);
        c.dec(r10);
        c.jnz(pair);
    }
}
