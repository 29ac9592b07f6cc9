using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>What an elementwise operation does to 16 elements.</summary>
internal interface IElementwise
{
    static abstract Vector512<float> Apply(Vector512<float> a, Vector512<float> b);
}

/// <summary>Runs elementwise operations over spans.</summary>
/// <remarks>
/// The elements after the last whole vector go through the same vector code, in a padded copy: a value's result does not depend on where in the span it lies,
/// so a kernel may run over one row or over many at once.
/// </remarks>
internal static class Elementwise
{
    /// <summary><c>y[i] = op(a[i], b[i])</c>; y may be exactly a or b, never a partial overlap.</summary>
    /// <exception cref="ArgumentException">The three lengths differ.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run<TOperation>(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y) where TOperation : struct, IElementwise
    {
        if (a.Length != y.Length || b.Length != y.Length) ThrowLengths(a.Length, b.Length, y.Length);
        ref float left = ref MemoryMarshal.GetReference(a);
        ref float right = ref MemoryMarshal.GetReference(b);
        ref float result = ref MemoryMarshal.GetReference(y);
        nuint i = 0, n = (nuint)y.Length;
        for (; i + Lanes.Count <= n; i += Lanes.Count)
            TOperation.Apply(Vector512.LoadUnsafe(ref left, i), Vector512.LoadUnsafe(ref right, i)).StoreUnsafe(ref result, i);
        if (i == n) return;
        Span<float> last = stackalloc float[Lanes.Count];
        TOperation.Apply(Tail(a[(int)i..]), Tail(b[(int)i..])).CopyTo(last);
        last[..(int)(n - i)].CopyTo(y[(int)i..]);
    }

    /// <summary>Under 16 elements, with <paramref name="padding"/> after them.</summary>
    public static Vector512<float> Tail(ReadOnlySpan<float> rest, float padding = 0)
    {
        Span<float> padded = stackalloc float[Lanes.Count];
        padded.Fill(padding);
        rest.CopyTo(padded);
        return Vector512.Create<float>(padded);
    }

    [DoesNotReturn]
    public static void ThrowLengths(int a, int b, int y) => throw new ArgumentException($"Lengths of {a}, {b} and {y} do not fit each other.");
}
