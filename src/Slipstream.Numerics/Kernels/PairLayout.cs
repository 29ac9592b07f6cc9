using System.Runtime.CompilerServices;

namespace Slipstream.Numerics.Kernels;

/// <summary>How bfloat16 weights lie once they are packed: of sixteen rows of W, one vector after the other, each two columns that follow one another, <c>[pair][row][column]</c>.</summary>
/// <remarks>
/// An accumulator then holds sixteen outputs, and a pair of activations is broadcast. The bytes are those of the file, but for widths that are no multiple of <see cref="StepColumns"/>, which end in zeros.
/// Element order: that of <see cref="PairProduct"/> with one sum.
/// </remarks>
internal static unsafe class PairLayout
{
    /// <summary>Pairs of columns in a step of the kernels, which do whole steps.</summary>
    public const int StepPairs = 4;

    /// <summary>Columns of a step.</summary>
    public const int StepColumns = 2 * StepPairs;

    /// <summary>Bytes of a pair of columns of sixteen rows.</summary>
    public const int PairBytes = PackedLayout.Rows * sizeof(uint);

    /// <summary>Steps of a row.</summary>
    public static int Steps(int width) => (width + StepColumns - 1) / StepColumns;

    /// <summary>Bytes of sixteen rows.</summary>
    public static long GroupBytes(int width) => (long)Steps(width) * StepPairs * PairBytes;

    /// <summary>Packs up to sixteen rows into zeroed memory.</summary>
    /// <param name="rows">The rows, one after another.</param>
    /// <param name="live">Rows given, 1 to 16; the others stay zeros.</param>
    /// <param name="width">Columns.</param>
    /// <param name="packed">Room for <see cref="GroupBytes"/>.</param>
    // Fully optimised at first use: models are packed while their user waits.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pack(byte* rows, int live, int width, byte* packed)
    {
        // SAFETY: the caller gives rows of the width and the room; pairs end before an odd last column, which is copied alone.
        nint rowBytes = (nint)width * sizeof(ushort);
        int pairs = width / 2;
        // A block of sixteen by sixteen pairs at a time stays near, whichever way it is gone through.
        for (int block = 0; block < pairs; block += PackedLayout.Rows)
        {
            int end = Math.Min(pairs, block + PackedLayout.Rows);
            for (int row = 0; row < live; row++)
            {
                uint* from = (uint*)(rows + row * rowBytes), to = (uint*)packed + row;
                for (int pair = block; pair < end; pair++) to[(nint)pair * PackedLayout.Rows] = from[pair];
            }
        }
        if (width % 2 == 0) return;
        for (int row = 0; row < live; row++) ((uint*)packed)[(nint)pairs * PackedLayout.Rows + row] = ((ushort*)(rows + row * rowBytes))[width - 1];
    }

    /// <summary>Decodes one row: the bits that the format's own decoder gives.</summary>
    /// <param name="packed">Sixteen rows.</param>
    /// <param name="row">0 to 15.</param>
    /// <param name="destination">The columns.</param>
    public static void ReadRow(byte* packed, int row, Span<float> destination)
    {
        // SAFETY: the caller's rows have destination.Length columns.
        uint* pairs = (uint*)packed + row;
        for (int i = 0; i < destination.Length; i++)
        {
            uint pair = pairs[i / 2 * PackedLayout.Rows];
            destination[i] = BitConverter.UInt32BitsToSingle(i % 2 == 0 ? pair << 16 : pair & 0xFFFF_0000u);
        }
    }
}
