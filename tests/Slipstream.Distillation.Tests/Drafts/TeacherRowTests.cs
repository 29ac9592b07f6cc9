using Slipstream.Distillation.Drafts;

namespace Slipstream.Distillation.Tests.Drafts;

public sealed class TeacherRowTests
{
    [Theory]
    [InlineData(1, 1, 1.0)]
    [InlineData(5, 5, 1.0)]
    [InlineData(17, 3, 1.0)]
    [InlineData(512, 64, 1.0)]
    [InlineData(2048, 64, 0.7)]
    [InlineData(49152, 64, 1.0)]
    [InlineData(49157, 1, 2.0)]
    [InlineData(3000, 3000, 1.0)]
    public void The_best_tokens_are_those_of_a_sort(int vocabulary, int best, double temperature)
    {
        Random random = new(vocabulary + best);
        for (int kind = 0; kind < 4; kind++)
        {
            float[] logits = new float[vocabulary];
            // Smooth, full of ties, rising (each element raises the threshold) and falling.
            for (int i = 0; i < vocabulary; i++)
                logits[i] = kind switch { 0 => (float)(20 * random.NextDouble() - 10), 1 => random.Next(-3, 4), 2 => i * 1e-3f, _ => -i * 1e-3f };
            int[] expected = new int[best], actual = new int[best];
            float[] expectedLog = new float[best], actualLog = new float[best];
            double expectedRest = TeacherRow.Reference(logits, temperature, expected, expectedLog);
            double rest = TeacherRow.Select(logits, temperature, actual, actualLog, new ulong[TeacherRow.KeysFor(best)]);
            Assert.Equal(expected, actual);
            for (int i = 0; i < best; i++) Assert.Equal(expectedLog[i], actualLog[i], 1e-5f);
            Assert.Equal(expectedRest, rest, 1e-5);
            if (best == vocabulary) Assert.Equal(0, rest);
        }
    }
}
