using static Slipstream.Bench.LlamaSignatures;

namespace Slipstream.Bench;

/// <summary>Converts a file with llama.cpp's own quantiser: it is fastest in formats that it repacks, which Q4_1 is not.</summary>
internal static class LlamaQuantizer
{
    private const int AllowRequantizeByte = 16;

    // Numbers of enum llama_ftype.
    private static readonly Dictionary<string, int> Types = new(StringComparer.OrdinalIgnoreCase) { ["Q4_0"] = 2, ["Q4_1"] = 3, ["Q8_0"] = 7 };

    /// <summary>The formats it converts to.</summary>
    public static IReadOnlyCollection<string> Formats => Types.Keys;

    /// <summary>Converts to a file in a folder, once.</summary>
    /// <exception cref="SlipstreamException">The conversion failed.</exception>
    public static string Convert(LlamaLibrary library, string path, string format, string folder)
    {
        string target = Path.Combine(folder, $"{Path.GetFileNameWithoutExtension(path)}.llama-{format}.gguf"), partial = $"{target}.{Guid.NewGuid():N}.tmp";
        if (File.Exists(target) && File.GetLastWriteTimeUtc(target) > File.GetLastWriteTimeUtc(path)) return target;
        Directory.CreateDirectory(folder);
        // nthread, ftype, output_tensor_type, token_embedding_type, then the flags, allow_requantize first.
        ParameterBlock parameters = library.Function<Defaults>("llama_model_quantize_default_params")();
        parameters.Words[1] = Types[format];
        parameters.Bytes[AllowRequantizeByte] = 1;
        try
        {
            if (library.Function<Quantize>("llama_model_quantize")(path, partial, ref parameters) != 0)
                throw new SlipstreamException($"llama.cpp could not convert '{path}' to {format} ({LlamaContender.LastLine(library.TakeLog())}); leave out --peer-format.");
            File.Move(partial, target, overwrite: true);
        }
        finally
        {
            File.Delete(partial);
        }
        return target;
    }
}
