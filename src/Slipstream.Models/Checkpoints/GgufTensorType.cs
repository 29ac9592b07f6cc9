using System.Diagnostics.CodeAnalysis;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>Tensor types of GGUF: those in <see cref="WeightFormats"/>, and the names of those that ggml has withdrawn.</summary>
internal static class GgufTensorType
{
    /// <summary>The format of a type number.</summary>
    /// <param name="type">The number in the file.</param>
    /// <param name="format">The format, where its size is known.</param>
    /// <param name="problem">Why there is none: the end of a sentence that begins with the tensor.</param>
    public static bool TryGet(uint type, [NotNullWhen(true)] out WeightFormat? format, [NotNullWhen(false)] out string? problem)
    {
        problem = null;
        if (type <= int.MaxValue && WeightFormats.TryGet((int)type, out format)) return true;
        format = null;
        problem = Withdrawn(type) is { } name
            ? $"has the type {name}, which ggml has withdrawn"
            : $"has the unknown type {type}";
        return false;
    }

    private static string? Withdrawn(uint type) => type switch
    {
        4 => "Q4_2",
        5 => "Q4_3",
        31 => "Q4_0_4_4",
        32 => "Q4_0_4_8",
        33 => "Q4_0_8_8",
        36 => "IQ4_NL_4_4",
        37 => "IQ4_NL_4_8",
        38 => "IQ4_NL_8_8",
        _ => null,
    };
}
