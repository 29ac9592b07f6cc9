using System.Collections.Immutable;
using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>What a converted file is to be like.</summary>
public sealed record GgufConversionOptions
{
    /// <summary>The format of the matrices, by the name GGUF gives it; vectors stay F32.</summary>
    public string Format { get; init; } = "Q8_0";

    /// <summary>The model's name in the file (<c>general.name</c>); null takes that of the folder, or what a GGUF file says.</summary>
    public string? Name { get; init; }

    /// <summary>The licence of the weights (<c>general.license</c>), such as <c>apache-2.0</c>; null leaves it out, or as a GGUF file has it.</summary>
    public string? License { get; init; }

    /// <summary>A GGUF file whose tokenizer, chat template and end tokens the file takes, such as the target of a draft that was trained without them; null takes the model's own.</summary>
    public string? TokenizerFrom { get; init; }
}

/// <summary>What a conversion made.</summary>
/// <param name="Output">The file.</param>
/// <param name="Format">The format of its matrices.</param>
/// <param name="Tensors">How many tensors it has.</param>
/// <param name="SourceBytes">Bytes of the tensors that were read.</param>
/// <param name="Bytes">Bytes of the file.</param>
public sealed record GgufConversion(string Output, string Format, int Tensors, long SourceBytes, long Bytes);

/// <summary>Writes checkpoints as GGUF: Hugging Face folders of the families <c>llama</c>, <c>mistral</c>, <c>qwen2</c> and <c>qwen3</c>, and GGUF files in another format.</summary>
/// <remarks>Names, keys and the order of rows are those of llama.cpp's converter, so its readers take the files too.</remarks>
public static class GgufConverter
{
    private static readonly Dictionary<string, uint> FileTypes = new(StringComparer.Ordinal)
    {
        ["F32"] = 0, ["F16"] = 1, ["Q4_0"] = 2, ["Q4_1"] = 3, ["Q8_0"] = 7, ["Q5_0"] = 8, ["Q5_1"] = 9, ["BF16"] = 32,
    };

    /// <summary>The formats that can be written.</summary>
    public static IReadOnlyList<string> Formats { get; } = [.. FileTypes.Keys];

    /// <summary>Converts a checkpoint. The file takes its name when it is whole, and may even be the one that is read.</summary>
    /// <param name="model">A Hugging Face folder, a <c>.safetensors</c> file beside its <c>config.json</c>, or a GGUF file.</param>
    /// <param name="output">The file to make or replace.</param>
    /// <param name="options">What it is to be like; null takes the defaults.</param>
    /// <param name="progress">Told the share that is written.</param>
    /// <param name="cancellationToken">Ends the work; nothing is left behind.</param>
    /// <exception cref="SlipstreamException">The checkpoint cannot be used or written in that format, or the file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The work was ended.</exception>
    public static GgufConversion Convert(string model, string output, GgufConversionOptions? options = null, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(model);
        ArgumentException.ThrowIfNullOrEmpty(output);
        options ??= new GgufConversionOptions();
        WeightFormat format = FileTypes.ContainsKey(options.Format.ToUpperInvariant()) && WeightFormats.TryGet(options.Format, out WeightFormat? known)
            ? known
            : throw new SlipstreamException($"The format '{MessageText.Clip(options.Format)}' cannot be written; choose one of {string.Join(", ", Formats)}.");
        using Checkpoint checkpoint = Checkpoint.Open(model);
        using Checkpoint? tokenizer = options.TokenizerFrom is { } path ? Checkpoint.Open(path) : null;
        if (tokenizer is not null) RequireTokenizer(tokenizer, checkpoint);
        GgufWriter writer = new();
        List<ConvertedTensor> tensors = checkpoint.Gguf is { } metadata
            ? FromGguf(checkpoint, metadata, writer, options)
            : FromHuggingFace(checkpoint, writer, options);
        tokenizer?.Gguf!.CopyTo(writer, key => !IsOfTokenizer(key));
        writer.Add("general.file_type", FileTypes[format.Name]);
        if (format.BlockLength > 1) writer.Add("general.quantization_version", 2u);
        TensorEncoder encoder = new(checkpoint, format, progress, cancellationToken);
        foreach (ConvertedTensor tensor in tensors) encoder.Add(writer, tensor);
        encoder.Length = writer.Length;
        writer.Write(output);
        return new GgufConversion(output, format.Name, tensors.Count, checkpoint.Weights.Tensors.Values.Sum(tensor => tensor.Bytes), encoder.Length);
    }

