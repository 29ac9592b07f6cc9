using Slipstream.Models;

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
    public static void WriteAllBytes(string path, ReadOnlyMemory<byte> content) => Write(path, content.Length, stream => stream.Write(content.Span));

    /// <inheritdoc cref="WriteAllText"/>
    /// <param name="path">The file.</param>
    /// <param name="length">Bytes to reserve, 0 where they are not known.</param>
    /// <param name="write">Writes the content, in parts that are not small.</param>
    public static void Write(string path, long length, Action<Stream> write) => WholeFile.Write(path, length, write, Create);

    private sealed class Durable(string path, long length)
        : FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, PreallocationSize = length, BufferSize = 0 })
    {
        protected override void Dispose(bool disposing)
        {
            try
            {
                // A writer on top of it may have closed it already; SafeFileHandle of a closed stream throws.
                if (disposing && CanWrite) Flush(flushToDisk: true);
            }
            finally
            {
                base.Dispose(disposing);
            }
        }
    }
}
