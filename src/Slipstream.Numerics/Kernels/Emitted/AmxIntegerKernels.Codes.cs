using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static Slipstream.Numerics.Kernels.Emitted.AmxTiles;

namespace Slipstream.Numerics.Kernels.Emitted;

/// <content>What makes bfloat16 of codes, and floats of scales and offsets.</content>
internal sealed partial class AmxIntegerKernelEmitter
{
    private const byte AAndBOrC = 0xEA, AOrBAndC = 0xF8;

    // What turns codes into bfloat16: tables of up to five or six bits; for eight, a float whose last bits are the code, from which one is subtracted.
    private void BeginCodes()
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

    /// <summary>Makes bfloat16 of the codes of a turn of a group, and floats of its scales and offsets.</summary>
    private void ConvertTurn(int group)
    {
        Label blocks = c.CreateLabel(), records = c.CreateLabel();
        c.lea(_weights, __[_scratch + (WeightsAt + WeightsOf(group))]);
        c.lea(_scales, __[_scratch + (ScalesAt + ScalesOf(group))]);
        c.Label(ref blocks);
        c.vcvtph2ps(_scale, __ymmword_ptr[_block]);
        if (_layout.HasOffsets) c.vcvtph2ps(_offset, __ymmword_ptr[_block + PackedLayout.OffsetsAt]);
        if (_layout.Groups == 1)
        {
            Record(_block, _layout.PlanesAt);
        }
        else
        {
            c.lea(_planes, __[_block + _layout.PlanesAt]);
            c.lea(_bytes, __[_block + _layout.ScaleBytesAt]);
            c.mov(_tiles, _layout.BlockLength / PackedLayout.PlaneLength);
            c.Label(ref records);
            Record(_planes, 0);
            c.add(_planes, _layout.PlaneBytes);
            c.add(_bytes, PackedLayout.Rows * _stepsOfRecord);
            c.dec(_tiles);
            c.jnz(records);
        }
        c.add(_block, _layout.BlockBytes);
        c.sub(_count, _layout.BlockLength / PackedLayout.PlaneLength);
        c.jnz(blocks);
    }

    /// <summary>32 columns, whose planes begin at a register and a displacement.</summary>
    private void Record(AssemblerRegister64 planes, int at)
    {
        int lines = (at + _layout.PlaneBytes + RowBytes - 1) / RowBytes, asked = 0;
        for (int step = 0; step < 8; step++)
        {
            for (; _fetch < PackedKernels.Nothing && asked < lines && asked * 8 <= step * lines; asked++) c.prefetcht1(__byte_ptr[planes + (_turnRecords * _layout.StepBytes + RowBytes * asked)]);
            Step(planes, at, step / 4, step % 4, __zmmword_ptr[_weights + 2 * RowBytes * step], __zmmword_ptr[_weights + 2 * RowBytes * step + RowBytes]);
        }
        c.add(_weights, Bytes);
        for (int group = 0; group < _stepsOfRecord; group++)
        {
            Factor(_scale, 0, group, 0);
            if (_layout.HasOffsets) Factor(_offset, _layout.MinimaAt - _layout.ScaleBytesAt, group, OffsetsAt - ScalesAt);
        }
        c.add(_scales, RowBytes * _stepsOfRecord);
    }

    // Four columns of sixteen rows: the columns 0 and 2 as one row of a tile, 1 and 3 as the next.
    private void Step(AssemblerRegister64 planes, int at, int half, int step, AssemblerMemoryOperand even, AssemblerMemoryOperand odd)
    {
        if (Bits == 8)
        {
            _unpacking.Load(_code, planes + at, half, step);
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
            AssemblerMemoryOperand vector = __zmmword_ptr[planes + (at + RowBytes * (_layout.LowBits == 4 ? step : half))];
            int right = _layout.LowBits == 4 ? 4 * half : 2 * step;
            if (right > 0) c.vpsrlw(_low, vector, (byte)right);
            else c.vmovdqu64(_low, vector);
            c.vpsrlw(_code, vector, (byte)(8 + right));
            c.vpermw(_low, _low, _table);
            c.vpermw(_code, _code, _table);
            c.vmovdqu64(even, _low);
            c.vmovdqu64(odd, _code);
            return;
        }
        _unpacking.Load(_code, planes + at, half, step);
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

    private void Factor(AssemblerRegisterZMM of, int bytesAt, int group, int at)
    {
        AssemblerMemoryOperand target = __zmmword_ptr[_scales + (at + RowBytes * group)];
        if (_layout.Groups == 1)
        {
            c.vmovups(target, of);
            return;
        }
        c.vpmovsxbd(_low, __xmmword_ptr[_bytes + (bytesAt + PackedLayout.Rows * group)]);
        c.vcvtdq2ps(_low, _low);
        c.vmulps(_low, of, _low);
        c.vmovups(target, _low);
    }
}
