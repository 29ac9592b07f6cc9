using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Tests.Kernels;

public sealed class ElementwiseTests
{
    private const int Longest = 128;

    private delegate void Kernel(Span<float> a, Span<float> b, Span<float> y);

    private delegate float Expected(ReadOnlySpan<float> a, ReadOnlySpan<float> b, int i);

    [Fact]
    public void RmsNorm_has_the_bits_of_the_reference()
    {
        Sweep((a, b, y) => RmsNorm.Apply(a, b, 1e-5f, y), (a, b, i) => { float[] w = b.ToArray(); return Row(a, i, (x, r) => RmsNorm.Reference(x, w, 1e-5f, r)); }, 0, 0);
        float[] y = new float[2];
        RmsNorm.Apply([3, 4], [1, 2], 0, y);
        Assert.Equal(3 / Math.Sqrt(12.5), y[0], 1e-6);
        Assert.Equal(8 / Math.Sqrt(12.5), y[1], 1e-6);
    }

    [Fact]
    public void LayerNorm_has_the_bits_of_the_reference()
    {
        Sweep((a, b, y) => LayerNorm.Apply(a, b, b, 1e-5f, y), (a, b, i) => { float[] w = b.ToArray(); return Row(a, i, (x, r) => LayerNorm.Reference(x, w, w, 1e-5f, r)); }, 0, 0);
        Sweep((a, b, y) => LayerNorm.Apply(a, b, default, 1e-5f, y), (a, b, i) => { float[] w = b.ToArray(); return Row(a, i, (x, r) => LayerNorm.Reference(x, w, default, 1e-5f, r)); }, 0, 0);
        float[] y = new float[2];
        LayerNorm.Apply([1, 5], [1, 2], [10, 20], 0, y);
        Assert.Equal([9f, 22f], y);
    }

    [Fact]
    public void SwiGlu_is_near_the_reference() => Sweep((a, b, y) => SwiGlu.Apply(a, b, y), (a, b, i) => { float[] y = new float[1]; SwiGlu.Reference(a.Slice(i, 1), b.Slice(i, 1), y); return y[0]; }, 1e-6, 1e-30);

    [Fact]
    public void Gelu_is_near_the_definition()
    {
        Sweep((a, _, y) => Gelu.Tanh(a, y), (a, _, i) => (float)Gelu.ReferenceTanh(a[i]), 0, 0, (x, e) => 2e-6 * Math.Max(Math.Abs(x), 1e-3));
        Sweep((a, _, y) => Gelu.Erf(a, y), (a, _, i) => (float)Gelu.ReferenceErf(a[i]), 0, 0, (x, e) => 2e-7 * Math.Max(Math.Abs(x), 1e-3));
        float[] x = new float[20001], t = new float[20001], e = new float[20001];
        for (int i = 0; i < x.Length; i++) x[i] = (i - 10000) * 1e-3f;
        Gelu.Tanh(x, t);
        Gelu.Erf(x, e);
        for (int i = 0; i < x.Length; i++)
        {
            double scale = Math.Max(Math.Abs(x[i]), 1e-3);
            Assert.InRange(t[i] - Gelu.ReferenceTanh(x[i]), -2e-6 * scale, 2e-6 * scale);
            Assert.InRange(e[i] - Gelu.ReferenceErf(x[i]), -2e-7 * scale, 2e-7 * scale);
        }
        Assert.Equal(0.8411920, Gelu.ReferenceTanh(1), 1e-6);
        Assert.Equal(0.8413447, Gelu.ReferenceErf(1), 1e-6);
        float[] far = [-1000, -100, 100, 1000];
        Gelu.Tanh(far, far);
        Assert.Equal([0, 0, 100, 1000], far);
        far = [-1000, -100, 100, 1000];
        Gelu.Erf(far, far);
        Assert.Equal([0, 0, 100, 1000], far);
    }

    [Fact]
    public void Softmax_is_near_the_reference() => Sweep((a, _, y) => Softmax.Apply(a, y), (a, _, i) => Row(a, i, (x, r) => Softmax.Reference(x, r)), 1e-6, 1e-30);

