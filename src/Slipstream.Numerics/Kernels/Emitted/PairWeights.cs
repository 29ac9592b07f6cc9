using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.KernelFrame;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>
/// The end of a kernel that has the scores of up to four rows in <c>zmm0</c> and on: makes weights of them, as <see cref="AttentionSoftmax"/> with <see cref="PowerOfTwo"/> does, to the bit, with instructions that .NET does not
/// expose for all of it (<c>vrndscaleps</c>, <c>vscalefps</c>, <c>vcvtne2ps2bf16</c>).
/// </summary>
internal static class PairWeights
{
    // Two numbers of bfloat16, read as one of 32 bits.
    private static readonly float PairOfOnes = BitConverter.UInt32BitsToSingle(0x3F80_3F80);

    private const byte Nearest = 8, Equal = 0, NotLess = 0x15; // A NaN is not less: it stays.
    private static readonly AssemblerRegisterZMM Top = zmm16, P4 = zmm24, P3 = zmm25, P2 = zmm26, P1 = zmm27, One = zmm28, Least = zmm29, Unseen = zmm30, Ones = zmm31;
    private static readonly AssemblerRegisterK[] Seen = [k1, k2, k3, k4];

    /// <summary>Emits it; <c>rcx</c> points to the <see cref="ScoreCall"/>.</summary>
    public static void Emit(Assembler c, int rows, int groups)
    {
        c.PreferVex = false; // Registers from 16 on have no older form.
        AssemblerRegister64 masks = r8, max = rdx, sum = rsi, keep = r10, weights = r11;
        int at = 5; // The field Masks.
        foreach (AssemblerRegister64 pointer in (AssemblerRegister64[])[masks, max, sum, keep, weights]) c.mov(pointer, __qword_ptr[rcx + 8 * at++]);
        foreach ((AssemblerRegisterZMM register, float value) in (ReadOnlySpan<(AssemblerRegisterZMM, float)>)
            [(P4, PowerOfTwo.P4), (P3, PowerOfTwo.P3), (P2, PowerOfTwo.P2), (P1, PowerOfTwo.P1), (One, 1), (Least, PowerOfTwo.Least), (Unseen, float.NegativeInfinity), (Ones, PairOfOnes)])
        {
            c.mov(eax, BitConverter.SingleToInt32Bits(value));
            c.vpbroadcastd(register, eax);
        }
        for (int row = 0; row < rows; row++)
        {
            AssemblerRegisterZMM Score(int group) => Zmm(row * groups + group);
            c.mov(rdi, __qword_ptr[masks + 8 * row]);
            for (int n = 0; n < groups; n++)
            {
                c.kmovw(Seen[n], edi);
                if (n + 1 < groups) c.shr(rdi, 16);
                c.vblendmps(IfSeen(Score(n), n), Unseen, Score(n));
            }
            // The greatest score of the tile, and of all before it.
            c.vmaxps(zmm17, Score(0), Score(groups > 1 ? 1 : 0));
            if (groups > 2) c.vmaxps(zmm18, Score(2), Score(groups > 3 ? 3 : 2));
            if (groups > 2) c.vmaxps(zmm17, zmm17, zmm18);
            Across(c, adds: false);
            c.vmovss(xmm18, __dword_ptr[max + 4 * row]);
            c.vmaxss(xmm17, xmm18, xmm17);
            c.vmovss(__dword_ptr[max + 4 * row], xmm17);
            c.vbroadcastss(Top, xmm17);
            // What the row has so far is worth 2 to the power (old − new), 1 where nothing changed, which −∞ did not either.
            c.vcmpps(k6, xmm18, xmm17, Equal);
            c.vsubps(xmm18, xmm18, xmm17);
            Power(c, k5, zmm18, zmm20, zmm21);
            c.vblendmps(zmm19.k6, zmm18, One);
            c.vmovss(__dword_ptr[keep + 4 * row], xmm19);
            for (int n = 0; n < groups; n++)
            {
                c.vsubps(Score(n), Score(n), Top);
                Power(c, IfSeen(n), Score(n), Zmm(20 + 2 * (n % 2)), Zmm(21 + 2 * (n % 2)));
            }
            // Rounded weights are added up, two to a lane, as they are multiplied.
            c.vpxord(zmm17, zmm17, zmm17);
            for (int n = 0; n < groups; n += 2)
            {
                int to = row * TiledAttention.Tile * sizeof(ushort) + 32 * n;
                if (n + 1 < groups)
                {
                    c.vcvtne2ps2bf16(zmm18, Score(n + 1), Score(n));
                    c.vmovdqu64(__zmmword_ptr[weights + to], zmm18);
                }
                else
                {
                    c.vcvtneps2bf16(ymm18, Score(n));
                    c.vmovdqu32(__ymmword_ptr[weights + to], ymm18);
                }
                c.vdpbf16ps(zmm17, zmm18, Ones);
            }
            Across(c, adds: true);
            c.vmovss(xmm18, __dword_ptr[sum + 4 * row]);
            c.vfmadd213ss(xmm18, xmm19, xmm17);
            c.vmovss(__dword_ptr[sum + 4 * row], xmm18);
        }
    }

    /// <summary>2 to the power <paramref name="x"/>, as <see cref="PowerOfTwo"/>, where <paramref name="kept"/>, which is <c>k5</c>, lets it be; else 0. Overwrites two registers more.</summary>
    private static void Power(Assembler c, AssemblerRegisterK kept, AssemblerRegisterZMM x, AssemblerRegisterZMM whole, AssemblerRegisterZMM p)
    {
        c.vcmpps(kept, x, Least, NotLess);
        c.vrndscaleps(whole, x, Nearest);
        c.vsubps(x, x, whole);
        c.vmovaps(p, x);
        c.vfmadd213ps(p, P4, P3);
        c.vfmadd213ps(p, x, P2);
        c.vfmadd213ps(p, x, P1);
        c.vfmadd213ps(p, x, One);
        c.vscalefps(x.k5.z, p, whole);
    }

    /// <summary>The greatest of the lanes of <c>zmm17</c>, or their sum in the order of <see cref="Lanes"/>, into <c>xmm17</c>.</summary>
    private static void Across(Assembler c, bool adds)
    {
        c.vextractf64x4(ymm18, zmm17, 1);
        if (adds) c.vaddps(ymm17, ymm17, ymm18);
        else c.vmaxps(ymm17, ymm17, ymm18);
        c.vextractf32x4(xmm18, ymm17, 1);
        Halve();
        c.vpermilps(xmm18, xmm17, 0x4E);
        Halve();
        c.vpermilps(xmm18, xmm17, 0xB1);
        Halve();

        void Halve()
        {
            if (adds) c.vaddps(xmm17, xmm17, xmm18);
            else c.vmaxps(xmm17, xmm17, xmm18);
        }
    }

    private static AssemblerRegisterZMM IfSeen(AssemblerRegisterZMM score, int group) => group switch { 0 => score.k1, 1 => score.k2, 2 => score.k3, _ => score.k4 };

    /// <summary>The mask <c>k5</c>, of places that are seen.</summary>
    private static AssemblerRegisterK IfSeen(int group) => group switch { 0 => k5.k1, 1 => k5.k2, 2 => k5.k3, _ => k5.k4 };
}
