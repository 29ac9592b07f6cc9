using Spectre.Console;

namespace Slipstream.Cli.Output;

/// <summary>Says on a terminal what <c>bench</c> is doing.</summary>
internal static class BenchProgress
{
    /// <summary>Runs the work with a line that changes.</summary>
    public static Task<T> ShowAsync<T>(CliConsole console, Func<Action<string>, Task<T>> work)
    {
        if (!console.IsErrorTerminal) return work(_ => { });
        // No spinner: its thread would wake up beside what is measured.
        return console.Status.Status().AutoRefresh(false).StartAsync("measuring", context => work(text =>
        {
            context.Status(Markup.Escape(text));
            context.Refresh();
        }));
    }
}
