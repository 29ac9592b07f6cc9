using System.Text.RegularExpressions;
using CsCheck;
using Slipstream.Models;

namespace Slipstream.Tests.Tokenizers;

public sealed class SplitPatternTests
{
    private const string Llama3 = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string DeepSeek = @"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Cased = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    // Within the basic plane the platform's engine is an independent witness. ſ and the Kelvin sign it does not fold.
    [Theory, InlineData(SplitPattern.Gpt2), InlineData(Llama3), InlineData(DeepSeek), InlineData(Cased), InlineData(@"a{2,}b?|(?:x|yz)?q|[^a-f]{,2}z"), InlineData(@"\w+|[^\w\s]+")]
    public void Matches_as_the_platform_within_the_basic_plane(string pattern)
    {
        // The platform has no {,n}.
        Regex regex = new(pattern.Replace("{,2}", "{0,2}", StringComparison.Ordinal), RegexOptions.CultureInvariant);
        SplitPattern compiled = SplitPattern.Compile(pattern, "test");
        Gen.Char["  \t\r\n\u00A0\u3000aaAbcfqxyzZ019'.,!-/sStTrReEéÉßΣжЖ日本ก\u0301"].Array[0, 40].Select(units => new string(units)).Sample(text =>
        {
            List<(int, int)> found = [];
            long budget = SplitPattern.Budget(text.Length);
            for (int at = 0; compiled.Find(text, at, ref budget) is var (from, to) && from >= 0; at = to)
                found.Add((from, to));
            return found.SequenceEqual(regex.Matches(text).Select(match => (match.Index, match.Index + match.Length)));
        }, iter: 3000);
    }

    [Theory]
    [InlineData(@"\p{L}+", "𐐨𠀀a", "0-5")]
    [InlineData(@"\p{L}", "𐐨a", "0-2 2-3")]
    [InlineData(@"[^\s\p{L}\p{N}]+", "a😀!b", "1-4")]
    [InlineData(@"[😀-😂]", "😁😃", "0-2")]
    [InlineData(@".{2}", "😀😀\n😀", "0-4")]
    [InlineData(@"\p{L}+𐐨", "a𐐨𐐨b", "0-5")]
    [InlineData("(?i:'s|'k)", "'S'ſ'K'x", "0-2 2-4 4-6")]
    [InlineData("'s", "'S'ſ's", "4-6")]
    [InlineData("a++a|b", "aaab", "3-4")]
    [InlineData(@"\s+(?!\S)|x", "   x", "0-2 3-4")]
    [InlineData(@"\s+(?=x)|x", "   x", "0-3 3-4")]
    [InlineData(@"\w", "½", "0-1")]
    [InlineData(@"[\w]", "½", "")]
    [InlineData(@"[^\W]", "a!", "0-1")]
    [InlineData(@"\x41|\x{1F600}|\u0042", "A😀B", "0-1 1-3 3-4")]
    [InlineData(@"[]]", "]", null)]
    public void Matches_code_points(string pattern, string text, string? expected)
    {
        if (expected is null)
        {
            Assert.Throws<SlipstreamException>(() => SplitPattern.Compile(pattern, "test"));
            return;
        }
        SplitPattern compiled = SplitPattern.Compile(pattern, "test");
        List<string> found = [];
        long budget = SplitPattern.Budget(text.Length);
        for (int at = 0; compiled.Find(text, at, ref budget) is var (from, to) && from >= 0; at = to)
            found.Add($"{from}-{to}");
        Assert.Equal(expected, string.Join(' ', found));
    }
}
