using Iced.Intel;
using Slipstream.Numerics.Kernels.Emitted;

namespace Slipstream.Tests.Kernels.Emitted;

/// <summary>Reads emitted kernels back with a decoder, which shares no code with the assembler that wrote them.</summary>
internal static class MachineCode
{
    /// <summary>Every instruction decodes; jumps stay inside; the stack and frame pointers are only touched by the frame; what the convention keeps is kept; the end is one return.</summary>
    public static List<Instruction> Check(byte[] code, bool windows)
    {
        List<Instruction> instructions = Decode(code);
        HashSet<ulong> starts = [.. instructions.Select(i => i.IP)];
        InstructionInfoFactory factory = new();
        Stack<Register> pushed = new();
        for (int i = 0; i < instructions.Count; i++)
        {
            Instruction instruction = instructions[i];
            Assert.False(instruction.IsInvalid, $"byte {instruction.IP} is no instruction");
            Assert.Equal(i == instructions.Count - 1, instruction.Mnemonic == Mnemonic.Ret);
            switch (instruction.FlowControl)
            {
                case FlowControl.Next or FlowControl.Return:
                    break;
                case FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch:
                    Assert.Contains(instruction.NearBranchTarget, starts);
                    break;
                default:
                    Assert.Fail($"{instruction} leaves the kernel");
                    break;
            }
            if (instruction.Mnemonic == Mnemonic.Push) pushed.Push(instruction.Op0Register);
            if (instruction.Mnemonic == Mnemonic.Pop) Assert.Equal(pushed.Pop(), instruction.Op0Register);
            foreach (UsedRegister used in factory.GetInfo(instruction).GetUsedRegisters())
            {
                if (used.Access is OpAccess.Read or OpAccess.CondRead or OpAccess.NoMemAccess) continue;
                Register full = used.Register.GetFullRegister();
                Assert.NotEqual(Register.RBP, full);
                if (full == Register.RSP) Assert.True(instruction.IsStackInstruction || IsFrame(instruction), $"{instruction} moves the stack");
            }
        }
        Assert.Empty(pushed);
        Register[] kept = windows ? [Register.RBX, Register.RSI, Register.RDI, Register.R12, Register.R13, Register.R14, Register.R15] : [Register.RBX, Register.R12, Register.R13, Register.R14, Register.R15];
        foreach (Register register in kept)
            Assert.Contains(instructions, i => i.Mnemonic == Mnemonic.Push && i.Op0Register == register);
        if (windows)
            for (Register register = Register.XMM6; register <= Register.XMM15; register++)
            {
                Assert.Contains(instructions, i => i.Mnemonic == Mnemonic.Vmovups && i.Op0Kind == OpKind.Memory && i.MemoryBase == Register.RSP && i.Op1Register == register);
                Assert.Contains(instructions, i => i.Mnemonic == Mnemonic.Vmovups && i.Op0Register == register && i.MemoryBase == Register.RSP);
            }
        Assert.Single(instructions, i => i.Mnemonic == Mnemonic.Vzeroupper);
        return instructions;
    }

    /// <summary>Every kernel reads back, for both conventions: they are emitted on any processor, though run on some.</summary>
    public static void Check(PackedKernels kernels, int least, int most = 600)
    {
        for (int rows = 1; rows <= kernels.MaxRows; rows++)
            for (int groups = 1; groups <= kernels.MaxGroupsFor(rows); groups++)
                foreach (int fetch in (ReadOnlySpan<int>)[PackedKernels.FromMemory, PackedKernels.Ahead, PackedKernels.Nothing, Math.Min(5, kernels.MaxLines)])
                    foreach (bool windows in (ReadOnlySpan<bool>)[false, true])
                        Assert.InRange(Check(kernels.Kernel(rows, groups, fetch).Assemble(windows), windows).Count, least, most);
    }

    private static bool IsFrame(Instruction i) => i.Mnemonic is Mnemonic.Sub or Mnemonic.Add && i.Op0Register == Register.RSP && i.GetImmediate(1) == 160;

    private static List<Instruction> Decode(byte[] code)
    {
        Decoder decoder = Decoder.Create(64, code);
        List<Instruction> instructions = [];
        while (decoder.IP < (ulong)code.Length)
        {
            decoder.Decode(out Instruction instruction);
            instructions.Add(instruction);
        }
        return instructions;
    }
}
