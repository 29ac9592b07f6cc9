using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>The products of <see cref="AttentionPairs"/> by 512-bit <c>vdpbf16ps</c>: up to four rows and 64 columns, sixteen sums that stay in registers.</summary>
internal static class PairKernels
{
    private const int MaxVectors = AttentionPairs.Columns / 16, VectorBytes = 64;

    private static readonly EmittedKernel<PairCall>[] Kernels =
        [.. Enumerable.Range(0, AttentionPairs.MaxRows * MaxVectors).Select(i => new EmittedKernel<PairCall>("attention in bfloat16", c => Emit(c, i / MaxVectors + 1, i % MaxVectors + 1)))];

    /// <summary>The kernel for so many rows and vectors of sixteen columns.</summary>
    public static EmittedKernel<PairCall> Multiply(int rows, int vectors) => Kernels[(rows - 1) * MaxVectors + vectors - 1];

    // SAFETY: callers pass factors and results that hold the rows and columns, and check the processor first.
    private static void Emit(Assembler c, int rows, int vectors)
    {
        AssemblerRegisterZMM Sum(int row, int n) => new(Register.ZMM0 + row * vectors + n);
        AssemblerRegisterZMM B(int n) => new(Register.ZMM24 + n);
        AssemblerRegisterZMM A(int row) => new(Register.ZMM28 + row);
        AssemblerRegister64[] a = [r8, rax, rdx, rsi];
        Label zeros = c.CreateLabel(), loop = c.CreateLabel();
        KernelFrame.Load(c, a[0], r9, r10, r11, r12, r13, r14, r15);
        for (int row = 1; row < rows; row++) c.lea(a[row], __[a[row - 1] + r9]);
        for (int row = 0; row < rows; row++)
            for (int n = 0; n < vectors; n++) c.vpxord(Sum(row, n), Sum(row, n), Sum(row, n));
        c.xor(ebx, ebx);
        c.test(r15, r15);
        c.je(zeros);
        c.mov(rdi, r13);
        for (int row = 0; row < rows; row++)
        {
            c.vbroadcastss(A(row), __dword_ptr[r15 + sizeof(float) * row]);
            for (int n = 0; n < vectors; n++) c.vmulps(Sum(row, n), A(row), __zmmword_ptr[rdi + VectorBytes * n]);
            c.add(rdi, r14);
        }
        c.Label(ref zeros);
        c.nop();
        c.Label(ref loop);
        for (int n = 0; n < vectors; n++) c.vmovdqu64(B(n), __zmmword_ptr[r10 + VectorBytes * n]);
        for (int row = 0; row < rows; row++)
        {
            c.vpbroadcastd(A(row), __dword_ptr[a[row] + rbx * sizeof(uint)]);
            for (int n = 0; n < vectors; n++) c.vdpbf16ps(Sum(row, n), B(n), A(row));
        }
        c.add(r10, r11);
        c.inc(rbx);
        c.cmp(rbx, r12);
        c.jb(loop);
        for (int row = 0; row < rows; row++)
        {
            for (int n = 0; n < vectors; n++) c.vmovups(__zmmword_ptr[r13 + VectorBytes * n], Sum(row, n));
            c.add(r13, r14);
        }
    }
}
