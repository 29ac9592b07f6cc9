using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>Named tensors whose bytes are mapped into memory for as long as the source lives.</summary>
public interface ITensorSource : IDisposable
{
    /// <summary>What the checkpoint is called in messages: a file or folder.</summary>
    string Path { get; }

    /// <summary>The tensors by name.</summary>
    IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>The encoded bytes of a tensor, row after row; nothing is copied.</summary>
    /// <exception cref="KeyNotFoundException">There is no such tensor.</exception>
    ByteRegion Data(string name);
}
