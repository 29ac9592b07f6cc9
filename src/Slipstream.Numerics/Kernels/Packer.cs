using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Brings sixteen encoded rows into the <see cref="PackedLayout"/>, and reads one back.</summary>
internal static unsafe class Packer
{
    private const int Rows = PackedLayout.Rows, Planes = PackedLayout.PlaneLength, Step = PackedLayout.StepLength;

    /// <summary>Bytes of scratch that <see cref="Pack"/> needs: codes of sixteen rows and the floats that a format unpacks beside them.</summary>
    public static long ScratchBytes(int width) => Rows * (long)width + 2 * (width / 16 * (long)sizeof(float));

    /// <summary>Packs up to sixteen rows.</summary>
    /// <param name="rows"><paramref name="live"/> encoded rows, one after another.</param>
    /// <param name="live">Rows given, 1 to 16; the others become zeros.</param>
    /// <param name="width">Columns.</param>
    /// <param name="packed">Room for <see cref="PackedLayout.BytesOf"/> bytes.</param>
    /// <param name="scratch">Room for <see cref="ScratchBytes"/> bytes.</param>
    // Fully optimised at first use: models are packed while their user waits.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pack<TFormat>(ReadOnlySpan<byte> rows, int live, int width, byte* packed, byte* scratch) where TFormat : IIntegerFormat
    {
        // SAFETY: the caller gives the room that the summaries name; all indices below stay within sixteen rows of the width.
        PackedLayout layout = PackedLayout.Of<TFormat>();
        int rowBytes = rows.Length / live, groups = width / TFormat.GroupLength;
        float* scales = (float*)(scratch + Rows * (long)width), offsets = scales + groups;
        for (int r = 0; r < live; r++)
            TFormat.Unpack(rows.Slice(r * rowBytes, rowBytes), new Span<byte>(scratch + r * (long)width, width), new Span<float>(scales, groups), TFormat.HasOffsets ? new Span<float>(offsets, groups) : default);
        new Span<byte>(scratch + live * (long)width, (Rows - live) * width).Clear();
        for (int b = 0; b < width / TFormat.BlockLength; b++, packed += layout.BlockBytes)
        {
            if (live < Rows) new Span<byte>(packed, layout.PlanesAt).Clear();
            for (int r = 0; r < live; r++) PackScales<TFormat>(rows.Slice(r * rowBytes + b * TFormat.BlockBytes, TFormat.BlockBytes), packed + layout.ScaleBytesAt, (ushort*)packed, r);
            for (int p = 0; p < TFormat.BlockLength / Planes; p++)
                PackPlanes<TFormat>(scratch + b * TFormat.BlockLength + p * Planes, width, packed + layout.PlanesAt + p * layout.PlaneBytes);
        }
    }

