using Slipstream.Numerics.Kernels;

namespace Slipstream.Tests.Kernels;

public sealed class RotaryKernelTests
{
    [Fact]
    public void Pairs_of_every_count_turn_as_one_at_a_time()
    {
        Random random = new(8);
        for (int pairs = 0; pairs < 70; pairs++)
        {
            float[] head = Noise(2 * pairs), cos = Noise(pairs), sin = Noise(pairs), expected = [.. head];
            RotaryKernel.InterleavedReference(expected, cos, sin);
            RotaryKernel.Interleaved(head, cos, sin);
            Assert.Equal(expected, head);
            RotaryKernel.HalvesReference(expected.AsSpan(0, pairs), expected.AsSpan(pairs), cos, sin);
            RotaryKernel.Halves(head.AsSpan(0, pairs), head.AsSpan(pairs), cos, sin);
            Assert.Equal(expected, head);
        }

        float[] Noise(int length) => [.. Enumerable.Range(0, length).Select(_ => (random.NextSingle() - 0.5f) * MathF.ScaleB(1, random.Next(-20, 20)))];
    }

    [Fact]
    public void A_quarter_turn_takes_the_first_axis_to_the_second()
    {
        float[] head = [1, 2, 3, 4];
        RotaryKernel.Interleaved(head, [0, 1], [1, 0]);
        Assert.Equal([-2, 1, 3, 4], head);
        RotaryKernel.Halves(head.AsSpan(0, 2), head.AsSpan(2), [0, 1], [1, 0]);
        Assert.Equal([-3, 1, -2, 4], head);
        Assert.Throws<ArgumentException>(() => RotaryKernel.Interleaved(head, [1], [0]));
        Assert.Throws<ArgumentException>(() => RotaryKernel.Halves(head.AsSpan(0, 2), head.AsSpan(2), [1], [0, 0]));
    }
}
