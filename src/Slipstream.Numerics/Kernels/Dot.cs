using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Inner product of two rows.</summary>
internal static class Dot
{
    /// <summary><c>Σ a[i] · b[i]</c> in the element order of <see cref="FloatTile"/>, bit for bit.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static float Product(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        if (a.Length != b.Length) Elementwise.ThrowLengths(a.Length, b.Length, a.Length);
        ref float left = ref MemoryMarshal.GetReference(a);
        ref float right = ref MemoryMarshal.GetReference(b);
        Vector512<float> sum = default;
        nuint i = 0, n = (nuint)a.Length;
        for (; i + Lanes.Count <= n; i += Lanes.Count)
            sum = Vector512.FusedMultiplyAdd(Vector512.LoadUnsafe(ref left, i), Vector512.LoadUnsafe(ref right, i), sum);
        if (i < n) sum = Vector512.FusedMultiplyAdd(Elementwise.Tail(a[(int)i..]), Elementwise.Tail(b[(int)i..]), sum);
        return Lanes.Sum(sum);
    }

    /// <summary>The definition.</summary>
    internal static float Reference(ReadOnlySpan<float> a, ReadOnlySpan<float> b) => FloatTile.Reference(a, b);
}
