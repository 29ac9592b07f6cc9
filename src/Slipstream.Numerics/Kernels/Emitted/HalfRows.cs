using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>What <see cref="HalfRows"/> is called with.</summary>
internal unsafe struct HalfRowsCall
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
    public float* Packed;
}

/// <summary>Widens rows of halves by 512-bit <c>vcvtph2ps</c>, which .NET does not expose: one instruction where <see cref="HalfBits"/> takes a dozen, with the same numbers.</summary>
internal static unsafe class HalfRows
{
    /// <summary>The kernel.</summary>
    public static EmittedKernel<HalfRowsCall> Kernel { get; } = new("rows of halves", Emit);

    // SAFETY: callers pass rows that lie in the cache and room for every place, and check the processor first.
    private static void Emit(Assembler c)
    {
        Label rows = c.CreateLabel(), vectors = c.CreateLabel();
        KernelFrame.Load(c, r8, r9, r10, r11, r12, r13, r14);
        c.Label(ref rows);
        c.mov(rsi, __qword_ptr[r9]);
        c.add(rsi, r8);
        c.movsxd(rdi, __dword_ptr[r10]);
        c.imul(rdi, r13);
        c.add(rdi, r14);
        c.mov(rax, r12);
        c.Label(ref vectors);
        c.vcvtph2ps(zmm0, __ymmword_ptr[rsi]);
        c.vmovups(__zmmword_ptr[rdi], zmm0);
        c.add(rsi, 32);
        c.add(rdi, 64);
        c.dec(rax);
        c.jnz(vectors);
        c.add(r9, 8);
        c.add(r10, 4);
        c.dec(r11);
        c.jnz(rows);
    }
}
