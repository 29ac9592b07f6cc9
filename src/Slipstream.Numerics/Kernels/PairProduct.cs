using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>How a product of bfloat16 activations with bfloat16 weights goes over its columns.</summary>
internal enum PairOrder
{
    /// <summary>Of weights in rows: sixteen partial sums.</summary>
    Rows,

    /// <summary>Of packed weights: one sum.</summary>
    Packed,

    /// <summary>Of packed weights on the matrix unit: one sum, to which 32 columns are added at once.</summary>
    Tiles,
}

/// <summary>The orders of products of bfloat16 activations with bfloat16 weights: where weights are packed, as a model's are, on vectors and on the matrix unit; and where they lie in rows.</summary>
/// <remarks>
/// Vectors take pairs of columns as <c>vdpbf16ps</c> does: first column <c>2j + 1</c>, then column <c>2j</c>, each by a fused multiplication and addition of 32-bit floats. Packed (<see cref="PairLayout"/>), an element is one
/// sum over ascending pairs; in rows, pair <c>j</c> of every 32 columns belongs to partial sum <c>j</c> of 16, and then <see cref="Lanes"/>. The instruction takes and gives zero for what is smaller than 2⁻¹²⁶; compiled
/// kernels do not. In all else they agree to the bit.
/// The matrix unit sums the products of the even columns of 32, and those of the odd ones, each from zero and in ascending order, adds the second sum to the first, and that to the element. What is smaller than 2⁻¹²⁶ it takes and gives as zero, too.
/// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, VDPBF16PS and TDPBF16PS.
/// </remarks>
internal static class PairProduct
{
    /// <summary>Columns of a step.</summary>
    public const int Step = 32;

    /// <summary>The least multiple of 32 that is not under <paramref name="width"/>.</summary>
    public static int Pad(int width) => (width + (Step - 1)) & ~(Step - 1);

    /// <summary>Widens whole steps of bfloat16 to floats in the order they are summed: of 32 the odd ones, then the even ones.</summary>
    /// <param name="bits">Whole steps; may be the second half of <paramref name="floats"/>.</param>
    /// <param name="floats">As many floats.</param>
    public static void Widen(ReadOnlySpan<byte> bits, Span<float> floats)
    {
        if (bits.Length != floats.Length * sizeof(ushort) || floats.Length % Step != 0) throw new ArgumentException($"{bits.Length} bytes do not hold {floats.Length} bfloat16 in steps of {Step}.", nameof(bits));
        // SAFETY: the lengths were checked; each step is read whole before it is written, and what is written never passes what is read next.
        ref uint pairs = ref MemoryMarshal.GetReference(MemoryMarshal.Cast<byte, uint>(bits));
        ref float y = ref MemoryMarshal.GetReference(floats);
        for (nuint i = 0; i < (nuint)floats.Length; i += Step)
        {
            Vector512<uint> both = Vector512.LoadUnsafe(ref pairs, i / 2);
            (both & Vector512.Create(0xFFFF_0000u)).AsSingle().StoreUnsafe(ref y, i);
            (both << 16).AsSingle().StoreUnsafe(ref y, i + 16);
        }
    }

    /// <summary>The definition of one element, in each order.</summary>
    /// <param name="weights">bfloat16.</param>
    /// <param name="x">As many floats, which are rounded here.</param>
    /// <param name="order">The order.</param>
    /// <param name="flushes">Whether what is smaller than 2⁻¹²⁶ becomes zero.</param>
    internal static float Reference(ReadOnlySpan<byte> weights, ReadOnlySpan<float> x, PairOrder order, bool flushes)
    {
        if (order == PairOrder.Tiles) return InTiles(weights, x, flushes);
        Span<float> sums = stackalloc float[Lanes.Count];
        sums.Clear();
        for (int pair = 0; 2 * pair < x.Length; pair++)
            for (int i = 2 * pair + 1; i >= 2 * pair; i--)
                if (i < x.Length) Add(ref sums[order == PairOrder.Packed ? 0 : pair % Lanes.Count], weights, x, i, flushes);
        return order == PairOrder.Packed ? sums[0] : Lanes.Reference(sums);
    }

    private static float InTiles(ReadOnlySpan<byte> weights, ReadOnlySpan<float> x, bool flushes)
    {
        float sum = 0;
        for (int at = 0; at < x.Length; at += Step)
        {
            float even = 0, odd = 0;
            for (int i = at; i < Math.Min(at + Step, x.Length); i++) Add(ref i % 2 == 0 ? ref even : ref odd, weights, x, i, flushes);
            sum = Flushed(sum + Flushed(even + odd, flushes), flushes);
        }
        return sum;
    }

    private static void Add(ref float sum, ReadOnlySpan<byte> weights, ReadOnlySpan<float> x, int i, bool flushes)
    {
        float w = Widened(BinaryPrimitives.ReadUInt16LittleEndian(weights[(2 * i)..])), u = Widened(BF16.FromSingle(x[i]));
        sum = Flushed(MathF.FusedMultiplyAdd(w, u, sum), flushes);

        float Widened(ushort bits) => Flushed(BitConverter.UInt32BitsToSingle((uint)bits << 16), flushes);
    }

    private static float Flushed(float value, bool flushes) => flushes && float.IsSubnormal(value) ? MathF.CopySign(0, value) : value;
}
