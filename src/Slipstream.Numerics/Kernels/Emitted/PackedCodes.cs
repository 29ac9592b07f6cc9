using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>Writes what makes codes, four columns of sixteen rows in a vector, of the planes of a <see cref="PackedLayout"/>.</summary>
/// <param name="c">Where to.</param>
/// <param name="layout">The layout.</param>
/// <param name="lowMask">A register for the mask of the low plane, where that has fewer than 8 bits.</param>
/// <param name="high">A register for the high plane, where there is one.</param>
/// <param name="highMask">A register for its mask.</param>
internal readonly struct PackedCodes(Assembler c, PackedLayout layout, AssemblerRegisterZMM lowMask, AssemblerRegisterZMM high, AssemblerRegisterZMM highMask)
{
    private const byte AOrBAndC = 0xF8;

    /// <summary>Fills the masks, which pass through <c>ebx</c>.</summary>
    public void Begin()
    {
        if (layout.LowBits < 8) Broadcast(lowMask, (1 << layout.LowBits) - 1);
        if (layout.HighBits > 0) Broadcast(highMask, ((1 << layout.HighBits) - 1) << layout.LowBits);
    }

    /// <summary>The codes of a step of a half of 32 columns.</summary>
    /// <param name="code">Receives them.</param>
    /// <param name="planes">Where the planes of the 32 columns begin.</param>
    /// <param name="half">0 or 1.</param>
    /// <param name="step">0 to 3.</param>
    public void Load(AssemblerRegisterZMM code, AssemblerMemoryOperand planes, int half, int step)
    {
        AssemblerMemoryOperand Vector(int index) => __zmmword_ptr[planes + 64 * index];
        switch (layout.LowBits)
        {
            case 8:
                c.vmovdqu64(code, Vector(4 * half + step));
                return;
            case 4 when half == 0:
                c.vpandd(code, lowMask, Vector(step));
                break;
            case 4:
                c.vpsrlw(code, Vector(step), 4);
                c.vpandd(code, code, lowMask);
                break;
            default:
                if (step == 0) c.vpandd(code, lowMask, Vector(half));
                else
                {
                    c.vpsrlw(code, Vector(half), (byte)(2 * step));
                    c.vpandd(code, code, lowMask);
                }
                break;
        }
        if (layout.HighBits == 0) return;
        int left = layout.LowBits - (layout.HighBits == 2 ? 2 * step : 4 * half + step);
        AssemblerMemoryOperand plane = Vector(layout.LowBits + (layout.HighBits == 2 ? half : 0));
        if (left > 0) c.vpsllw(high, plane, (byte)left);
        else if (left < 0) c.vpsrlw(high, plane, (byte)-left);
        if (left != 0) c.vpternlogd(code, high, highMask, AOrBAndC);
        else c.vpternlogd(code, highMask, plane, AOrBAndC);
    }

    private void Broadcast(AssemblerRegisterZMM register, int value)
    {
        c.mov(ebx, 0x01010101 * value);
        c.vpbroadcastd(register, ebx);
    }
}
