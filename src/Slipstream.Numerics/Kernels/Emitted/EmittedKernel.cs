using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>A kernel assembled at first use and kept for the life of the process. Thread-safe.</summary>
/// <typeparam name="TArguments">What the kernel is called with: a struct of pointers and sizes, laid out in order.</typeparam>
/// <param name="name">For error messages.</param>
/// <param name="body">
/// Writes the kernel. On entry <c>rcx</c> points to the arguments. It may use every general register but <c>rsp</c> and <c>rbp</c>, every vector and mask register, and no
/// stack; it falls through at its end. What each system wants kept is kept by the code around it.
/// </param>
internal sealed unsafe class EmittedKernel<TArguments>(string name, Action<Assembler> body) where TArguments : unmanaged
{
    private readonly Lazy<nint> _entry = new(() => (nint)Create(name, body));

    /// <summary>The kernel; assembled now if this is its first use. Take it once a product, outside loops.</summary>
    /// <exception cref="SlipstreamException">The system refused executable memory.</exception>
    // SAFETY: callers pass arguments whose pointers are valid for what the kernel reads and writes, and check the processor's features first.
    public delegate* unmanaged<TArguments*, void> Entry => (delegate* unmanaged<TArguments*, void>)_entry.Value;

    /// <summary>The same, for a kernel that takes less than a microsecond: the collector waits for it, and the switch of modes, some nanoseconds, falls away.</summary>
    /// <exception cref="SlipstreamException">The system refused executable memory.</exception>
    // SAFETY: as above.
    public delegate* unmanaged[SuppressGCTransition]<TArguments*, void> Brief => (delegate* unmanaged[SuppressGCTransition]<TArguments*, void>)_entry.Value;

    /// <summary>The machine code for the calling convention of Windows or of the other systems.</summary>
    public byte[] Assemble(bool windows) => KernelFrame.Assemble(body, windows);

    private static void* Create(string name, Action<Assembler> body)
        => ExecutableMemory.TryCreate(KernelFrame.Assemble(body, OperatingSystem.IsWindows()), out void* code, out string? reason)
            ? code
            : throw new SlipstreamException($"The kernel '{name}' cannot be loaded: {reason}; take the kernels 'intrinsics'.");
}

/// <summary>What stands around the body of every emitted kernel.</summary>
internal static class KernelFrame
{
    // What either convention wants back, but for rsp and rbp, which kernels may not use. A few stores are nothing to kernels that run for microseconds.
    private static readonly AssemblerRegister64[] Saved = [rbx, rsi, rdi, r12, r13, r14, r15];
    private static readonly AssemblerRegisterXMM[] SavedOnWindows = [xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];

    /// <summary>A vector register by its number.</summary>
    public static AssemblerRegisterZMM Zmm(int number) => new(Register.ZMM0 + number);

    /// <summary>Loads the fields of the arguments, of 8 bytes each, into registers, in order.</summary>
    public static void Load(Assembler c, params ReadOnlySpan<AssemblerRegister64> registers)
    {
        for (int i = 0; i < registers.Length; i++) c.mov(registers[i], __qword_ptr[rcx + 8 * i]);
    }

    /// <summary>Assembles a whole kernel.</summary>
    public static byte[] Assemble(Action<Assembler> body, bool windows)
    {
        Assembler c = new(64);
        foreach (AssemblerRegister64 register in Saved) c.push(register);
        if (windows)
        {
            c.sub(rsp, 16 * SavedOnWindows.Length);
            for (int i = 0; i < SavedOnWindows.Length; i++) c.vmovups(__xmmword_ptr[rsp + 16 * i], SavedOnWindows[i]);
        }
        else
        {
            c.mov(rcx, rdi);
        }
        body(c);
        c.vzeroupper();
        if (windows)
        {
            for (int i = 0; i < SavedOnWindows.Length; i++) c.vmovups(SavedOnWindows[i], __xmmword_ptr[rsp + 16 * i]);
            c.add(rsp, 16 * SavedOnWindows.Length);
        }
        for (int i = Saved.Length - 1; i >= 0; i--) c.pop(Saved[i]);
        c.ret();
        ByteWriter writer = new();
        c.Assemble(writer, 0);
        return writer.Bytes.ToArray();
    }

    private sealed class ByteWriter : CodeWriter
    {
        public List<byte> Bytes { get; } = [];

        public override void WriteByte(byte value) => Bytes.Add(value);
    }
}
