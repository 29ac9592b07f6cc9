namespace Slipstream.Models;

/// <summary>Recognises the small text file that Git leaves in place of a large one that was not fetched. Source: the Git LFS specification, "The Pointer".</summary>
internal static class LfsPointer
{
    /// <summary>Refuses a pointer file.</summary>
    /// <param name="path">The file, for the message.</param>
    /// <param name="start">At least its first 64 bytes, or all of it.</param>
    /// <exception cref="SlipstreamException">The file is a pointer.</exception>
    public static void Refuse(string path, ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("version https://git-lfs"u8))
            throw new SlipstreamException($"'{path}' is a Git LFS pointer, not the file itself: run 'git lfs pull' in its folder, or download the file.");
    }
}
