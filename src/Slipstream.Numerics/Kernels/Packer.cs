using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Brings sixteen encoded rows into the <see cref="PackedLayout"/>, and reads one back.</summary>
internal static unsafe class Packer
{
    private const int Rows = PackedLayout.Rows, Planes = PackedLayout.PlaneLength;

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
            new Span<byte>(packed, layout.PlanesAt).Clear();
            for (int r = 0; r < live; r++) PackScales<TFormat>(rows.Slice(r * rowBytes + b * TFormat.BlockBytes, TFormat.BlockBytes), in layout, packed + layout.ScaleBytesAt, (ushort*)packed, r);
            for (int p = 0; p < TFormat.BlockLength / Planes; p++)
                PackPlanes(scratch + b * TFormat.BlockLength + p * Planes, width, packed + layout.PlanesAt + p * layout.PlaneBytes, in layout);
        }
    }

    /// <summary>Decodes one row: the bits that the format's own decoder gives.</summary>
    /// <param name="packed">Sixteen rows.</param>
    /// <param name="layout">Their layout.</param>
    /// <param name="row">0 to 15.</param>
    /// <param name="destination">The columns.</param>
    public static void ReadRow(byte* packed, in PackedLayout layout, int row, Span<float> destination)
    {
        // SAFETY: the caller's rows have destination.Length columns, a whole number of blocks.
        for (int at = 0; at < destination.Length; at += layout.BlockLength, packed += layout.BlockBytes)
            for (int i = 0; i < layout.BlockLength; i++)
            {
                float scale = Scale(packed, 0, layout.ScaleBytesAt, in layout, i / layout.GroupLength, row);
                float value = scale * (Code(packed + layout.PlanesAt + i / Planes * layout.PlaneBytes, in layout, i % Planes, row) - layout.Zero);
                destination[at + i] = layout.HasOffsets ? value + Scale(packed, PackedLayout.OffsetsAt, layout.MinimaAt, in layout, i / layout.GroupLength, row) : value;
            }
    }

    private static float Scale(byte* block, int halvesAt, int bytesAt, in PackedLayout layout, int group, int row)
    {
        float half = HalfBits.ToSingle(((ushort*)(block + halvesAt))[row]);
        return layout.Groups == 1 ? half : half * (sbyte)block[bytesAt + group * Rows + row];
    }

    private static int Code(byte* planes, in PackedLayout layout, int column, int row)
    {
        int step = column / PackedLayout.StepLength, at = row * PackedLayout.StepLength + column % PackedLayout.StepLength;
        int low = layout.LowBits switch
        {
            8 => planes[64 * step + at],
            4 => planes[64 * (step % 4) + at] >> (4 * (step / 4)) & 15,
            _ => planes[64 * (step / 4) + at] >> (2 * (step % 4)) & 3,
        };
        planes += layout.LowPlaneBytes;
        int high = layout.HighBits switch
        {
            2 => planes[64 * (step / 4) + at] >> (2 * (step % 4)) & 3,
            1 => planes[at] >> step & 1,
            _ => 0,
        };
        return low | high << layout.LowBits;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackScales<TFormat>(ReadOnlySpan<byte> block, in PackedLayout layout, byte* bytes, ushort* halves, int row) where TFormat : IIntegerFormat
    {
        sbyte* scales = stackalloc sbyte[16];
        sbyte* minima = stackalloc sbyte[16];
        TFormat.ReadScales(block, out ushort d, out ushort m, new Span<sbyte>(scales, 16), new Span<sbyte>(minima, 16));
        halves[row] = d;
        if (TFormat.HasOffsets) halves[Rows + row] = m;
        if (layout.Groups == 1) return;
        for (int g = 0; g < layout.Groups; g++)
        {
            bytes[g * Rows + row] = (byte)scales[g];
            if (TFormat.HasOffsets) bytes[(layout.Groups + g) * Rows + row] = (byte)minima[g];
        }
    }

    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackPlanes(byte* codes, int width, byte* planes, in PackedLayout layout)
    {
        uint* steps = stackalloc uint[8 * Rows];
        for (int r = 0; r < Rows; r++, codes += width)
            for (int s = 0; s < 8; s++) steps[s * Rows + r] = ((uint*)codes)[s];
        byte mask = (byte)((1 << layout.LowBits) - 1);
        int perVector = 8 / layout.LowBits;
        for (int v = 0; v < layout.LowBits; v++)
        {
            Vector512<byte> plane = default;
            for (int i = 0; i < perVector; i++) plane |= Shift(Vector512.Load((byte*)(steps + Rows * Step(layout.LowBits, v, i))) & Vector512.Create(mask), layout.LowBits * i);
            plane.Store(planes + 64 * v);
        }
        planes += layout.LowPlaneBytes;
        for (int v = 0; v < layout.HighBits; v++)
        {
            Vector512<byte> plane = default;
            for (int i = 0; i < 8 / layout.HighBits; i++)
            {
                Vector512<byte> high = Vector512.ShiftRightLogical(Vector512.Load((byte*)(steps + Rows * Step(layout.HighBits, v, i))).AsUInt16(), layout.LowBits).AsByte();
                plane |= Shift(high & Vector512.Create((byte)((1 << layout.HighBits) - 1)), layout.HighBits * i);
            }
            plane.Store(planes + 64 * v);
        }
    }

    // The step in position i of vector v: nibbles are v and v + 4, so that the first half of 32 columns is all low nibbles; the others lie in order.
    private static int Step(int bits, int vector, int i) => bits == 4 ? vector + 4 * i : vector * (8 / bits) + i;

    // The codes are masked: nothing crosses a byte.
    private static Vector512<byte> Shift(Vector512<byte> codes, int count) => Vector512.ShiftLeft(codes.AsUInt16(), count).AsByte();
}
