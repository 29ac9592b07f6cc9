using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.KernelFrame;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>The kernels of <see cref="AttentionPairs"/> by 512-bit <c>vdpbf16ps</c>: up to four rows and 64 columns, sixteen sums that stay in registers, those of scores until they are weights.</summary>
internal static class PairKernels
{
    private const int MaxVectors = AttentionPairs.Columns / 16, MaxAsks = 4, VectorBytes = 64;

    private static readonly EmittedKernel<ScoreCall>[] WeighKernels = [.. Shapes.Select(s => new EmittedKernel<ScoreCall>("scores in bfloat16", c => EmitWeigh(c, s.Rows, s.Vectors, s.Asks)))];
    private static readonly EmittedKernel<ValueCall>[] ValueKernels = [.. Shapes.Select(s => new EmittedKernel<ValueCall>("values in bfloat16", c => EmitValues(c, s.Rows, s.Vectors, s.Asks)))];

    /// <summary>The kernel for weights of so many rows and groups of sixteen keys.</summary>
    public static EmittedKernel<ScoreCall> Weigh(int rows, int groups, int asks) => WeighKernels[Index(rows, groups, asks)];

    /// <summary>The kernel for weighted values of so many rows and vectors of sixteen columns.</summary>
    public static EmittedKernel<ValueCall> AddValues(int rows, int vectors, int asks) => ValueKernels[Index(rows, vectors, asks)];

    private static IEnumerable<(int Rows, int Vectors, int Asks)> Shapes
        => from rows in Enumerable.Range(1, AttentionPairs.MaxRows) from vectors in Enumerable.Range(1, MaxVectors) from asks in Enumerable.Range(0, MaxAsks + 1) select (rows, vectors, asks);

    private static int Index(int rows, int vectors, int asks) => ((rows - 1) * MaxVectors + vectors - 1) * (MaxAsks + 1) + asks;

    private static AssemblerRegisterZMM Sum(int row, int vectors, int n) => Zmm(row * vectors + n);

    private static AssemblerRegisterZMM B(int n) => Zmm(24 + n);

    private static AssemblerRegisterZMM A(int row) => Zmm(28 + row);

    private static AssemblerRegister64[] RowsOfA => [r8, rax, rdx, rsi];

    // SAFETY: (both) callers pass factors and results that hold the rows and columns, and check the processor first.
    private static void EmitWeigh(Assembler c, int rows, int groups, int asks)
    {
        AssemblerRegister64[] a = RowsOfA, b = [r10, r11, rdi, r15];
        Label loop = c.CreateLabel();
        c.mov(r13, rcx);
        Load(c, a[0], r9, r10, r12);
        for (int row = 1; row < rows; row++) c.lea(a[row], __[a[row - 1] + r9]);
        for (int n = groups - 1; n >= 0; n--) c.mov(b[n], __qword_ptr[r10 + 8 * n]);
        if (asks > 0) c.mov(rcx, __qword_ptr[rcx + 8 * 4]); // Ask.
        Clear(c, rows, groups);
        c.xor(ebx, ebx); // The pair, and
        c.xor(r9d, r9d); // its bytes in a group.
        c.Label(ref loop);
        for (int n = 0; n < groups; n++) c.vmovdqu64(B(n), __zmmword_ptr[b[n] + r9]);
        Ask(c, rcx, asks);
        Step(c, a, rows, groups);
        c.add(r9, VectorBytes);
        c.inc(rbx);
        c.cmp(rbx, r12);
        c.jb(loop);
        c.mov(rcx, r13);
        PairWeights.Emit(c, rows, groups);
    }

    private static void EmitValues(Assembler c, int rows, int vectors, int asks)
    {
        AssemblerRegister64[] a = RowsOfA;
        Label group = c.CreateLabel(), loop = c.CreateLabel();
        Load(c, a[0], r9, r10, r12, r13, r14, r15, r11);
        for (int row = 1; row < rows; row++) c.lea(a[row], __[a[row - 1] + r9]);
        c.mov(rdi, r13);
        for (int row = 0; row < rows; row++)
        {
            c.vbroadcastss(A(row), __dword_ptr[r15 + sizeof(float) * row]);
            for (int n = 0; n < vectors; n++) c.vmulps(Sum(row, vectors, n), A(row), __zmmword_ptr[rdi + VectorBytes * n]);
            c.add(rdi, r14);
        }
        if (asks > 0) c.mov(r15, __qword_ptr[rcx + 8 * 8]); // Ask.
        c.mov(rcx, __qword_ptr[rcx + 8 * 9]); // Column.
        c.xor(ebx, ebx);
        c.Label(ref group);
        c.mov(rdi, __qword_ptr[r10]);
        c.add(rdi, rcx);
        c.add(r10, 8);
        c.mov(r9d, CachePairs.GroupRows / 2);
        c.Label(ref loop);
        for (int n = 0; n < vectors; n++) c.vmovdqu64(B(n), __zmmword_ptr[rdi + VectorBytes * n]);
        Ask(c, r15, asks);
        Step(c, a, rows, vectors);
        c.add(rdi, r11);
        c.inc(rbx);
        c.dec(r9);
        c.jnz(loop);
        c.dec(r12);
        c.jnz(group);
        for (int row = 0; row < rows; row++)
        {
            for (int n = 0; n < vectors; n++) c.vmovups(__zmmword_ptr[r13 + VectorBytes * n], Sum(row, vectors, n));
            c.add(r13, r14);
        }
    }

    private static void Clear(Assembler c, int rows, int vectors)
    {
        for (int i = 0; i < rows * vectors; i++) c.vpxord(Zmm(i), Zmm(i), Zmm(i));
    }

    private static void Ask(Assembler c, AssemblerRegister64 line, int asks)
    {
        for (int n = 0; n < asks; n++) c.prefetcht1(__byte_ptr[line + VectorBytes * n]);
        if (asks > 0) c.add(line, VectorBytes * asks);
    }

    /// <summary>Adds the products of pair <c>rbx</c> of each row with the vectors.</summary>
    private static void Step(Assembler c, AssemblerRegister64[] a, int rows, int vectors)
    {
        for (int row = 0; row < rows; row++)
        {
            c.vpbroadcastd(A(row), __dword_ptr[a[row] + rbx * sizeof(uint)]);
            for (int n = 0; n < vectors; n++) c.vdpbf16ps(Sum(row, vectors, n), B(n), A(row));
        }
    }
}
