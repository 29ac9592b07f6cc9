using Slipstream.TestSupport;

namespace Slipstream.Tests.Sampling;

public sealed class ChiSquareTests
{
    [Theory]
    // scipy.special.gammaincc, and the closed forms Q(1, x) = exp(−x), Q(1/2, x) = erfc(√x).
    [InlineData(1, 0.5, 0.6065306597126334)]
    [InlineData(1, 20, 2.061153622438558e-09)]
    [InlineData(0.5, 0.5, 0.31731050786291415)]
    [InlineData(0.5, 1.920729410347062, 0.05)]
    [InlineData(5, 5, 0.44049328506521257)]
    public void The_upper_gamma_function_agrees_with_known_values(double a, double x, double expected) =>
        Assert.Equal(expected, ChiSquare.UpperGamma(a, x), 1e-10);

    [Fact]
    public void A_fit_passes_and_a_misfit_fails()
    {
        Assert.True(ChiSquare.PValue([2505, 2490, 5005], [.25, .25, .5]) > 0.5);
        Assert.True(ChiSquare.PValue([2700, 2300, 5000], [.25, .25, .5]) < 1e-6);
        Assert.Equal(0, ChiSquare.PValue([1, 99], [0, 1]));
    }
}
