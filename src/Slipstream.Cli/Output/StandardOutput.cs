using Microsoft.Win32.SafeHandles;

namespace Slipstream.Cli.Output;

/// <summary>The reader of standard output has gone; the command ends without a word.</summary>
internal sealed class ClosedPipeException(Exception inner) : IOException("The reader closed the pipe.", inner);

/// <summary>Standard output that tells when its reader has gone; the runtime's own stream swallows that, and a long generation would run on for nobody.</summary>
internal sealed class StandardOutput : Stream
{
    private const int BrokenPipe = 32, WindowsBrokenPipe = unchecked((int)0x8007006D), WindowsNoData = unchecked((int)0x800700E8);
    private readonly Stream _inner;

    private StandardOutput(Stream inner) => _inner = inner;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public static Stream Open()
    {
        if (OperatingSystem.IsWindows()) return new StandardOutput(Console.OpenStandardOutput());
        try
        {
            FileStream stream = new(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
            // A file may be shared with standard error, whose writes a stream of our own position would overwrite.
            if (!stream.CanSeek) return new StandardOutput(stream);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            // No such descriptor: the runtime's stream drops what is written to it.
        }
        return new StandardOutput(Console.OpenStandardOutput());
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        try
        {
            _inner.Write(buffer);
        }
        catch (IOException e) when (e.HResult is BrokenPipe or WindowsBrokenPipe or WindowsNoData)
        {
            throw new ClosedPipeException(e);
        }
        catch (IOException e)
        {
            throw new SlipstreamException($"Standard output cannot be written: {e.Message}", e);
        }
    }

    public override void Flush() => _inner.Flush();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
