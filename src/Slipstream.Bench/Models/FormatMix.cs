using Slipstream.Numerics;

namespace Slipstream.Bench;

/// <summary>Which format each tensor of a file has: the mixes of llama.cpp's quantiser, so that both engines read what users have.</summary>
/// <param name="Name">The name of the mix, such as <c>Q4_K_M</c>.</param>
/// <param name="Main">The format of most tensors.</param>
/// <param name="Head">The format of the head.</param>
/// <param name="Better">The format of the value and feed-forward output products in the layers that get more bits; null for none.</param>
/// <param name="FileType">The number that stands for it in <c>general.file_type</c>.</param>
/// <remarks>Source: <c>llama_tensor_get_type</c> and <c>enum llama_ftype</c> of llama.cpp.</remarks>
internal sealed record FormatMix(string Name, string Main, string Head, string? Better, int FileType)
{
    /// <summary>The mixes by name.</summary>
    public static IReadOnlyList<FormatMix> All { get; } =
    [
        new("F32", "F32", "F32", null, 0), new("F16", "F16", "F16", null, 1), new("BF16", "BF16", "BF16", null, 32),
        new("Q8_0", "Q8_0", "Q8_0", null, 7), new("Q6_K", "Q6_K", "Q6_K", null, 18),
        new("Q5_0", "Q5_0", "Q6_K", null, 8), new("Q5_1", "Q5_1", "Q6_K", null, 9), new("Q5_K_M", "Q5_K", "Q6_K", "Q6_K", 17),
        new("Q4_0", "Q4_0", "Q6_K", null, 2), new("Q4_1", "Q4_1", "Q6_K", null, 3), new("Q4_K_M", "Q4_K", "Q6_K", "Q6_K", 15),
    ];

    /// <summary>The mix of a name; case does not matter.</summary>
    /// <exception cref="SlipstreamException">There is none.</exception>
    public static FormatMix Get(string name) => All.FirstOrDefault(m => string.Equals(m.Name, name, StringComparison.OrdinalIgnoreCase))
        ?? throw new SlipstreamException($"The format '{name}' is not known; known are {string.Join(", ", All.Select(m => m.Name))}.");

    /// <summary>The format of a tensor.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="layers">Layers of the model.</param>
    public WeightFormat FormatOf(ShapeTensor tensor, int layers)
    {
        string format = tensor.Role switch
        {
            TensorRole.Vector => "F32",
            TensorRole.Head => Head,
            TensorRole.Value or TensorRole.Down when Better is not null && UseMoreBits(tensor.Layer, layers) => Better,
            _ => Main,
        };
        WeightFormat known = WeightFormats.Get(format);
        // Rows that are no whole number of 256 weights fall back to blocks of 32, as they do there.
        return tensor.Shape[^1] % known.BlockLength == 0 ? known : WeightFormats.Get(format switch { "Q4_K" => "Q5_0", "Q5_K" => "Q5_1", _ => "Q8_0" });
    }

    /// <summary>The first and last eighth of the layers, and every third between.</summary>
    internal static bool UseMoreBits(int layer, int layers) => layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}
