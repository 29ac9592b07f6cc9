using System.Text;

namespace Slipstream.Cli.Input;

/// <summary>Texts that options name: the value itself, a file, or standard input where it is <c>-</c>. Standard input is read once.</summary>
internal sealed class TextInput(CliConsole console)
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
    private string? _reader;

    /// <summary>The text of an option: standard input where it is <c>-</c>, else the value.</summary>
    /// <exception cref="UsageException">Standard input is asked for twice or is no UTF-8.</exception>
    public string Text(string option, string value) => value == "-" ? StandardInput(option) : value;

    /// <summary>The content of a file, or of standard input where the path is <c>-</c>: UTF-8, a byte order mark dropped, line endings as they are.</summary>
    /// <exception cref="SlipstreamException">It cannot be read or is no UTF-8.</exception>
    public string File(string option, string path)
    {
        if (path == "-") return StandardInput(option);
        byte[] bytes;
        try
        {
            bytes = System.IO.File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw FileFailure.Reading(path, e);
        }
        return Decode($"'{path}'", bytes);
    }

    /// <summary>Token ids: a list, or one from standard input.</summary>
    /// <exception cref="UsageException">They are none.</exception>
    public IReadOnlyList<int> Tokens(string option, string value) => Options.TokensValue.ParseList(option, Text(option, value));

    private string StandardInput(string option)
    {
        if (_reader is not null) throw new UsageException($"{_reader} and {option} both name standard input ('-'), which can be read once; put one of them into a file.");
        _reader = option;
        using MemoryStream bytes = new();
        console.Input.CopyTo(bytes);
        return Decode("Standard input", bytes.GetBuffer().AsSpan(0, (int)bytes.Length));
    }

    private static string Decode(string source, ReadOnlySpan<byte> bytes)
    {
        if (bytes.StartsWith("\uFEFF"u8)) bytes = bytes[3..];
        try
        {
            return Strict.GetString(bytes);
        }
        catch (DecoderFallbackException e)
        {
            throw new SlipstreamException($"{source} is no UTF-8 text (at byte {e.Index}); convert it to UTF-8.", e);
        }
    }
}

/// <summary>Sentences about files that cannot be read or written.</summary>
internal static class FileFailure
{
    public static SlipstreamException Reading(string path, Exception e) => e switch
    {
        FileNotFoundException or DirectoryNotFoundException => new SlipstreamException($"'{path}' does not exist.", e),
        UnauthorizedAccessException when Directory.Exists(path) => new SlipstreamException($"'{path}' is a folder; name a file.", e),
        _ => new SlipstreamException($"'{path}' cannot be read: {e.Message}", e),
    };

    public static SlipstreamException Writing(string path, Exception e) => e switch
    {
        DirectoryNotFoundException => new SlipstreamException($"'{path}' cannot be written: its folder does not exist.", e),
        UnauthorizedAccessException when Directory.Exists(path) => new SlipstreamException($"'{path}' is a folder; name a file.", e),
        _ => new SlipstreamException($"'{path}' cannot be written: {e.Message}", e),
    };

    /// <summary>Whether an exception is about a file rather than a defect.</summary>
    public static bool Is(Exception e) => e is (IOException and not Output.ClosedPipeException) or UnauthorizedAccessException or NotSupportedException;
}
