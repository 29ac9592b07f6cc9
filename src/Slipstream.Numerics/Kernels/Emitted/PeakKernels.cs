using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>What a peak kernel is called with.</summary>
internal unsafe struct PeakCall
{
    /// <summary>Rounds, at least 1.</summary>
    public nint Rounds;

    /// <summary>A vector of the second factor's bytes, and room for vectors of sums: one, or of tiles one for each.</summary>
    public byte* Factors, Sums;
}

/// <summary>The peaks of the 512-bit instructions that emitted kernels are made of: <c>vpdpbusd</c> for bytes, <c>vdpbf16ps</c> for pairs of 16-bit floats; and those of the matrix unit.</summary>
internal static unsafe class PeakKernels
{
    /// <summary>Products of two vectors of 64 bytes in a round.</summary>
    public const int Products = 12;

    /// <summary>The kernel for bytes.</summary>
    public static EmittedKernel<PeakCall> DotBytes { get; } = new("peak of vpdpbusd", c => Emit(c, c.vpdpbusd, c.vpaddd));

    /// <summary>The kernel for 16-bit floats.</summary>
    public static EmittedKernel<PeakCall> DotHalves { get; } = new("peak of vdpbf16ps", c => Emit(c, c.vdpbf16ps, c.vaddps));

    /// <summary>Products of two tiles in a round, and multiplications and additions of such a round of bytes; of 16-bit floats it is half as many.</summary>
    public const int TileProducts = 4, TileOperations = TileProducts * 2 * AmxTiles.Rows * AmxTiles.Bytes;

    /// <summary>The kernel for tiles of bytes.</summary>
    public static EmittedKernel<PeakCall> TilesOfBytes { get; } = new("peak of tdpbusd", c => EmitTiles(c, c.tdpbusd));

    /// <summary>The kernel for tiles of 16-bit floats.</summary>
    public static EmittedKernel<PeakCall> TilesOfHalves { get; } = new("peak of tdpbf16ps", c => EmitTiles(c, c.tdpbf16ps));

    /// <summary>Runs rounds on this thread; the result depends on all of them.</summary>
    /// <param name="kernel">The kernel.</param>
    /// <param name="rounds">Rounds.</param>
    /// <returns>The bits of the first sum.</returns>
    public static long Run(EmittedKernel<PeakCall> kernel, int rounds)
    {
        // SAFETY: the kernel reads one vector and writes one, or four.
        byte* factors = stackalloc byte[64], sums = stackalloc byte[TileProducts * 64];
        for (int i = 0; i < 64; i++) factors[i] = (byte)(1 + i);
        if (kernel == DotHalves || kernel == TilesOfHalves) new Span<ushort>(factors, 32).Fill(0x3F80); // ones
        PeakCall call = new() { Rounds = Math.Max(1, rounds), Factors = factors, Sums = sums };
        kernel.Entry(&call);
        return ((int*)sums)[0];
    }

    private static void Emit(Assembler c, Action<AssemblerRegisterZMM, AssemblerRegisterZMM, AssemblerRegisterZMM> multiply, Action<AssemblerRegisterZMM, AssemblerRegisterZMM, AssemblerRegisterZMM> add)
    {
        AssemblerRegisterZMM Sum(int i) => new(Register.ZMM0 + i);
        Label rounds = c.CreateLabel();
        c.mov(rax, __qword_ptr[rcx]);
        c.mov(rdx, __qword_ptr[rcx + 8]);
        c.vmovdqu64(zmm30, __zmmword_ptr[rdx]);
        c.vmovdqu64(zmm31, zmm30);
        for (int i = 0; i < Products; i++) c.vpxord(Sum(i), Sum(i), Sum(i));
        c.Label(ref rounds);
        for (int i = 0; i < Products; i++) multiply(Sum(i), zmm30, zmm31);
        c.dec(rax);
        c.jnz(rounds);
        for (int i = 1; i < Products; i++) add(zmm0, zmm0, Sum(i));
        c.mov(rdx, __qword_ptr[rcx + 16]);
        c.vmovdqu64(__zmmword_ptr[rdx], zmm0);
    }

    // Every row of a tile is the vector of factors.
    private static void EmitTiles(Assembler c, Action<AssemblerRegisterTMM, AssemblerRegisterTMM, AssemblerRegisterTMM> multiply)
    {
        Label rounds = c.CreateLabel();
        AmxTiles.Configure(c, AmxTiles.Rows, 0, TileProducts, AmxTiles.Columns);
        c.mov(rdx, __qword_ptr[rcx + 8]);
        c.mov(rsi, __qword_ptr[rcx + 16]);
        c.mov(rcx, __qword_ptr[rcx]);
        c.xor(eax, eax);
        c.tileloadd(tmm4, __[rdx + rax]);
        c.tileloadd(tmm6, __[rdx + rax]);
        for (int i = 0; i < TileProducts; i++) c.tilezero(AmxTiles.Tmm(i));
        c.Label(ref rounds);
        for (int i = 0; i < TileProducts; i++) multiply(AmxTiles.Tmm(i), tmm4, tmm6);
        c.dec(rcx);
        c.jnz(rounds);
        // Rows are stored one over the other: they are alike.
        for (int i = 0; i < TileProducts; i++) c.tilestored(__[rsi + rax] + AmxTiles.RowBytes * i, AmxTiles.Tmm(i));
        c.tilerelease();
    }
}
