namespace Slipstream.Models;

/// <summary>Writes files under a temporary name in the same folder and renames them, so that a name never holds half a file and may even be that of a file that is being read.</summary>
internal static class WholeFile
{
    /// <summary>Makes or replaces a file.</summary>
    /// <param name="path">Its name.</param>
    /// <param name="length">Bytes to reserve, 0 where they are not known: a disk that is too small is then known before the work, not after it.</param>
    /// <param name="write">Writes the content.</param>
    /// <param name="create">Opens a new file of a length; null for an ordinary one without a buffer.</param>
    /// <exception cref="SlipstreamException">The file cannot be written, for instance because the disk is full; what was there is as it was, and nothing is left behind.</exception>
    public static void Write(string path, long length, Action<Stream> write, Func<string, long, Stream>? create = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            using (Stream stream = (create ?? Create)(temporary, length)) write(stream);
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The temporary name would only puzzle the reader.
            string reason = e.Message.Replace(Path.GetFullPath(temporary), path, StringComparison.Ordinal).Replace(temporary, path, StringComparison.Ordinal).TrimEnd('.');
            throw new SlipstreamException($"'{path}' cannot be written: {reason}; free space, or choose another folder.", e);
        }
        finally
        {
            // After success the name is gone already; after a failure of any kind, the caller's included, half a file must not stay.
            Remove(temporary);
        }
    }

    /// <summary>Opens a new file and reserves its space.</summary>
    public static Stream Create(string path, long length) => new FileStream(path, new FileStreamOptions
    {
        Mode = FileMode.CreateNew,
        Access = FileAccess.Write,
        PreallocationSize = length,
        BufferSize = 0,
    });

    private static void Remove(string file)
    {
        try
        {
            File.Delete(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The failure that brought us here says more than this one.
        }
    }
}
