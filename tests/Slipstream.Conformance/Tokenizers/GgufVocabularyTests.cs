using System.Globalization;
using System.Text.Json;
using Slipstream.Models;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Tokenizers;

/// <summary>Tokenizers of GGUF files against llama.cpp's vocabulary tests and the real model's prompts.</summary>
public sealed class GgufVocabularyTests
{
    [Theory, InlineData("gpt-2"), InlineData("falcon"), InlineData("starcoder")]
    public void Encodes_as_llama_cpp(string name)
    {
        string path = Assets.Path("tokenizers", $"ggml-vocab-{name}.gguf");
        Tokenizer tokenizer = Load(path);
        string[] inputs = File.ReadAllText(path + ".inp").Split("\n__ggml_vocab_test__\n");
        string[] outputs = File.ReadAllText(path + ".out").Split('\n');
        int rows = 0;
        List<string> wrong = [];
        for (int i = 0; i < inputs.Length; i++)
        {
            // The last input has no separator after it, and the last line of the outputs is empty.
            string input = i == inputs.Length - 1 ? inputs[i].TrimEnd('\n') : inputs[i];
            if (input.Length == 0 && i == inputs.Length - 1)
                continue;
            rows++;
            int[] expected = [.. outputs[i].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(id => int.Parse(id, CultureInfo.InvariantCulture))];
            TokenizedText got = tokenizer.Encode(input, addSpecialTokens: false);
            if (!expected.SequenceEqual(got.Ids))
                wrong.Add($"{JsonSerializer.Serialize(input)}\n  expected {string.Join(' ', expected)}\n  actual   {string.Join(' ', got.Ids)}");
            Assert.Equal(input, tokenizer.Decode([.. got.Ids]));
        }
        Assert.True(rows > 40, $"only {rows} rows");
        Assert.True(wrong.Count == 0, $"{wrong.Count} of {rows} differ:\n{string.Join('\n', wrong)}");
    }

    [Theory, InlineData("llama-spm", "SentencePiece"), InlineData("bert-bge", "WordPiece")]
    public void Other_vocabularies_are_refused_by_name(string name, string kind)
    {
        SlipstreamException failure = Assert.Throws<SlipstreamException>(() => Load(Assets.Path("tokenizers", $"ggml-vocab-{name}.gguf")));
        Assert.Contains(kind, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Encodes_the_prompts_of_the_real_model()
    {
        using Checkpoint checkpoint = Checkpoint.Open(Assets.SmolLm2);
        Tokenizer tokenizer = TokenizerLoader.FromCheckpoint(checkpoint);
        Assert.Equal((1, 2), (tokenizer.BeginToken, tokenizer.EndToken));
        ChatTemplate template = ChatTemplates.FromCheckpoint(checkpoint);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Assets.Path("goldens", "real", "smollm2-135m.json")));
        int rows = 0;
        foreach (JsonElement row in document.RootElement.GetProperty("cases").EnumerateArray())
        {
            rows++;
            string rendered = row.GetProperty("rendered").GetString()!;
            if (row.GetProperty("kind").GetString() == "chat")
            {
                List<ChatMessage> messages = [new("user", row.GetProperty("text").GetString()!)];
                if (row.GetProperty("system").GetString() is { } system)
                    messages.Insert(0, new ChatMessage("system", system));
                Assert.Equal(rendered, template.Render(messages));
            }
            Assert.Equal(Int32s(row.GetProperty("ids")), tokenizer.Encode(rendered).Ids);
            int[] greedy = Int32s(row.GetProperty("greedy"));
            string text = row.GetProperty("greedy_text").GetString()!;
            Assert.True(text == tokenizer.Decode(greedy) || text == tokenizer.Decode(greedy, skipSpecialTokens: true), text);
        }
        Assert.True(rows >= 8, $"only {rows} prompts");
    }

    // The file and tokenizer.json describe the same tokenizer.
    [Fact]
    public void Agrees_with_tokenizer_json()
    {
        Tokenizer gguf = Load(Assets.SmolLm2), json = ByteLevelGoldenTests.Load("smollm2");
        Assert.Equal(json.VocabularySize, gguf.VocabularySize);
        foreach (string line in File.ReadLines(Assets.Path("goldens", "tokenizers", "smollm2", "cases.jsonl")))
        {
            using JsonDocument row = JsonDocument.Parse(line);
            string text = row.RootElement.GetProperty("text").GetString()!;
            Assert.Equal(json.Encode(text).Ids, gguf.Encode(text).Ids);
        }
    }

    private static Tokenizer Load(string path)
    {
        using GgufFile file = new(path);
        return TokenizerLoader.FromGguf(file.Metadata);
    }

    private static int[] Int32s(JsonElement list) => [.. list.EnumerateArray().Select(i => i.GetInt32())];
}
