using System.Collections.Concurrent;
using TorchSharp;

namespace Slipstream.Distillation.Torch;

/// <summary>Numbers as the operations of TorchSharp take them, kept for the life of the process.</summary>
/// <remarks>
/// A number that is converted on the spot is an object with a finalizer, and the native call that reads it holds only its address: a collection
/// during the call frees it, and the operation reads what lies there next. It was seen once in some ten thousand steps; a kept one cannot be freed.
/// For numbers that are few; what changes from batch to batch stays a tensor.
/// </remarks>
internal static class Scalars
{
    private static readonly ConcurrentDictionary<double, Scalar> Kept = new();
    private static readonly ConcurrentDictionary<long, Scalar> KeptIntegers = new();

    /// <summary>The number as a scalar.</summary>
    public static Scalar Of(double value) => Kept.GetOrAdd(value, number => number.ToScalar());

    /// <summary>The integer as a scalar.</summary>
    public static Scalar Of(long value) => KeptIntegers.GetOrAdd(value, number => number.ToScalar());
}
