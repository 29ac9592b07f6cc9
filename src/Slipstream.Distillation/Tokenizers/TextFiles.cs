using System.Text;

namespace Slipstream.Distillation.Tokenizers;

/// <summary>Reads text files a part at a time, cut only where no word reaches across.</summary>
internal static class TextFiles
{
    private const int PartLength = 1 << 20;

    /// <summary>The parts of files, in order.</summary>
    /// <param name="paths">UTF-8 files.</param>
    /// <param name="specialTokens">Texts that must not be cut, and behind which a cut is always right.</param>
    /// <exception cref="SlipstreamException">A file cannot be read or is not UTF-8.</exception>
    public static IEnumerable<string> Read(IEnumerable<string> paths, IReadOnlyList<string> specialTokens)
    {
        ArgumentNullException.ThrowIfNull(paths);
        ArgumentNullException.ThrowIfNull(specialTokens);
        return paths.SelectMany(path => Parts(path, specialTokens, PartLength));
    }

    internal static IEnumerable<string> Parts(string path, IReadOnlyList<string> specialTokens, int partLength)
    {
        using StreamReader reader = Open(path);
        char[] buffer = new char[partLength];
        StringBuilder held = new();
        for (int read; (read = Fill(reader, buffer, path)) > 0;)
        {
            held.Append(buffer, 0, read);
            string text = held.ToString();
            int cut = Cut(text, specialTokens);
            if (cut == 0)
                continue;
            held.Clear().Append(text, cut, text.Length - cut);
            yield return text[..cut];
        }
        if (held.Length > 0)
            yield return held.ToString();
    }

    /// <summary>Where a text whose end is not known may be cut, or 0: behind the last special token, or behind a line break that stands by itself between words.</summary>
    private static int Cut(string text, IReadOnlyList<string> specialTokens)
    {
        int cut = 0;
        foreach (string token in specialTokens)
            if (text.LastIndexOf(token, StringComparison.Ordinal) is >= 0 and int at)
                cut = Math.Max(cut, at + token.Length);
        for (int i = text.Length - 2; i > cut && i > 0; i--)
            if (text[i] == '\n' && !char.IsWhiteSpace(text[i - 1]) && !char.IsWhiteSpace(text[i + 1]) && !specialTokens.Any(token => token.Contains('\n', StringComparison.Ordinal)))
                return i + 1;
        return cut;
    }

    private static StreamReader Open(string path)
    {
        try
        {
            return new StreamReader(path, new UTF8Encoding(false, throwOnInvalidBytes: true));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(path, e);
        }
    }

    private static int Fill(StreamReader reader, char[] buffer, string path)
    {
        try
        {
            return reader.ReadBlock(buffer);
        }
        catch (DecoderFallbackException e)
        {
            throw new SlipstreamException($"'{path}' is not UTF-8: {e.Message.TrimEnd('.')}; convert it to UTF-8.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(path, e);
        }
    }

    private static SlipstreamException Unreadable(string path, Exception e) =>
        new(File.Exists(path) ? $"'{path}' cannot be read: {e.Message}" : $"'{path}' does not exist; give a text file.", e);
}
