using System.Diagnostics;
using System.Text;
using Slipstream.Cli.Output;
using Spectre.Console;

namespace Slipstream.Cli;

/// <summary>
/// The process's three streams. Results go to <see cref="Out"/> and nothing else does; progress, summaries and errors go to <see cref="Error"/>, in colour where that is a terminal.
/// </summary>
internal sealed class CliConsole : IDisposable
{
    private readonly Func<TimeSpan> _sinceStart;

    public CliConsole(Stream input, TextWriter output, TextWriter error, Func<TimeSpan>? sinceStart = null)
    {
        (Input, Out, Error) = (input, output, error);
        long start = Stopwatch.GetTimestamp();
        _sinceStart = sinceStart ?? (() => Stopwatch.GetElapsedTime(start));
    }

    /// <summary>Standard input.</summary>
    public Stream Input { get; }

    /// <summary>Standard output, flushed at each write.</summary>
    public TextWriter Out { get; }

    /// <summary>Standard error.</summary>
    public TextWriter Error { get; }

    /// <summary>Whether a person types the input.</summary>
    public bool IsInputTerminal { get; init; }

    /// <summary>Whether a person reads the output.</summary>
    public bool IsOutputTerminal { get; init; }

    /// <summary>Whether a person reads the errors.</summary>
    public bool IsErrorTerminal { get; init; }

    /// <summary>Asked at each Ctrl+C; true where it meant less than the end of the command.</summary>
    public Func<bool>? OnInterrupt { get; set; }

    /// <summary>Rendering to <see cref="Error"/>: colour and movement on a terminal, plain lines elsewhere.</summary>
    public IAnsiConsole Status => field ??= CreateAnsi(Error, IsErrorTerminal);

    /// <summary>Rendering to <see cref="Out"/>.</summary>
    public IAnsiConsole Rendered => field ??= CreateAnsi(Out, IsOutputTerminal);

    /// <summary>Time since the process began.</summary>
    public TimeSpan SinceStart => _sinceStart();

    public static CliConsole OfProcess()
    {
        DateTime started;
        using (Process process = Process.GetCurrentProcess()) started = process.StartTime.ToUniversalTime();
        UTF8Encoding utf8 = new(encoderShouldEmitUTF8Identifier: false);
        return new CliConsole(
            Console.OpenStandardInput(),
            new StreamWriter(StandardOutput.Open(), utf8, 4096) { AutoFlush = true, NewLine = "\n" },
            new StreamWriter(Console.OpenStandardError(), utf8, 1024) { AutoFlush = true, NewLine = "\n" },
            () => DateTime.UtcNow - started)
        {
            IsInputTerminal = !Console.IsInputRedirected, IsOutputTerminal = !Console.IsOutputRedirected, IsErrorTerminal = !Console.IsErrorRedirected,
        };
    }

    /// <summary>Says a sentence about the progress where a person watches.</summary>
    public void Note(string sentence)
    {
        if (IsErrorTerminal) Status.MarkupLineInterpolated($"[grey]{sentence}[/]");
    }

    /// <summary>Warns, watched or not.</summary>
    public void Warn(string sentence) => Label("warning", "yellow", sentence);

    /// <summary>Says why the command failed: one line.</summary>
    public void Fail(string sentence) => Label("slipstream", "red", sentence);

    public void Dispose() => Input.Dispose();

    private void Label(string label, string colour, string sentence)
    {
        string line = sentence.ReplaceLineEndings(" ");
        // Written beside the renderer, which would wrap the sentence at the terminal's width.
        if (IsErrorTerminal) Status.Markup($"[{colour}]{label}:[/] ");
        else Error.Write(label + ": ");
        Error.WriteLine(line);
    }

    private static IAnsiConsole CreateAnsi(TextWriter writer, bool terminal)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = terminal ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = terminal && Environment.GetEnvironmentVariable("NO_COLOR") is null or "" ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Interactive = terminal ? InteractionSupport.Detect : InteractionSupport.No,
        });
        // A file has no width at which lines would have to wrap.
        if (!terminal) console.Profile.Width = 1000;
        return console;
    }
}
