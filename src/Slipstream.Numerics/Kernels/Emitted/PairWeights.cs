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

    private const int MaxRows = AttentionPairs.MaxRows;
    private const byte Nearest = 8, Equal = 0, NotLess = 0x15; // A NaN is not less: it stays.
    private static readonly AssemblerRegisterZMM Top = zmm21, P4 = zmm24, P3 = zmm25, P2 = zmm26, P1 = zmm27, Least = zmm29, Unseen = zmm30, Ones = zmm31;
    private static readonly AssemblerRegister64 Masks = r8, Max = rdx, Sum = rsi, Keep = r10, Weights = r11;
    private static readonly AssemblerRegisterK[] Seen = [k1, k2, k3, k4];

    /// <summary>Ones, after <see cref="LoadConstants"/>.</summary>
    internal static readonly AssemblerRegisterZMM One = zmm28;

    // Rows that there are, and the first lane of each quarter.
    private static readonly AssemblerRegisterK Live = k6, Quarters = k7;

    /// <summary>Emits it; <c>rcx</c> points to the <see cref="ScoreCall"/>.</summary>
    public static void Emit(Assembler c, int rows, int groups)
    {
        Begin(c);
        SetRows(c, rows);
        Maxima(c, rows, groups, isAlone: true);
        Powers(c, rows, groups, isAlone: true);
    }

    /// <summary>The same for more rows, whose scores are in memory, <c>[rows, 64]</c>.</summary>
    public static void EmitStored(Assembler c, int rows, int groups, AssemblerRegister64 scores)
    {
        Begin(c);
        EmitStored(c, rows, groups, scores, isWhole: false, (_, _) => { });
    }

    /// <summary>
    /// The same for tiles that every row sees whole: after <see cref="LoadConstants"/>, with pointers to maxima in <c>rdx</c>, to sums in <c>rsi</c>, to what the results so far are worth in <c>r10</c> and to weights in <c>r11</c>,
    /// which stay as they are. Overwrites <c>rax</c> and <c>rbx</c>.
    /// </summary>
    /// <param name="c">Where to.</param>
    /// <param name="rows">Rows, 1 to 16.</param>
    /// <param name="scores">Points to the scores; stays as it is.</param>
    /// <param name="after">Writes what follows the powers of a row, given which of how many it is that go together.</param>
    public static void EmitWhole(Assembler c, int rows, AssemblerRegister64 scores, Action<int, int> after) => EmitStored(c, rows, TiledAttention.Tile / 16, scores, isWhole: true, after);

    /// <summary>Loads what is the same for all rows. Overwrites <c>rax</c>.</summary>
    public static void LoadConstants(Assembler c)
    {
        c.PreferVex = false; // Registers from 16 on have no older form.
        foreach ((AssemblerRegisterZMM register, float value) in (ReadOnlySpan<(AssemblerRegisterZMM, float)>)
            [(P4, PowerOfTwo.P4), (P3, PowerOfTwo.P3), (P2, PowerOfTwo.P2), (P1, PowerOfTwo.P1), (One, 1), (Least, PowerOfTwo.Least), (Unseen, float.NegativeInfinity), (Ones, PairOfOnes)])
        {
            c.mov(eax, BitConverter.SingleToInt32Bits(value));
            c.vpbroadcastd(register, eax);
        }
        c.mov(eax, 0x1111);
        c.kmovw(Quarters, eax);
    }

    /// <summary>Loads the fields from <see cref="ScoreCall.Masks"/> on, and what is the same for all rows.</summary>
    private static void Begin(Assembler c)
    {
        int at = 5; // The field Masks.
        foreach (AssemblerRegister64 pointer in (AssemblerRegister64[])[Masks, Max, Sum, Keep, Weights]) c.mov(pointer, __qword_ptr[rcx + 8 * at++]);
        LoadConstants(c);
    }

    // The greatest scores of all rows first, for these are long chains, of which one does not fill the processor; four rows at a time.
    private static void EmitStored(Assembler c, int rows, int groups, AssemblerRegister64 scores, bool isWhole, Action<int, int> after)
    {
        const int RowBytes = TiledAttention.Tile * sizeof(float), VectorBytes = 64;
        int fours = rows / MaxRows, rest = rows % MaxRows;
        Each(count => Maxima(c, count, groups, isAlone: false, isWhole));
        Each(count => Powers(c, count, groups, isAlone: false, isWhole, row => after(row, count)));

        void Each(Action<int> some)
        {
            Label loop = c.CreateLabel();
            if (fours > 0)
            {
                SetRows(c, MaxRows);
                c.mov(ebx, fours);
                c.Label(ref loop);
                Some(MaxRows);
                Move(MaxRows);
                c.dec(ebx);
                c.jnz(loop);
            }
            if (rest > 0)
            {
                SetRows(c, rest);
                Some(rest);
            }
            if (fours > 0) Move(-fours * MaxRows);

            void Some(int count)
            {
                for (int row = 0; row < count; row++)
                    for (int n = 0; n < groups; n++) c.vmovups(Zmm(row * groups + n), __zmmword_ptr[scores + (row * RowBytes + VectorBytes * n)]);
                some(count);
            }
        }

        void Move(int by)
        {
            if (!isWhole) c.add(Masks, by * sizeof(ulong));
            foreach (AssemblerRegister64 pointer in (AssemblerRegister64[])[Max, Sum, Keep]) c.add(pointer, by * sizeof(float));
            c.add(Weights, by * TiledAttention.Tile * sizeof(ushort));
            c.add(scores, by * RowBytes);
        }
    }

    private static void SetRows(Assembler c, int rows)
    {
        int live = (1 << rows) - 1;
        c.mov(eax, live);
        c.kmovw(Live, eax);
    }

    /// <summary>Finds the greatest scores of up to four rows in registers, and what the rows so far are worth; where they are alone, <see cref="Powers"/> goes on with what is in registers then.</summary>
    private static void Maxima(Assembler c, int rows, int groups, bool isAlone, bool isWhole = false)
    {
        AssemblerRegisterZMM Score(int row, int group) => Zmm(row * groups + group);
        for (int row = 0; row < rows; row++)
        {
            if (!isWhole) LoadMasks(c, row, groups);
            for (int n = 0; n < groups && !isWhole; n++) c.vblendmps(IfSeen(Score(row, n), n), Unseen, Score(row, n));
            AssemblerRegisterZMM greatest = Zmm(17 + row);
            c.vmaxps(greatest, Score(row, 0), Score(row, groups > 1 ? 1 : 0));
            for (int n = 2; n < groups; n++) c.vmaxps(greatest, greatest, Score(row, n));
        }
        // The greatest score of the tile, and of all before it: a lane for each row.
        Across(c, rows, adds: false);
        c.vmovups(xmm18.k6.z, __xmmword_ptr[Max]);
        c.vmaxps(xmm17, xmm18, xmm17);
        c.vmovups(__xmmword_ptr[Max].k6, xmm17);
        if (isAlone)
        {
            c.vexpandps(zmm16.k7.z, zmm17);
            c.vpermilps(zmm16, zmm16, 0);
        }
        // What a row has so far is worth 2 to the power (old − new), 1 where nothing changed, which −∞ did not either.
        c.vcmpps(k1, xmm18, xmm17, Equal);
        c.vsubps(xmm18, xmm18, xmm17);
        Power(c, k5, zmm18);
        c.vblendmps(xmm18.k1, xmm18, xmm28);
        c.vmovups(__xmmword_ptr[Keep].k6, xmm18);
    }

    /// <summary>Makes weights of the scores of up to four rows in registers: what is not seen may hold anything.</summary>
    private static void Powers(Assembler c, int rows, int groups, bool isAlone, bool isWhole = false, Action<int>? after = null)
    {
        AssemblerRegisterZMM Score(int row, int group) => Zmm(row * groups + group);
        for (int row = 0; row < rows; row++)
        {
            AssemblerRegisterZMM total = Zmm(17 + row);
            if (!isWhole) LoadMasks(c, row, groups);
            if (isAlone) c.vshuff32x4(Top, zmm16, zmm16, (byte)(0x55 * row));
            else c.vbroadcastss(Top, __dword_ptr[Max + sizeof(float) * row]);
            for (int n = 0; n < groups; n++)
            {
                c.vsubps(Score(row, n), Score(row, n), Top);
                Power(c, isWhole ? k5 : IfSeen(n), Score(row, n));
            }
            // Rounded weights are added up, two to a lane, as they are multiplied.
            c.vpxord(total, total, total);
            for (int n = 0; n < groups; n += 2)
            {
                int to = row * TiledAttention.Tile * sizeof(ushort) + 32 * n;
                if (n + 1 < groups)
                {
                    c.vcvtne2ps2bf16(zmm22, Score(row, n + 1), Score(row, n));
                    c.vmovdqu64(__zmmword_ptr[Weights + to], zmm22);
                }
                else
                {
                    c.vcvtneps2bf16(ymm22, Score(row, n));
                    c.vmovdqu32(__ymmword_ptr[Weights + to], ymm22);
                }
                c.vdpbf16ps(total, zmm22, Ones);
            }
            after?.Invoke(row);
        }
        Across(c, rows, adds: true);
        c.vmovups(xmm18.k6.z, __xmmword_ptr[Sum]);
        c.vmovups(xmm19.k6.z, __xmmword_ptr[Keep]);
        c.vfmadd213ps(xmm18, xmm19, xmm17);
        c.vmovups(__xmmword_ptr[Sum].k6, xmm18);
    }

    /// <summary>What a row sees of each group, into <c>k1</c> and on.</summary>
    private static void LoadMasks(Assembler c, int row, int groups)
    {
        c.mov(rdi, __qword_ptr[Masks + 8 * row]);
        for (int n = 0; n < groups; n++)
        {
            c.kmovw(Seen[n], edi);
            if (n + 1 < groups) c.shr(rdi, 16);
        }
    }

    /// <summary>2 to the power <paramref name="x"/>, as <see cref="PowerOfTwo"/>, where <paramref name="kept"/>, which is <c>k5</c>, lets it be; else 0. Overwrites two registers more.</summary>
    private static void Power(Assembler c, AssemblerRegisterK kept, AssemblerRegisterZMM x)
    {
        (AssemblerRegisterZMM whole, AssemblerRegisterZMM p) = (zmm22, zmm23);
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

    /// <summary>
    /// The greatest of the lanes of each row's register, <c>zmm17</c> and on, or their sum in the order of <see cref="Lanes"/>: a lane of <c>xmm17</c> for each. Rows go together, a quarter of a register each; those that are not there
    /// repeat the last.
    /// </summary>
    private static void Across(Assembler c, int rows, bool adds)
    {
        AssemblerRegisterZMM Row(int n) => Zmm(17 + Math.Min(n, rows - 1));
        Join(zmm22, Row(0), Row(1), 0x44, 0xEE);
        if (rows > 2) Join(zmm23, Row(2), Row(3), 0x44, 0xEE);
        Join(zmm17, zmm22, rows > 2 ? zmm23 : zmm22, 0x88, 0xDD);
        foreach (byte order in (ReadOnlySpan<byte>)[0x4E, 0xB1])
        {
            c.vpermilps(zmm22, zmm17, order);
            Both(zmm17, zmm22);
        }
        c.vcompressps(zmm17.k7.z, zmm17);

        void Join(AssemblerRegisterZMM to, AssemblerRegisterZMM a, AssemblerRegisterZMM b, byte low, byte high)
        {
            c.vshuff64x2(zmm21, a, b, high);
            c.vshuff64x2(to, a, b, low);
            Both(to, zmm21);
        }

        void Both(AssemblerRegisterZMM to, AssemblerRegisterZMM other)
        {
            if (adds) c.vaddps(to, to, other);
            else c.vmaxps(to, to, other);
        }
    }

    private static AssemblerRegisterZMM IfSeen(AssemblerRegisterZMM score, int group) => group switch { 0 => score.k1, 1 => score.k2, 2 => score.k3, _ => score.k4 };

    /// <summary>The mask <c>k5</c>, of places that are seen.</summary>
    private static AssemblerRegisterK IfSeen(int group) => group switch { 0 => k5.k1, 1 => k5.k2, 2 => k5.k3, _ => k5.k4 };
}
