using System.Text;
using System.Text.Json.Nodes;
using Slipstream.Models;

namespace Slipstream.Tests.Tokenizers;

/// <summary>A byte-level tokenizer of 256 bytes and a few merges, to be bent out of shape.</summary>
internal static class TinyTokenizer
{
    public const string Name = "tiny.json";

    public static JsonObject Json()
    {
        JsonObject vocab = [];
        for (int b = 0; b < 256; b++)
            vocab[ByteAlphabet.Character((byte)b).ToString()] = b;
        JsonArray merges = [];
        Merge("h", "e");
        Merge("l", "l");
        Merge("he", "ll");
        Merge("Ġ", "w");
        Merge("a", "a");
        Merge("aa", "aa");
        return new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(Added(300, "<s>"), Added(301, "<e>")),
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["use_regex"] = true },
            ["post_processor"] = null,
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
            ["model"] = new JsonObject { ["type"] = "BPE", ["vocab"] = vocab, ["merges"] = merges },
        };

        void Merge(string left, string right)
        {
            vocab[left + right] = vocab.Count;
            merges.Add(new JsonArray(left, right));
        }
    }

    public static JsonObject Added(int id, string content, bool special = true) => new() { ["id"] = id, ["content"] = content, ["special"] = special, ["normalized"] = false };

    public static Tokenizer Load(JsonNode json) => Load(json.ToJsonString());

    public static Tokenizer Load(string json)
    {
        using MemoryStream stream = new(Encoding.UTF8.GetBytes(json));
        return TokenizerLoader.FromJson(stream, Name);
    }
}
