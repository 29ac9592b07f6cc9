using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.AmxTiles;
using static Slipstream.Numerics.Kernels.Emitted.KernelFrame;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <summary>Writes what makes bfloat16 of codes for the matrix unit, and floats of scales and offsets. Uses the vector registers 16 to 29, some of which stay as <see cref="Begin"/> fills them.</summary>
internal sealed class AmxCodes
{
    /// <summary>Steps of four columns in 32: each makes two rows of a tile.</summary>
    public const int Steps = 8;

    private const byte AAndBOrC = 0xEA, AOrBAndC = 0xF8;

    private const int First = 16;

    private readonly Assembler c;
    private readonly PackedLayout _layout;
    private readonly PackedCodes _unpacking;
    private readonly AssemblerRegisterZMM _code = Zmm(First), _low = Zmm(First + 1), _high = Zmm(First + 2), _table = Zmm(First + 3), _table2 = Zmm(First + 4), _number = Zmm(First + 5), _second = Zmm(First + 6);

    public AmxCodes(Assembler assembler, PackedLayout layout)
    {
        (c, _layout) = (assembler, layout);
        _unpacking = new PackedCodes(assembler, layout, Zmm(27), Zmm(28), Zmm(29));
    }

    private int Bits => _layout.LowBits + _layout.HighBits;

    /// <summary>Fills what turns codes into bfloat16, through <c>rbx</c>: tables of up to five or six bits; for eight, a float whose last bits are the code, from which one is subtracted.</summary>
    public void Begin()
    {
        _unpacking.Begin();
        if (Bits == 8)
        {
            Broadcast(_table, BitConverter.SingleToInt32Bits((1 << 23) + _layout.Zero));
            Broadcast(_table2, BitConverter.SingleToInt32Bits(1 << 23));
            Broadcast(_number, 0xFF);
            Broadcast(_high, unchecked((int)0xFFFF0000));
            return;
        }
        byte[] values = new byte[2 * Bytes / Rows];
        for (int i = 0; i < values.Length / 2; i++)
        {
            float value = (i & ((1 << Bits) - 1)) - _layout.Zero;
            BitConverter.TryWriteBytes(values.AsSpan(2 * i), (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16));
        }
        c.mov(rbx, (ulong)Constant(values));
        c.vmovdqu64(_table, __zmmword_ptr[rbx]);
        if (Bits > 5) c.vmovdqu64(_table2, __zmmword_ptr[rbx + RowBytes]);
    }

    private void Broadcast(AssemblerRegisterZMM register, int value)
    {
        c.mov(ebx, value);
        c.vpbroadcastd(register, ebx);
    }

    /// <summary>Makes two rows of a tile of a step, four columns of sixteen rows: of the columns 0 and 2, and of 1 and 3.</summary>
    /// <param name="planes">Where the planes of the 32 columns begin.</param>
    /// <param name="step">0 to 7.</param>
    /// <param name="even">Where the first goes to.</param>
    /// <param name="odd">Where the second does.</param>
    public void Step(AssemblerMemoryOperand planes, int step, AssemblerMemoryOperand even, AssemblerMemoryOperand odd)
    {
        (int half, int of) = (step / 4, step % 4);
        if (Bits == 8)
        {
            _unpacking.Load(_code, planes, half, of);
            FloatOf(_low, 0);
            FloatOf(_second, 16);
            Pair(even);
            FloatOf(_low, 8);
            FloatOf(_second, 24);
            Pair(odd);
            return;
        }
        if (_layout.HighBits == 0)
        {
            // Bits above the code are another code's: the table repeats.
            AssemblerMemoryOperand vector = __zmmword_ptr[planes + RowBytes * (_layout.LowBits == 4 ? of : half)];
            int right = _layout.LowBits == 4 ? 4 * half : 2 * of;
            if (right > 0) c.vpsrlw(_low, vector, (byte)right);
            else c.vmovdqu64(_low, vector);
            c.vpsrlw(_code, vector, (byte)(8 + right));
            c.vpermw(_low, _low, _table);
            c.vpermw(_code, _code, _table);
            c.vmovdqu64(even, _low);
            c.vmovdqu64(odd, _code);
            return;
        }
        _unpacking.Load(_code, planes, half, of);
        c.vpsrlw(_low, _code, 8);
        if (Bits <= 5)
        {
            c.vpermw(_code, _code, _table);
            c.vpermw(_low, _low, _table);
        }
        else
        {
            c.vpermi2w(_code, _table, _table2);
            c.vpermi2w(_low, _table, _table2);
        }
        c.vmovdqu64(even, _code);
        c.vmovdqu64(odd, _low);
    }

    // The byte of each four that begins at a bit, less the code for zero.
    private void FloatOf(AssemblerRegisterZMM target, int bit)
    {
        if (bit == 0) c.vmovdqa64(target, _code);
        else c.vpsrld(target, _code, (byte)bit);
        if (bit == 24) c.vpord(target, target, _table2);
        else c.vpternlogd(target, _number, _table2, AAndBOrC);
        c.vsubps(target, target, _table);
    }

    // The upper halves of two floats, which are all of them: the first float's as the lower one.
    private void Pair(AssemblerMemoryOperand target)
    {
        c.vpsrld(_low, _low, 16);
        c.vpternlogd(_low, _second, _high, AOrBAndC);
        c.vmovdqu64(target, _low);
    }

    /// <summary>The scales of sixteen rows of a group of columns, or their offsets, where a block has several groups: a half of the block's times a byte.</summary>
    /// <param name="result">Receives them; may be <paramref name="halves"/>.</param>
    /// <param name="halves">Those of the block, as floats.</param>
    /// <param name="bytes">The bytes of the group.</param>
    public void Factor(AssemblerRegisterZMM result, AssemblerRegisterZMM halves, AssemblerMemoryOperand bytes)
    {
        c.vpmovsxbd(_low, __xmmword_ptr[bytes]);
        c.vcvtdq2ps(_low, _low);
        c.vmulps(result, halves, _low);
    }
}