    /// <summary>Decodes one row: the bits that the format's own decoder gives.</summary>
    /// <param name="packed">Sixteen rows.</param>
    /// <param name="layout">Their layout.</param>
    /// <param name="row">0 to 15.</param>
    /// <param name="destination">The columns.</param>
    public static void ReadRow(byte* packed, in PackedLayout layout, int row, Span<float> destination)
    {
        // SAFETY: the caller's rows have destination.Length columns, a whole number of blocks, and blocks are whole groups of whole steps.
        fixed (float* to = destination)
            for (int at = 0; at < destination.Length; at += layout.BlockLength, packed += layout.BlockBytes)
                for (int i = 0; i < layout.BlockLength; i += layout.GroupLength)
                {
                    int group = i / layout.GroupLength;
                    float scale = Scale(packed, 0, layout.ScaleBytesAt, in layout, group, row), offset = layout.HasOffsets ? Scale(packed, PackedLayout.OffsetsAt, layout.MinimaAt, in layout, group, row) : 0;
                    for (int column = i; column < i + layout.GroupLength; column += Step)
                    {
                        uint codes = Codes(packed + layout.PlanesAt + column / Planes * layout.PlaneBytes, in layout, column % Planes / Step, row);
                        Vector128<int> wide = Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(codes).AsByte())).AsInt32();
                        Vector128<float> values = Vector128.Create(scale) * Vector128.ConvertToSingle(wide - Vector128.Create(layout.Zero));
                        if (layout.HasOffsets) values += Vector128.Create(offset);
                        values.Store(to + at + column);
                    }
                }
    }

    private static float Scale(byte* block, int halvesAt, int bytesAt, in PackedLayout layout, int group, int row)
    {
        float half = HalfBits.ToSingle(((ushort*)(block + halvesAt))[row]);
        return layout.Groups == 1 ? half : half * (sbyte)block[bytesAt + group * Rows + row];
    }

    /// <summary>The codes of a step of a row, a byte each.</summary>
    private static uint Codes(byte* planes, in PackedLayout layout, int step, int row)
    {
        planes += row * Step;
        uint low = layout.LowBits switch
        {
            8 => *(uint*)(planes + 64 * step),
            4 => *(uint*)(planes + 64 * (step % 4)) >> (4 * (step / 4)) & 0x0F0F0F0F,
            _ => *(uint*)(planes + 64 * (step / 4)) >> (2 * (step % 4)) & 0x03030303,
        };
        planes += layout.LowPlaneBytes;
        uint high = layout.HighBits switch
        {
            2 => *(uint*)(planes + 64 * (step / 4)) >> (2 * (step % 4)) & 0x03030303,
            1 => *(uint*)planes >> step & 0x01010101,
            _ => 0,
        };
        return low | high << layout.LowBits;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PackScales<TFormat>(ReadOnlySpan<byte> block, byte* bytes, ushort* halves, int row) where TFormat : IIntegerFormat
    {
        int groups = TFormat.BlockLength / TFormat.GroupLength;
        if (groups == 1)
        {
            TFormat.ReadScales(block, out halves[row], out ushort offset, default, default);
            if (TFormat.HasOffsets) halves[Rows + row] = offset;
            return;
        }
        sbyte* scales = stackalloc sbyte[16], minima = stackalloc sbyte[16];
        TFormat.ReadScales(block, out halves[row], out ushort m, new Span<sbyte>(scales, 16), new Span<sbyte>(minima, 16));
        if (TFormat.HasOffsets) halves[Rows + row] = m;
        for (int g = 0; g < groups; g++)
        {
            bytes[g * Rows + row] = (byte)scales[g];
            if (TFormat.HasOffsets) bytes[(groups + g) * Rows + row] = (byte)minima[g];
        }
    }

    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackPlanes<TFormat>(byte* codes, int width, byte* planes) where TFormat : IIntegerFormat
    {
        // SAFETY: each of the sixteen rows has 32 codes here.
        uint* steps = stackalloc uint[8 * Rows];
        for (int r = 0; r < Rows; r++, codes += width)
        {
            ulong a = ((ulong*)codes)[0], b = ((ulong*)codes)[1], c = ((ulong*)codes)[2], d = ((ulong*)codes)[3];
            (steps[r], steps[Rows + r], steps[2 * Rows + r], steps[3 * Rows + r]) = ((uint)a, (uint)(a >> 32), (uint)b, (uint)(b >> 32));
            (steps[4 * Rows + r], steps[5 * Rows + r], steps[6 * Rows + r], steps[7 * Rows + r]) = ((uint)c, (uint)(c >> 32), (uint)d, (uint)(d >> 32));
        }
        byte* step = (byte*)steps;
        switch (TFormat.LowBits)
        {
            case 8:
                for (int s = 0; s < 8; s++) Vector512.Load(step + 64 * s).Store(planes + 64 * s);
                break;
            case 4:
                Vector512<byte> nibble = Vector512.Create((byte)15);
                for (int v = 0; v < 4; v++) ((Vector512.Load(step + 64 * v) & nibble) | Left(Vector512.Load(step + 64 * (v + 4)) & nibble, 4)).Store(planes + 64 * v);
                break;
            default:
                Vector512<byte> three = Vector512.Create((byte)3);
                for (int v = 0; v < 2; v++, step += 256)
                    (Vector512.Load(step) & three | Left(Vector512.Load(step + 64) & three, 2) | Left(Vector512.Load(step + 128) & three, 4) | Left(Vector512.Load(step + 192) & three, 6)).Store(planes + 64 * v);
                break;
        }
        planes += 64 * TFormat.LowBits;
        int perVector = TFormat.HighBits == 0 ? 0 : 8 / TFormat.HighBits;
        Vector512<byte> mask = Vector512.Create((byte)((1 << TFormat.HighBits) - 1));
        for (int v = 0; v < TFormat.HighBits; v++)
        {
            Vector512<byte> plane = default;
            for (int i = 0; i < perVector; i++)
                plane |= Left(Vector512.ShiftRightLogical(Vector512.Load((byte*)steps + 64 * (v * perVector + i)).AsUInt16(), TFormat.LowBits).AsByte() & mask, TFormat.HighBits * i);
            plane.Store(planes + 64 * v);
        }
    }

    // The codes are masked: nothing crosses a byte.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Left(Vector512<byte> codes, int count) => Vector512.ShiftLeft(codes.AsUInt16(), count).AsByte();
}
