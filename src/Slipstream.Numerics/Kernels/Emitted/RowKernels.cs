using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>What <see cref="RowKernels"/> are called with.</summary>
internal unsafe struct RowsCall
{
    /// <summary>Where offsets count from.</summary>
    public byte* From;

    /// <summary>Where each row begins, in bytes.</summary>
    public long* Offset;

    /// <summary>Where each row goes, in strides.</summary>
    public int* Place;

    /// <summary>Rows, at least 1.</summary>
    public nint Count;

    /// <summary>Vectors of sixteen in a row, at least 1.</summary>
    public nint Vectors;

    /// <summary>Bytes between places.</summary>
    public nint Stride;

    /// <summary>Room for all places.</summary>
    public byte* To;
}

/// <summary>Rows of numbers in other widths, by instructions that .NET does not expose: one where compiled kernels take a dozen.</summary>
internal static unsafe class RowKernels
{
    /// <summary>Widens rows of halves to floats by 512-bit <c>vcvtph2ps</c>, with the numbers of <see cref="HalfBits"/>.</summary>
    public static EmittedKernel<RowsCall> WidenedHalves { get; } = new("rows of halves", c => Emit(c, 32, 64, () =>
    {
        c.vcvtph2ps(zmm0, __ymmword_ptr[rsi]);
        c.vmovups(__zmmword_ptr[rdi], zmm0);
    }));

    /// <summary>Rounds rows of floats to bfloat16 by <c>vcvtneps2bf16</c>, as <see cref="BF16"/> does, but that numbers under 2⁻¹²⁶ become zero.</summary>
    public static EmittedKernel<RowsCall> RoundedFloats { get; } = new("rows rounded to bfloat16", c => Emit(c, 64, 32, () =>
    {
        c.vcvtneps2bf16(ymm0, __zmmword_ptr[rsi]);
        c.vmovdqu(__ymmword_ptr[rdi], ymm0);
    }, () =>
    {
        c.vmovups(zmm0, __zmmword_ptr[rsi + 64]);
        c.vcvtne2ps2bf16(zmm0, zmm0, __zmmword_ptr[rsi]);
        c.vmovdqu64(__zmmword_ptr[rdi], zmm0);
    }));

    // SAFETY: callers pass rows that can be read and room for every place, and check the processor first.
    private static void Emit(Assembler c, int read, int written, Action convert, Action? convertTwo = null)
    {
        Label rows = c.CreateLabel(), pairs = c.CreateLabel(), vectors = c.CreateLabel(), next = c.CreateLabel();
        KernelFrame.Load(c, r8, r9, r10, r11, r12, r13, r14);
        c.Label(ref rows);
        c.mov(rsi, __qword_ptr[r9]);
        c.add(rsi, r8);
        c.movsxd(rdi, __dword_ptr[r10]);
        c.imul(rdi, r13);
        c.add(rdi, r14);
        c.mov(rax, r12);
        if (convertTwo is not null)
        {
            c.Label(ref pairs);
            c.sub(rax, 2);
            c.jl(vectors);
            convertTwo();
            c.add(rsi, 2 * read);
            c.add(rdi, 2 * written);
            c.jmp(pairs);
        }
        c.Label(ref vectors);
        if (convertTwo is not null)
        {
            c.add(rax, 2);
            c.jz(next);
        }
        convert();
        c.add(rsi, read);
        c.add(rdi, written);
        if (convertTwo is null)
        {
            c.dec(rax);
            c.jnz(vectors);
        }
        c.Label(ref next);
        c.add(r9, 8);
        c.add(r10, 4);
        c.dec(r11);
        c.jnz(rows);
    }
}
