using System.Runtime.Intrinsics;
using Slipstream.Sampling;
using Slipstream.TestSupport;

namespace Slipstream.Tests.Sampling;

public sealed class TokenRandomTests
{
    private const int Cells = 16, Draws = 40_000;

    /// <summary>Every part of the key alone must give independent uniform numbers: neighbouring keys fill a grid evenly.</summary>
    [Theory]
    [InlineData("position")]
    [InlineData("item")]
    [InlineData("seed")]
    [InlineData("index")]
    public void Neighbouring_keys_give_independent_uniform_numbers(string part)
    {
        double[] even = [.. Enumerable.Repeat(1.0, Cells * Cells)];
        foreach (RandomPurpose purpose in Enum.GetValues<RandomPurpose>())
        {
            long[] pairs = new long[Cells * Cells], purposes = new long[Cells * Cells];
            RandomPurpose other = purpose == RandomPurpose.Coupling ? RandomPurpose.Token : purpose + 1;
            for (int i = 0; i < Draws; i++)
            {
                int cell = Cell(part, i, purpose);
                pairs[cell * Cells + Cell(part, i + 1, purpose)]++;
                purposes[cell * Cells + Cell(part, i, other)]++;
            }
            Assert.True(ChiSquare.PValue(pairs, even) > 0.001, $"neighbours, {part}, {purpose}");
            Assert.True(ChiSquare.PValue(purposes, even) > 0.001, $"purposes, {part}, {purpose}");
        }
    }

    [Fact]
    public void Numbers_depend_on_their_key_alone_and_lie_in_range()
    {
        TokenRandom random = new(42, 3);
        Assert.Equal(random.Uniform(7, RandomPurpose.Accept, 9), new TokenRandom(42, 3).Uniform(7, RandomPurpose.Accept, 9));
        for (int i = 0; i < 10_000; i++)
        {
            Assert.InRange(random.Uniform(i, RandomPurpose.Token), 0, 1 - 1e-16);
            Assert.True(random.Exponential(i, RandomPurpose.Coupling, i) > 0);
        }
    }

    [Fact]
    public void Exponential_noise_has_its_distribution()
    {
        long[] counts = new long[20];
        TokenRandom random = new(5, 0);
        for (int i = 0; i < Draws; i++) counts[Math.Min(19, (int)((1 - Math.Exp(-random.Exponential(i / 200, RandomPurpose.Coupling, i % 200))) * 20))]++;
        Assert.True(ChiSquare.PValue(counts, [.. Enumerable.Repeat(1.0, 20)]) > 0.001);
    }

    [Fact]
    public void The_vector_mix_is_the_scalar_mix()
    {
        Vector512<ulong> x = Vector512.Create(0UL, 1, ulong.MaxValue, 1UL << 63, 0x123456789ABCDEF0, 77, 1UL << 32, 0xFFFFFFFF);
        Vector512<ulong> mixed = TokenRandom.Mix(x);
        for (int i = 0; i < 8; i++) Assert.Equal(TokenRandom.Mix(x[i]), mixed[i]);
    }

    private static int Cell(string part, int i, RandomPurpose purpose) => (int)(Cells * part switch
    {
        "position" => new TokenRandom(1, 0).Uniform(i, purpose),
        "item" => new TokenRandom(1, 0).Uniform(5, purpose, i),
        "seed" => new TokenRandom((ulong)i, 0).Uniform(5, purpose),
        _ => new TokenRandom(1, i).Uniform(5, purpose),
    });
}
