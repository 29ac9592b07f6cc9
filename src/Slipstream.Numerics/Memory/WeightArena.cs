namespace Slipstream.Numerics;

/// <summary>
/// Memory for the packed weights of one model, in large pieces: matrices of a few hundred kilobytes then lie in huge pages too, which are mapped and found faster. Freed as a whole.
/// Not for two threads at a time.
/// </summary>
internal sealed unsafe class WeightArena : IDisposable
{
    private const long PieceBytes = 32 << 20, Alignment = 64;
    private readonly List<NativeBuffer<byte>> _pieces = [];
    private long _usedOfLast;

    /// <summary>Bytes taken.</summary>
    public long Used { get; private set; }

    /// <summary>Takes memory, aligned to 64 bytes.</summary>
    /// <param name="bytes">How much.</param>
    /// <exception cref="OutOfMemoryException">The system has no such memory.</exception>
    public ByteRegion Take(long bytes)
    {
        long rounded = (bytes + Alignment - 1) & -Alignment;
        if (_pieces.Count == 0 || _pieces[^1].Length - _usedOfLast < rounded)
        {
            _pieces.Add(new NativeBuffer<byte>(Math.Max(PieceBytes, rounded)));
            _usedOfLast = 0;
        }
        // SAFETY: the piece has this much left; it lives until the arena is disposed.
        ByteRegion region = _pieces[^1].Region.Slice(_usedOfLast, bytes);
        _usedOfLast += rounded;
        Used += rounded;
        return region;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (NativeBuffer<byte> piece in _pieces) piece.Dispose();
        _pieces.Clear();
    }
}
