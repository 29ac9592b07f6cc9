using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>
/// A decoder: rows in, logits out. The loop, the sampling and the speculation above it know nothing else of a model.
/// One forward pass at a time.
/// </summary>
public interface ILanguageModel : IDisposable
{
    /// <summary>Its shape.</summary>
    ModelConfig Config { get; }

    /// <summary>What it caches for a row, as attention reads it best; a cache of any type does (<see cref="ModelConfig.KvLayout"/>).</summary>
    KvLayout KvLayout { get; }

    /// <summary>The most rows one forward pass takes.</summary>
    int MaxRows { get; }

    /// <summary>Bytes of its weights.</summary>
    long WeightBytes { get; }

    /// <summary>Bytes of its scratch memory.</summary>
    long ScratchBytes { get; }

    /// <summary>What its kernels have read.</summary>
    ComputeCounters Counters { get; }

    /// <summary>
    /// Computes the rows: writes their keys and values to their slots and the logits of the output rows.
    /// The result of a row depends on nothing but its context: not on the other rows, the block size or the threads.
    /// </summary>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    void Forward(in ForwardBatch batch, in ForwardOutputs outputs);

    /// <summary>Names the first weight that is not a finite number (tensor and row), or null: asked when logits turn out not to be finite.</summary>
    string? FindInvalidWeight();
}
