using Slipstream.Sampling;

namespace Slipstream.Tests.Sampling;

public sealed class TokenLogprobsTests
{
    [Fact]
    public void Logprobs_agree_with_the_definition_and_come_best_first()
    {
        float[] logits = [.. Enumerable.Range(0, 1003).Select(i => (float)Math.Sin(i * 1.7) * 9 + 300)];
        (logits[500], logits[7]) = (320, 320);
        double max = logits.Max(), lse = max + Math.Log(logits.Sum(x => Math.Exp(x - max)));
        TokenLogprob[] top = new TokenLogprob[5];
        long before = GC.GetAllocatedBytesForCurrentThread();
        float chosen = TokenLogprobs.Of(logits, 3, top);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(logits[3] - lse, chosen, 1e-5);
        Assert.Equal(chosen, TokenLogprobs.Of(logits, 3));
        int[] order = [.. Enumerable.Range(0, logits.Length).OrderByDescending(i => logits[i]).ThenBy(i => i).Take(5)];
        Assert.Equal(order, top.Select(t => t.Token));
        foreach (TokenLogprob t in top) Assert.Equal(logits[t.Token] - lse, t.Logprob, 1e-5);
    }

    [Fact]
    public void Excluded_tokens_have_minus_infinity_and_too_many_are_refused()
    {
        TokenLogprob[] top = new TokenLogprob[2];
        Assert.Equal(0, TokenLogprobs.Of([1, float.NegativeInfinity], 0, top), 1e-6);
        Assert.Equal(float.NegativeInfinity, top[1].Logprob);
        Assert.Throws<ArgumentException>(() => TokenLogprobs.Of([1], 0, top));
    }
}
