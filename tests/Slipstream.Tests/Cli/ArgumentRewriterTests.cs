using Slipstream.Cli;

namespace Slipstream.Tests.Cli;

public sealed class ArgumentRewriterTests
{
    [Theory]
    [InlineData("-hello")]
    [InlineData("--json")]
    [InlineData("--")]
    [InlineData("--stop=x")]
    [InlineData("@file")]
    [InlineData("-")]
    [InlineData("=")]
    [InlineData("a=b:c")]
    [InlineData(" spaces ")]
    [InlineData("\"quoted\"")]
    [InlineData("two\nlines")]
    [InlineData("")]
    public void Every_value_is_a_value(string value)
    {
        using CliConsole console = new(Stream.Null, TextWriter.Null, TextWriter.Null);
        System.CommandLine.RootCommand root = CommandLineApp.CreateRoot(console);
        foreach (string[] arguments in (string[][])[["generate", "--prompt", value, "--json"], ["generate", $"--prompt={value}", "--json"]])
        {
            System.CommandLine.ParseResult result = root.Parse(ArgumentRewriter.Rewrite(root, arguments), new System.CommandLine.ParserConfiguration { ResponseFileTokenReplacer = null, EnablePosixBundling = false });
            Assert.Empty(result.Errors);
            Assert.Equal(value, result.GetValue<string>("--prompt"));
            Assert.True(result.GetValue<bool>("--json"));
        }
    }

    [Fact]
    public void Flags_take_no_value() => Assert.Equal(["generate", "--json", "--prompt=--json", "--ignore-eos"], Rewrite("generate", "--json", "--prompt", "--json", "--ignore-eos"));

    [Fact]
    public void Short_names_take_values_too() => Assert.Equal(["inspect", "-m=-x"], Rewrite("inspect", "-m", "-x"));

    private static string[] Rewrite(params string[] arguments)
    {
        using CliConsole console = new(Stream.Null, TextWriter.Null, TextWriter.Null);
        return ArgumentRewriter.Rewrite(CommandLineApp.CreateRoot(console), arguments);
    }
}
