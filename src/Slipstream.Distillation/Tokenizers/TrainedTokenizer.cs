using System.Text.Encodings.Web;
using System.Text.Json;
using Slipstream.Distillation.Training;
using Slipstream.Models;

namespace Slipstream.Distillation.Tokenizers;

/// <summary>A tokenizer that was learnt from text.</summary>
/// <param name="Tokens">The spelling of each id: the special tokens, the 256 bytes, the merged ones.</param>
/// <param name="Merges">Left, right and resulting ids, the first the most urgent.</param>
/// <param name="SpecialTokens">The special tokens; their ids begin at 0.</param>
internal sealed record TrainedTokenizer(IReadOnlyList<string> Tokens, IReadOnlyList<(int Left, int Right, int Result)> Merges, IReadOnlyList<string> SpecialTokens)
{
    /// <summary>Stands between documents.</summary>
    public const string EndOfText = "<|endoftext|>";

    /// <summary>Begins a message of a conversation.</summary>
    public const string MessageStart = "<|im_start|>";

    /// <summary>Ends a message of a conversation.</summary>
    public const string MessageEnd = "<|im_end|>";

    /// <summary>ChatML as a Jinja template.</summary>
    public const string ChatTemplate = ChatMlTemplate.Text;

    private const string ConfigName = "tokenizer_config.json";

    private static readonly JsonWriterOptions Options = new() { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes <c>tokenizer.json</c> and <c>tokenizer_config.json</c> as Hugging Face has them; each takes its name when it is whole.</summary>
    /// <param name="folder">The folder, made where it does not exist.</param>
    /// <exception cref="SlipstreamException">They cannot be written.</exception>
    public void Write(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        try
        {
            Directory.CreateDirectory(folder);
            WriteFile(Path.Combine(folder, TokenizerLoader.FileName), WriteTokenizer);
            WriteFile(Path.Combine(folder, ConfigName), WriteConfig);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"The tokenizer cannot be written to '{folder}': {e.Message.TrimEnd('.')}; free space, or choose another folder.", e);
        }
    }

    private static void WriteFile(string path, Action<Utf8JsonWriter> write) => DurableFile.Write(path, 0, stream =>
    {
        using (Utf8JsonWriter json = new(stream, Options)) write(json);
        stream.WriteByte((byte)'\n');
    });

    private void WriteTokenizer(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        json.WriteStartArray("added_tokens");
        for (int id = 0; id < SpecialTokens.Count; id++)
        {
            json.WriteStartObject();
            json.WriteNumber("id", id);
            WriteAdded(json, SpecialTokens[id]);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteNull("normalizer");
        json.WriteStartObject("pre_tokenizer");
        json.WriteString("type", "Sequence");
        json.WriteStartArray("pretokenizers");
        json.WriteStartObject();
        json.WriteString("type", "Digits");
        json.WriteBoolean("individual_digits", true);
        json.WriteEndObject();
        json.WriteStartObject();
        WriteByteLevel(json, addPrefixSpace: false);
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteNull("post_processor");
        json.WriteStartObject("decoder");
        WriteByteLevel(json, addPrefixSpace: true);
        json.WriteEndObject();
        WriteModel(json);
        json.WriteEndObject();
    }

    private void WriteModel(Utf8JsonWriter json)
    {
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        json.WriteNull("dropout");
        json.WriteNull("unk_token");
        json.WriteNull("continuing_subword_prefix");
        json.WriteNull("end_of_word_suffix");
        json.WriteBoolean("fuse_unk", false);
        json.WriteBoolean("byte_fallback", false);
        json.WriteBoolean("ignore_merges", false);
        json.WriteStartObject("vocab");
        for (int id = 0; id < Tokens.Count; id++)
            json.WriteNumber(Tokens[id], id);
        json.WriteEndObject();
        json.WriteStartArray("merges");
        // The alphabet of bytes has no space, so one text a merge is clear, and old readers take nothing else.
        foreach ((int left, int right, _) in Merges)
            json.WriteStringValue($"{Tokens[left]} {Tokens[right]}");
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteByteLevel(Utf8JsonWriter json, bool addPrefixSpace)
    {
        json.WriteString("type", "ByteLevel");
        json.WriteBoolean("add_prefix_space", addPrefixSpace);
        json.WriteBoolean("trim_offsets", true);
        json.WriteBoolean("use_regex", true);
    }

    private void WriteConfig(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("tokenizer_class", "PreTrainedTokenizerFast");
        json.WriteBoolean("clean_up_tokenization_spaces", false);
        json.WriteStartObject("added_tokens_decoder");
        for (int id = 0; id < SpecialTokens.Count; id++)
        {
            json.WriteStartObject(id.ToString(System.Globalization.CultureInfo.InvariantCulture));
            WriteAdded(json, SpecialTokens[id]);
            json.WriteEndObject();
        }
        json.WriteEndObject();
        WriteKnown(json, "bos_token", EndOfText);
        bool chat = SpecialTokens.Contains(MessageStart) && SpecialTokens.Contains(MessageEnd);
        WriteKnown(json, "eos_token", chat ? MessageEnd : EndOfText);
        WriteKnown(json, "unk_token", EndOfText);
        WriteKnown(json, "pad_token", EndOfText);
        if (chat)
            json.WriteString("chat_template", ChatMlTemplate.Text);
        json.WriteEndObject();
    }

    private void WriteKnown(Utf8JsonWriter json, string name, string token)
    {
        if (SpecialTokens.Contains(token))
            json.WriteString(name, token);
    }

    private static void WriteAdded(Utf8JsonWriter json, string content)
    {
        json.WriteString("content", content);
        json.WriteBoolean("single_word", false);
        json.WriteBoolean("lstrip", false);
        json.WriteBoolean("rstrip", false);
        json.WriteBoolean("normalized", false);
        json.WriteBoolean("special", true);
    }
}
