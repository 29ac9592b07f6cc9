using System.IO.MemoryMappedFiles;

namespace Slipstream.Numerics;

/// <summary>A file mapped read-only into memory: its pages are read on first use and shared between processes.</summary>
public sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile? _file;
    private readonly MemoryMappedViewAccessor? _view;
    private readonly byte* _pointer;
    private bool _disposed;

    /// <summary>Maps <paramref name="path"/>.</summary>
    /// <exception cref="SlipstreamException">The file cannot be opened.</exception>
    public MappedFile(string path)
    {
        Path = path;
        try
        {
            // A pipe has no length either: opening it could wait for ever.
            FileInfo info = new(path);
            if (info.Exists && info.Length == 0) return;
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
            Length = stream.Length;
            if (Length == 0) return;
            _file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"'{path}' cannot be read: {e.Message.TrimEnd('.')}.", e);
        }
        // SAFETY: released in Dispose, after which Region must not be used.
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _pointer);
        _pointer += _view.PointerOffset;
    }

    /// <summary>The path as given.</summary>
    public string Path { get; }

    /// <summary>Bytes in the file when it was mapped.</summary>
    public long Length { get; }

    /// <summary>The whole file.</summary>
    /// <exception cref="ObjectDisposedException">The file was disposed; regions taken before must not be used any more.</exception>
    public ByteRegion Region
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return new ByteRegion(_pointer, Length, isFile: true);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        if (_view is not null)
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
        }
        _file?.Dispose();
    }
}
