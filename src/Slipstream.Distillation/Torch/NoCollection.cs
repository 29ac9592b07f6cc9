using System.Runtime;

namespace Slipstream.Distillation.Torch;

/// <summary>Keeps the garbage collector still while TorchSharp computes: one stands around each step, and the collection happens between two.</summary>
/// <remarks>
/// TorchSharp hands numbers to native code as objects with a finalizer, and the call holds only their address; even the sum of two tensors makes one, its factor of 1.
/// A collection during the call frees it, and the operation reads what lies there next: "Unknown scalar type", or worse, another number. It ended two
/// of three runs of a thousand steps. A step allocates far less than is set aside here.
/// </remarks>
internal readonly struct NoCollection : IDisposable
{
    /// <summary>Managed bytes that may be allocated before the collector moves again.</summary>
    private const long Bytes = 64 << 20;

    private static readonly Lock Gate = new();
    private static int s_users;

    /// <summary>Begins; a collection may happen now.</summary>
    public static NoCollection Begin()
    {
        lock (Gate)
        {
            if (s_users++ == 0) GC.TryStartNoGCRegion(Bytes);
        }
        return default;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (Gate)
        {
            // Out of it already where more was allocated than set aside.
            if (--s_users == 0 && GCSettings.LatencyMode == GCLatencyMode.NoGCRegion) GC.EndNoGCRegion();
        }
    }
}
