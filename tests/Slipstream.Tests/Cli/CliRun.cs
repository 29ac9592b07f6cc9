using System.Text;
using Slipstream.Cli;

namespace Slipstream.Tests.Cli;

/// <summary>A command line run in this process.</summary>
internal sealed record CliRun(int Code, string Out, string Error)
{
    public static Task<CliRun> Of(params string[] arguments) => With([], arguments);

    public static async Task<CliRun> With(byte[] input, params string[] arguments)
    {
        using StringWriter output = new() { NewLine = "\n" }, error = new() { NewLine = "\n" };
        using CliConsole console = new(new MemoryStream(input), output, error);
        int code = await CommandLineApp.RunAsync(arguments, console, TestContext.Current.CancellationToken);
        return new CliRun(code, output.ToString(), error.ToString());
    }

    public static Task<CliRun> With(string input, params string[] arguments) => With(Encoding.UTF8.GetBytes(input), arguments);

    /// <summary>Asserts that the command failed with this sentence alone.</summary>
    public void Failed(int code, string sentence)
    {
        Assert.Equal("slipstream: " + sentence + "\n", Error);
        Assert.Equal("", Out);
        Assert.Equal(code, Code);
    }
}
