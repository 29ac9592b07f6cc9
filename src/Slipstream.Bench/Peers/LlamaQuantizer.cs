using static Slipstream.Bench.LlamaSignatures;

namespace Slipstream.Bench;

/// <summary>Converts a file with llama.cpp's own quantizer: it is fastest in formats that it repacks, which the shared file's Q4_1 is not.</summary>
internal static class LlamaQuantizer
{
    private const int AllowRequantizeByte = 16;

    /// <summary>Converts to a file in a folder, once.</summary>
    /// <exception cref="SlipstreamException">The format is not known or the conversion failed.</exception>
    public static string Convert(LlamaLibrary library, string path, string format, string folder)
    {
        int type = format switch
        {
            "Q4_0" => 2,
            "Q4_1" => 3,
            "Q8_0" => 7,
            _ => throw new SlipstreamException($"--peer-format is '{format}'; it must be Q4_0, Q4_1 or Q8_0."),
        };
        string target = Path.Combine(folder, $"{Path.GetFileNameWithoutExtension(path)}.llama-{format}.gguf");
        if (File.Exists(target)) return target;
        // nthread, ftype, output_tensor_type, token_embedding_type, then the flags, allow_requantize first.
        ParameterBlock parameters = library.Function<Defaults>("llama_model_quantize_default_params")();
        parameters.Words[1] = type;
        parameters.Bytes[AllowRequantizeByte] = 1;
        Directory.CreateDirectory(folder);
        string partial = target + ".partial";
        if (library.Function<Quantize>("llama_model_quantize")(path, partial, ref parameters) != 0)
            throw new SlipstreamException($"llama.cpp could not convert '{path}' to {format}; take another --peer-format.");
        File.Move(partial, target, overwrite: true);
        return target;
    }
}