    private static bool IsOfTokenizer(string key) => key.StartsWith("tokenizer.", StringComparison.Ordinal);

    private static void RequireTokenizer(Checkpoint tokenizer, Checkpoint model)
    {
        if (tokenizer.Gguf is null) throw new SlipstreamException($"'{tokenizer.Path}' is no GGUF file, so its tokenizer cannot be taken over; put the folder's tokenizer.json beside the model instead.");
        if (!CheckpointText.HasTokenizer(tokenizer)) throw new SlipstreamException($"'{tokenizer.Path}' has no tokenizer; name a file that has one.");
        int own = ModelFamilies.For(model).ReadConfig(model).VocabularySize, other = ModelFamilies.For(tokenizer).ReadConfig(tokenizer).VocabularySize;
        if (own != other) throw new SlipstreamException($"'{tokenizer.Path}' has a vocabulary of {other} tokens, '{model.Path}' one of {own}; name a file of the model's vocabulary.");
    }

    private static List<ConvertedTensor> FromGguf(Checkpoint checkpoint, GgufMetadata metadata, GgufWriter writer, GgufConversionOptions options)
    {
        metadata.CopyTo(writer, key =>
            key is "general.file_type" or "general.quantization_version" or "general.alignment"
            || key.StartsWith("split.", StringComparison.Ordinal)
            || (options.TokenizerFrom is not null && IsOfTokenizer(key))
            || (key == "general.name" && options.Name is not null) || (key == "general.license" && options.License is not null));
        if (options.Name is not null) writer.Add("general.name", options.Name);
        if (options.License is not null) writer.Add("general.license", options.License);
        return [.. checkpoint.Weights.Tensors.Values.Select(tensor => new ConvertedTensor(tensor.Name, tensor))];
    }

    private static List<ConvertedTensor> FromHuggingFace(Checkpoint checkpoint, GgufWriter writer, GgufConversionOptions options)
    {
        IModelFamily family = ModelFamilies.For(checkpoint);
        ModelConfig config = family.ReadConfig(checkpoint);
        if (config.Family is not ("llama" or "mistral" or "qwen2" or "qwen3"))
            throw new SlipstreamException($"'{checkpoint.Path}': the family '{config.Family}' cannot be written as GGUF; llama, mistral, qwen2 and qwen3 can.");
        GgufModelKeys.Add(writer, checkpoint, config, options);
        if (options.TokenizerFrom is null)
        {
            if (TokenizerLoader.Exists(checkpoint.Folder!)) GgufTokenizerWriter.Add(writer, checkpoint, config);
            else GgufTokenizerWriter.AddNone(writer, checkpoint, config);
        }
        List<ConvertedTensor> tensors = GgufModelKeys.Tensors(checkpoint, config);
        if (config.Rotary is { Scaling: Llama3RotaryScaling } rotary) tensors.Add(GgufModelKeys.RotaryDivisors(rotary));
        return tensors;
    }
}

/// <summary>A tensor on its way into a GGUF file.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Source">Where it comes from, or null where it is made.</param>
/// <param name="HeadSize">Rows of a head whose two halves are to be laid like a zip, 0 for none.</param>
/// <param name="Made">Its values where it is made.</param>
internal sealed record ConvertedTensor(string Name, TensorInfo? Source, int HeadSize = 0, ImmutableArray<float> Made = default)
{
    public ImmutableArray<long> Shape => Source?.Shape ?? [Made.Length];

    /// <summary>The row of the source that becomes a row: GGUF keeps rotary pairs of Llama side by side, Hugging Face half a head apart.</summary>
    public long RowOf(long row) => HeadSize == 0 ? row : row / HeadSize * HeadSize + row % HeadSize % 2 * (HeadSize / 2) + row % HeadSize / 2;
}

