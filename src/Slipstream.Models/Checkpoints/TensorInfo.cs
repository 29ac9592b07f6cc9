using System.Collections.Immutable;

namespace Slipstream.Models;

/// <summary>One tensor of a checkpoint.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Format">The GGUF name of its encoding: <c>F32</c>, <c>F16</c>, <c>BF16</c>, <c>Q8_0</c>, …</param>
/// <param name="Shape">Row-major, outermost dimension first: a matrix is <c>[rows, columns]</c>, whatever order the file uses.</param>
/// <param name="Bytes">Bytes of its data.</param>
public sealed record TensorInfo(string Name, string Format, ImmutableArray<long> Shape, long Bytes)
{
    /// <summary>Number of weights.</summary>
    public long Elements => Shape.Aggregate(1L, (product, dimension) => product * dimension);
}
