using System.Runtime.Intrinsics;

namespace Slipstream.Numerics.Kernels;

/// <summary>Gaussian error linear units: <c>y = x · Φ(x)</c>, exactly or with a hyperbolic tangent in place of the error function.</summary>
/// <remarks>Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.</remarks>
internal static class Gelu
{
    private const float Root2OverPi = 0.7978845608028654f, Cubic = 0.044715f, RootHalf = 0.7071067811865476f;

    /// <summary><c>½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))</c>, "gelu_new". Within 2e-6 of <see cref="ReferenceTanh"/>, relative to the larger of |x| and 1e-3.</summary>
    /// <param name="x"><c>[n]</c>, finite.</param>
    /// <param name="y"><c>[n]</c>; may be exactly <paramref name="x"/>, never a partial overlap.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void Tanh(ReadOnlySpan<float> x, Span<float> y) => Elementwise.Run<TanhForm>(x, x, y);

    /// <summary><c>½ x (1 + erf(x / √2))</c>. Within 2e-7 of <see cref="ReferenceErf"/>, relative to the larger of |x| and 1e-3.</summary>
    /// <param name="x"><c>[n]</c>, finite.</param>
    /// <param name="y"><c>[n]</c>; may be exactly <paramref name="x"/>, never a partial overlap.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void Erf(ReadOnlySpan<float> x, Span<float> y) => Elementwise.Run<ErfForm>(x, x, y);

    /// <summary>The definition of <see cref="Tanh"/>.</summary>
    internal static double ReferenceTanh(double x) => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));

    /// <summary>The definition of <see cref="Erf"/>, with the error function as its series: <c>erf z = 2/√π · e^(−z²) Σ 2ⁿ z^(2n+1) / (2n+1)!!</c>, whose terms are all of one sign.</summary>
    internal static double ReferenceErf(double x)
    {
        double z = x / Math.Sqrt(2), term = z, sum = z;
        if (Math.Abs(z) > 6) return x > 0 ? x : 0;
        for (int n = 1; n < 400 && Math.Abs(term) > Math.Abs(sum) * 1e-17; n++)
        {
            term *= 2 * z * z / (2 * n + 1);
            sum += term;
        }
        return 0.5 * x * (1 + 2 / Math.Sqrt(Math.PI) * Math.Exp(-z * z) * sum);
    }

    private readonly struct TanhForm : IElementwise
    {
        // ½ (1 + tanh u) = 1 / (1 + e^(−2u)), which loses nothing where tanh is near −1.
        public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b)
        {
            Vector512<float> u = Root2OverPi * Vector512.FusedMultiplyAdd(a * a * a, Vector512.Create(Cubic), a);
            return a / (Vector512<float>.One + Vector512.Exp(-2f * u));
        }
    }

    private readonly struct ErfForm : IElementwise
    {
        public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b) =>
            0.5f * a * (Vector512<float>.One + ErrorFunction(a * RootHalf));

        // Two minimax polynomials, each within about one ulp: in z near zero, in the logarithm of the complement elsewhere. They meet at 475/512.
        private static Vector512<float> ErrorFunction(Vector512<float> z)
        {
            Vector512<float> t = Vector512.Abs(z), s = z * z;
            Vector512<float> far = Step(Vector512.Create(-1.72853470e-5f), t, 3.83197126e-4f);
            far = Vector512.FusedMultiplyAdd(far, s, Step(Vector512.Create(-3.88396438e-3f), t, 2.42546219e-2f));
            far = Step(far, t, -1.06777877e-1f);
            far = Step(far, t, -6.34846687e-1f);
            far = Step(far, t, -1.28717512e-1f);
            far = Vector512<float>.One - Vector512.Exp(Vector512.FusedMultiplyAdd(far, t, -t));
            far = Vector512.CopySign(far, z);
            Vector512<float> near = Step(Vector512.Create(-5.96761703e-4f), s, 4.99119423e-3f);
            near = Step(near, s, -2.67681349e-2f);
            near = Step(near, s, 1.12819925e-1f);
            near = Step(near, s, -3.76125336e-1f);
            near = Step(near, s, 1.28379166e-1f);
            near = Vector512.FusedMultiplyAdd(near, z, z);
            return Vector512.ConditionalSelect(Vector512.GreaterThan(t, Vector512.Create(0.927734375f)), far, near);
        }

        private static Vector512<float> Step(Vector512<float> sum, Vector512<float> x, float next) => Vector512.FusedMultiplyAdd(sum, x, Vector512.Create(next));
    }
}
