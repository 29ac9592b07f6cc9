namespace Slipstream.Tests.Engine;

public sealed class StopStringMatcherTests
{
    [Theory]
    [InlineData("hello wor", "ld! more", "world", "hello ")]
    [InlineData("aab", "aac", "aac", "aab")]
    [InlineData("aa", "aab", "aab", "aa")]
    [InlineData("stop", "", "stop", "")]
    [InlineData("no ", "match", "zzz", "no match")]
    public void Text_up_to_the_stop_is_given_out(string first, string second, string stop, string expected)
    {
        StopStringMatcher matcher = new([stop]);
        string given = matcher.Append(first) + matcher.Append(second);
        Assert.Equal(expected.StartsWith("no", StringComparison.Ordinal) ? false : true, matcher.Found);
        Assert.Equal(expected, given + (matcher.Found ? "" : matcher.Flush()));
    }

    [Fact]
    public void Every_way_to_cut_a_text_gives_the_same()
    {
        const string text = "one two\n\nthree END four";
        for (int cut = 0; cut <= text.Length; cut++)
        {
            StopStringMatcher matcher = new(["END", "ENDX", "\n\n\n"]);
            Assert.Equal("one two\n\nthree ", matcher.Append(text[..cut]) + matcher.Append(text[cut..]));
            Assert.True(matcher.Found);
            Assert.Equal("", matcher.Append("more"));
        }
    }

    [Fact]
    public void The_earliest_of_several_stops_wins()
    {
        StopStringMatcher matcher = new(["zebra", "cat"]);
        Assert.Equal("a ", matcher.Append("a cat and a zebra"));
    }
}