/// <summary>Encodes tensors as the file is written.</summary>
internal sealed class TensorEncoder(Checkpoint checkpoint, WeightFormat format, IProgress<double>? progress, CancellationToken cancellationToken)
{
    private static readonly WeightFormat Float = WeightFormats.Get("F32");
    private long _written;

    /// <summary>Bytes of the whole file, known when all tensors are.</summary>
    public long Length { get; set; }

    /// <summary>Adds a tensor: a matrix in the format, a vector as F32.</summary>
    /// <exception cref="SlipstreamException">The format does not divide its rows, or it cannot be read.</exception>
    public void Add(GgufWriter writer, ConvertedTensor tensor)
    {
        ImmutableArray<long> shape = tensor.Shape;
        WeightFormat target = shape.Length > 1 ? format : Float;
        if (shape[^1] % target.BlockLength != 0)
            throw new SlipstreamException($"'{checkpoint.Path}': the tensor '{tensor.Source?.Name}' has rows of {shape[^1]} weights, which {target.Name} cannot divide into blocks of {target.BlockLength}; choose F16, BF16 or F32.");
        if (tensor.Source is { } source && !(WeightFormats.TryGet(source.Format, out WeightFormat? known) && known.IsSupported))
            throw new SlipstreamException($"'{checkpoint.Path}': the tensor '{source.Name}' is in the format {source.Format}, which cannot be read; take the model in another format.");
        writer.AddTensor(tensor.Name, target.Name, shape, (firstRow, rows, destination) =>
        {
            cancellationToken.ThrowIfCancellationRequested();
            Encode(tensor, target, firstRow, rows, destination);
            _written += destination.Length;
            progress?.Report((double)_written / Length);
        });
    }

    private void Encode(ConvertedTensor tensor, WeightFormat target, long firstRow, int rows, Span<byte> destination)
    {
        int columns = checked((int)tensor.Shape[^1]), rowBytes = destination.Length / rows;
        // A vector whose entries go with rows of heads, such as a bias, is one row of the file but many of them.
        bool zipped = tensor.HeadSize > 0 && tensor.Shape.Length == 1;
        if (tensor.Source is not { } source)
        {
            target.Encode!(tensor.Made.AsSpan(), destination);
            return;
        }
        ByteRegion data = checkpoint.Weights.Data(source.Name);
        if (source.Format == target.Name && !zipped)
        {
            for (int row = 0; row < rows; row++)
                data.Span(tensor.RowOf(firstRow + row) * rowBytes, rowBytes).CopyTo(destination.Slice(row * rowBytes, rowBytes));
            return;
        }
        WeightFormat from = WeightFormats.Get(source.Format);
        int sourceBytes = (int)from.BytesOf(columns);
        float[] values = new float[columns], ordered = zipped ? new float[columns] : values;
        for (int row = 0; row < rows; row++)
        {
            long sourceRow = zipped ? 0 : tensor.RowOf(firstRow + row);
            from.Decode!(data.Span(sourceRow * sourceBytes, sourceBytes), values);
            if (zipped)
                for (int i = 0; i < columns; i++) ordered[i] = values[tensor.RowOf(i)];
            Check(source.Name, sourceRow, ordered, target);
            target.Encode!(ordered, destination.Slice(row * rowBytes, rowBytes));
        }
    }

    private void Check(string name, long row, ReadOnlySpan<float> values, WeightFormat target)
    {
        bool isHalf = target.Name == "F16";
        foreach (float value in values)
        {
            if (!float.IsFinite(value)) throw new SlipstreamException($"'{checkpoint.Path}': the tensor '{name}' holds {value} in row {row}; the file is damaged.");
            if (isHalf && !Half.IsFinite((Half)value)) throw new SlipstreamException(FormattableString.Invariant($"'{checkpoint.Path}': the tensor '{name}' holds {value} in row {row}, which F16 cannot hold; choose BF16 or F32."));
        }
    }
}
