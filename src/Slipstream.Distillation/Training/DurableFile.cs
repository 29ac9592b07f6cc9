namespace Slipstream.Distillation.Training;

/// <summary>Files whose bytes are on the disk before they get their name.</summary>
internal static class DurableFile
{
    /// <summary>A new file that is flushed to the disk when it is closed.</summary>
    public static Stream Create(string path, long length) => new Durable(path, length);

    /// <summary>Writes a text to a temporary file, through to the disk, and renames it.</summary>
    /// <exception cref="SlipstreamException">It cannot be written; what was there is as it was.</exception>
    public static void WriteAllText(string path, string text) => WriteAllBytes(path, System.Text.Encoding.UTF8.GetBytes(text));

    /// <inheritdoc cref="WriteAllText"/>
    public static void WriteAllBytes(string path, ReadOnlySpan<byte> content)
    {
        string temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            using (Stream stream = Create(temporary, content.Length)) stream.Write(content);
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"'{path}' cannot be written: {e.Message.Replace(Path.GetFullPath(temporary), path, StringComparison.Ordinal).TrimEnd('.')}; free space, or choose another folder.", e);
        }
        finally
        {
            try
            {
                File.Delete(temporary);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // The failure that brought us here says more than this one.
            }
        }
    }

    private sealed class Durable(string path, long length)
        : FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, PreallocationSize = length, BufferSize = 0 })
    {
        protected override void Dispose(bool disposing)
        {
            try
            {
                if (disposing && !SafeFileHandle.IsClosed) Flush(flushToDisk: true);
            }
            finally
            {
                base.Dispose(disposing);
            }
        }
    }
}
