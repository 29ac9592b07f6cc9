namespace Slipstream.Tests.Tokenizers;

internal static class Failures
{
    /// <summary>One sentence for a person: not endless, of one line, and with these words in it.</summary>
    public static void AssertSentence(SlipstreamException failure, params string[] words)
    {
        Assert.True(failure.Message.Length is > 20 and < 500, failure.Message);
        Assert.DoesNotContain('\n', failure.Message);
        Assert.EndsWith(".", failure.Message, StringComparison.Ordinal);
        foreach (string word in words)
            Assert.Contains(word, failure.Message, StringComparison.Ordinal);
    }
}
