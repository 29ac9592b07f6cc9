using Slipstream.Sampling;

namespace Slipstream.Tests.Sampling;

public sealed class RowCheckTests
{
    [Fact]
    public void A_row_can_be_sampled_from_if_it_has_a_number_and_neither_NaN_nor_infinity_above()
    {
        float negativeNaN = BitConverter.UInt32BitsToSingle(0xFFC00001), positiveNaN = BitConverter.UInt32BitsToSingle(0x7F800001);
        foreach (int length in (ReadOnlySpan<int>)[1, 15, 16, 17, 32, 50, 4096])
        {
            float[] excluded = new float[length];
            Array.Fill(excluded, float.NegativeInfinity);
            Assert.False(RowCheck.IsFinite(excluded));
            foreach (int at in (ReadOnlySpan<int>)[0, length / 2, length - 1])
                foreach (float others in (ReadOnlySpan<float>)[float.NegativeInfinity, -1f, -0f, 0f, 2f, float.MinValue, float.MaxValue])
                {
                    float[] row = new float[length];
                    foreach (float one in (ReadOnlySpan<float>)[-1f, -0f, 0f, 1f, float.MinValue, float.MaxValue, -float.Epsilon])
                    {
                        Array.Fill(row, others);
                        row[at] = one;
                        Assert.True(RowCheck.IsFinite(row), $"{one} at {at} of {length}, {others} elsewhere");
                    }
                    foreach (float bad in (ReadOnlySpan<float>)[float.NaN, negativeNaN, positiveNaN, float.PositiveInfinity])
                    {
                        Array.Fill(row, others);
                        row[at] = bad;
                        Assert.False(RowCheck.IsFinite(row), $"{bad} at {at} of {length}, {others} elsewhere");
                    }
                }
        }
    }
}
