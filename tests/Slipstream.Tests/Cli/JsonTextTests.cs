using System.Text.Json;
using Slipstream.Cli.Options;

namespace Slipstream.Tests.Cli;

public sealed class JsonTextTests
{
    [Theory]
    [InlineData("\"\\ud800\"", "\uFFFD")]
    [InlineData("\"a\\ud800\\n\\\"\\\\\\/\\u00e9\\ud83d\\ude00é\"", "a\uFFFD\n\"\\/é😀é")]
    [InlineData("\"\\udc00\\ud800\"", "\uFFFD\uFFFD")]
    [InlineData("\"plain\"", "plain")]
    public void Half_a_pair_is_the_replacement_character(string json, string text)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        Assert.Equal(text, JsonText.Get(document.RootElement));
    }
}
