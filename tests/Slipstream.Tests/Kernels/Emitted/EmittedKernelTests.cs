using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using Slipstream.Numerics;
using Slipstream.Numerics.Kernels.Emitted;
using static Iced.Intel.AssemblerRegisters;

namespace Slipstream.Tests.Kernels.Emitted;

public sealed unsafe class EmittedKernelTests
{
    [StructLayout(LayoutKind.Sequential)]
    private struct DotArguments
    {
        public byte* Unsigned;
        public sbyte* Signed;
        public int* Sums;
    }

    private static readonly EmittedKernel<DotArguments> Dot = new("dot", c =>
    {
        c.mov(rax, __[rcx]);
        c.mov(rdx, __[rcx + 8]);
        c.mov(rsi, __[rcx + 16]);
        c.vpxord(zmm0, zmm0, zmm0);
        c.vmovdqu64(zmm20, __[rax]);
        c.vpdpbusd(zmm0, zmm20, __zmmword_ptr[rdx]);
        c.vmovdqu64(__[rsi], zmm0);
    });

    // It overwrites all that a kernel may.
    private static readonly EmittedKernel<long> Greedy = new("greedy", c =>
    {
        c.mov(rax, __[rcx]);
        foreach (AssemblerRegister64 register in new[] { rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 }) c.mov(register, rax);
        for (int i = 0; i < 32; i++) c.vpbroadcastq(new AssemblerRegisterZMM(Register.ZMM0 + i), rax);
    });

    [Theory]
    [InlineData(255, -128)]
    [InlineData(255, 127)]
    [InlineData(0, -128)]
    [InlineData(-1, 0)]
    public void Byte_products_are_exact_at_the_extremes(int unsigned, int signed)
    {
        Assert.SkipUnless(EmittedKernels.IsAvailable && EmissionSupport.HasVnni512, "no 512-bit vpdpbusd");
        Random random = new(5);
        byte* u = stackalloc byte[64];
        sbyte* s = stackalloc sbyte[64];
        int* sums = stackalloc int[16];
        for (int i = 0; i < 64; i++)
        {
            u[i] = (byte)(unsigned < 0 ? random.Next(256) : unsigned);
            s[i] = (sbyte)(unsigned < 0 ? random.Next(-128, 128) : signed);
        }
        DotArguments arguments = new() { Unsigned = u, Signed = s, Sums = sums };
        // SAFETY: the buffers hold the 64 bytes and 16 sums the kernel touches.
        Dot.Entry(&arguments);
        for (int lane = 0; lane < 16; lane++)
        {
            int expected = 0;
            for (int i = 0; i < 4; i++) expected += u[4 * lane + i] * s[4 * lane + i];
            Assert.Equal(expected, sums[lane]);
        }
    }

    [Fact]
    public void A_kernel_may_overwrite_every_register_it_is_allowed()
    {
        Assert.SkipUnless(EmittedKernels.IsAvailable, EmittedKernels.UnavailableReason ?? "");
        long argument = 0x0123_4567_89AB_CDEF, sum = 0;
        for (int i = 0; i < 1000; i++)
        {
            Greedy.Entry(&argument);
            sum += i;
        }
        Assert.Equal(499_500, sum);
        Assert.Equal(0x0123_4567_89AB_CDEF, argument);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Code_keeps_to_the_calling_convention(bool windows)
    {
        MachineCode.Check(Dot.Assemble(windows), windows);
        MachineCode.Check(Greedy.Assemble(windows), windows);
    }

    [Fact]
    public void The_check_finds_broken_code()
    {
        static byte[] Code(Action<Assembler> body) => new EmittedKernel<long>("broken", body).Assemble(windows: false);
        foreach (Action<Assembler> body in new Action<Assembler>[]
        {
            c => c.mov(rbp, rax),
            c => c.add(rsp, 8),
            c => c.ret(),
            c => c.call(rax),
            c => c.push(rax),
            c => c.syscall(),
            c => c.vzeroupper(),
            c => c.db(0x06),
        })
            Assert.ThrowsAny<Exception>(() => MachineCode.Check(Code(body), windows: false));
    }

    [Fact]
    public void Many_threads_get_one_kernel()
    {
        Assert.SkipUnless(EmittedKernels.IsAvailable, EmittedKernels.UnavailableReason ?? "");
        EmittedKernel<long> kernel = new("shared", c => c.nop());
        nint[] entries = new nint[8];
        Parallel.For(0, entries.Length, i => entries[i] = (nint)kernel.Entry);
        Assert.NotEqual(0, entries[0]);
        Assert.All(entries, entry => Assert.Equal(entries[0], entry));
    }

    [Fact]
    public void Pages_of_code_are_never_writable_and_executable()
    {
        Assert.SkipUnless(EmittedKernels.IsAvailable && OperatingSystem.IsLinux(), EmittedKernels.UnavailableReason ?? "maps are read from /proc");
        nuint entry = (nuint)(nint)Greedy.Entry;
        string line = File.ReadLines("/proc/self/maps").Single(l =>
        {
            string[] bounds = l.Split(' ')[0].Split('-');
            return entry >= (nuint)Convert.ToUInt64(bounds[0], 16) && entry < (nuint)Convert.ToUInt64(bounds[1], 16);
        });
        Assert.Equal("r-xp", line.Split(' ')[1]);
    }

    [Fact]
    public void The_tier_is_what_was_asked_for()
    {
        Assert.False(EmittedKernels.Use(KernelTier.Intrinsics));
        Assert.Equal(EmittedKernels.IsAvailable, EmittedKernels.Use(KernelTier.Auto));
        Assert.Equal(EmittedKernels.IsAvailable, EmittedKernels.UnavailableReason is null);
        Assert.Equal(EmittedKernels.HasAmx, EmittedKernels.UseAmx(KernelTier.Auto));
        Assert.False(EmittedKernels.UseAmx(KernelTier.Intrinsics));
        if (EmittedKernels.IsAvailable)
        {
            Assert.True(EmittedKernels.Use(KernelTier.Emitted));
            Assert.True(EmittedKernels.Use(KernelTier.EmittedVectors));
            Assert.False(EmittedKernels.UseAmx(KernelTier.EmittedVectors));
        }
        else Assert.Contains(EmittedKernels.UnavailableReason!, Assert.Throws<SlipstreamException>(() => EmittedKernels.Use(KernelTier.Emitted)).Message, StringComparison.Ordinal);
        Assert.Equal("kernels is 9; it must be auto, emitted, emitted-vectors or intrinsics.", Assert.Throws<SlipstreamException>(() => EmittedKernels.Use((KernelTier)9)).Message);
    }

    [Fact]
    public void Without_avx512_nothing_is_emitted()
    {
        if (!Avx512BW.IsSupported) Assert.False(EmittedKernels.IsAvailable);
        else Assert.Equal(EmissionSupport.HasBf16 || EmissionSupport.HasVnni512, EmittedKernels.IsAvailable || EmittedKernels.UnavailableReason!.Contains("refused", StringComparison.Ordinal));
    }
}