    [Fact]
    public void Softmax_survives_what_overflows_an_exponential()
    {
        float[] y = new float[3];
        Softmax.Apply([1, 100, 90], y);
        Assert.Equal(1, y[1] + y[2], 1e-6);
        Softmax.Apply([float.NegativeInfinity, 3e38f, 3e38f], y);
        Assert.Equal([0, 0.5f, 0.5f], y);
        Softmax.Apply([float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity], y);
        Assert.Equal([0, 0, 0], y);
        float[] wide = new float[40];
        wide.AsSpan().Fill(float.NegativeInfinity);
        wide[33] = -7;
        Softmax.Apply(wide, wide);
        Assert.Equal(1f, wide[33]);
        Assert.Equal(1f, wide.Sum());
    }

    [Fact]
    public void Sums_have_the_bits_of_the_reference()
    {
        Sweep((a, b, y) => { a.CopyTo(y); AddInPlace.Apply(y, b); }, (a, b, i) => a[i] + b[i], 0, 0);
        float[] rows = [1, 2, 99, 3, 4, 99];
        AddBias.Apply(new Matrix(rows, 2, 2, 3), [10, 20]);
        Assert.Equal([11, 22, 99, 13, 24, 99], rows);
    }

    [Fact]
    public void A_value_has_one_result_wherever_it_lies()
    {
        using NativeBuffer<float> a = Products.RandomFloats(Longest, 3), b = Products.RandomFloats(Longest, 4);
        float[] whole = new float[Longest], part = new float[Longest];
        foreach (Action<float[], int, int> kernel in new Action<float[], int, int>[]
        {
            (y, from, n) => SwiGlu.Apply(a.Span(from, n), b.Span(from, n), y.AsSpan(from, n)),
            (y, from, n) => Gelu.Tanh(a.Span(from, n), y.AsSpan(from, n)),
            (y, from, n) => Gelu.Erf(a.Span(from, n), y.AsSpan(from, n)),
        })
        {
            kernel(whole, 0, Longest);
            for (int step = 1; step < 40; step++)
            {
                for (int from = 0; from < Longest; from += step) kernel(part, from, Math.Min(step, Longest - from));
                Assert.Equal(whole, part);
            }
        }
    }

    [Fact]
    public void Lengths_that_differ_are_refused()
    {
        float[] two = new float[2], three = new float[3];
        Assert.Throws<ArgumentException>(() => Softmax.Apply(two, three));
        Assert.Throws<ArgumentException>(() => RmsNorm.Apply(two, three, 0, two));
        Assert.Throws<ArgumentException>(() => RmsNorm.Apply(two, two, 0, three));
        Assert.Throws<ArgumentException>(() => LayerNorm.Apply(two, two, three, 0, two));
        Assert.Throws<ArgumentException>(() => SwiGlu.Apply(two, three, two));
        Assert.Throws<ArgumentException>(() => SwiGlu.Apply(two, two, three));
        Assert.Throws<ArgumentException>(() => Gelu.Tanh(two, three));
        Assert.Throws<ArgumentException>(() => AddInPlace.Apply(two, three));
        Assert.Throws<ArgumentException>(() => AddBias.Apply(new Matrix(two, 1, 2), three));
    }

    /// <summary>Every length from 0 to 128, against guard pages, for y apart and for y in place of a.</summary>
    private static void Sweep(Kernel kernel, Expected expected, double relative, double absolute, Func<float, float, double>? tolerance = null)
    {
        using GuardedMemory left = new(), right = new(), result = new();
        using NativeBuffer<float> source = Products.RandomFloats(2 * Longest, 5);
        for (int n = 0; n <= Longest; n++)
        {
            float[] a = source.Span(0, n).ToArray(), b = source.Span(Longest, n).ToArray();
            for (int i = 0; i < n; i++) a[i] *= 8;
            foreach (bool inPlace in new[] { false, true })
            {
                Span<float> x = left.End(n), z = right.End(n), y = inPlace ? x : result.End(n);
                a.CopyTo(x);
                b.CopyTo(z);
                kernel(x, z, y);
                for (int i = 0; i < n; i++)
                {
                    float want = expected(a, b, i);
                    double room = tolerance is null ? Math.Abs(want) * relative + absolute : tolerance(a[i], want);
                    if (!(Math.Abs(y[i] - want) <= room)) Assert.Fail($"length {n}, element {i}, in place {inPlace}: {y[i]:R} instead of {want:R}");
                }
            }
        }
    }

    private static float Row(ReadOnlySpan<float> x, int i, Action<float[], float[]> reference)
    {
        float[] y = new float[x.Length];
        reference(x.ToArray(), y);
        return y[i];
    }
}
