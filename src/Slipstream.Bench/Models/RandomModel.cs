using System.Runtime.InteropServices;
using Slipstream.Models;
using Slipstream.Numerics;

namespace Slipstream.Bench;

/// <summary>Makes a GGUF file of a shape and a mix with random weights, once: it stays in a cache folder. It has no tokenizer, only a number of tokens.</summary>
internal static class RandomModel
{
    /// <summary>Positions the file claims: any depth that is asked for.</summary>
    private const uint Context = 131072;

    /// <summary>The folder where files are kept: <c>slipstream</c> in the user's folder for caches.</summary>
    public static string DefaultFolder => Path.Combine(
        Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache ? cache
        : OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "slipstream");

    /// <summary>The file's path; it is made where it is not there or not whole.</summary>
    /// <param name="shape">The shape.</param>
    /// <param name="mix">The formats.</param>
    /// <param name="folder">Where files are kept.</param>
    /// <param name="progress">Receives the share that is written; not called where the file is there.</param>
    /// <param name="cancellationToken">Ends the writing; nothing is left behind.</param>
    /// <exception cref="SlipstreamException">The file cannot be written.</exception>
    public static string Get(ModelShape shape, FormatMix mix, string folder, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        string path = Path.Combine(folder, $"{shape.FileName}.{mix.Name}.gguf");
        Dictionary<string, RandomBlocks> pools = [];
        long written = 0, length = 0;
        int number = 0;
        GgufWriter writer = Header(shape, mix);
        foreach (ShapeTensor tensor in shape.Tensors())
        {
            WeightFormat format = mix.FormatOf(tensor, shape.Layers);
            Random random = new(number++);
            writer.AddTensor(tensor.Name, format.Name, tensor.Shape, (_, _, destination) =>
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (tensor.Role == TensorRole.Vector) MemoryMarshal.Cast<byte, float>(destination).Fill(1);
                else (CollectionsMarshal.GetValueRefOrAddDefault(pools, format.Name, out _) ??= RandomBlocks.Of(format)).Fill(destination, random);
                written += destination.Length;
                progress?.Report((double)written / length);
            });
        }
        length = writer.Length;
        // A file takes its name when it is whole, so a file of the right size is one.
        if (new FileInfo(path) is { Exists: true } file && file.Length == length) return path;
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"The folder '{folder}' cannot be made: {e.Message.TrimEnd('.')}; name another one with --cache-dir.", e);
        }
        writer.Write(path);
        return path;
    }

    private static GgufWriter Header(ModelShape shape, FormatMix mix) => new GgufWriter()
        .Add("general.architecture", "llama")
        .Add("general.name", $"{shape.FileName} with random weights")
        .Add("general.file_type", (uint)mix.FileType)
        .Add("llama.vocab_size", (uint)shape.Vocabulary)
        .Add("llama.context_length", Context)
        .Add("llama.embedding_length", (uint)shape.Hidden)
        .Add("llama.block_count", (uint)shape.Layers)
        .Add("llama.feed_forward_length", (uint)shape.Intermediate)
        .Add("llama.attention.head_count", (uint)shape.Heads)
        .Add("llama.attention.head_count_kv", (uint)shape.KvHeads)
        .Add("llama.attention.layer_norm_rms_epsilon", 1e-5f)
        .Add("llama.rope.dimension_count", (uint)shape.HeadSize)
        .Add("llama.rope.freq_base", 10000f)
        // llama.cpp takes this for "token ids only"; it then reads their number above.
        .Add("tokenizer.ggml.model", "no_vocab");
}
