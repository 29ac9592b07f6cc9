using System.IO.Compression;
using System.Text.Json;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Cli;

public sealed class TextToolsTests
{
    [Fact]
    public async Task Tokenize_agrees_with_the_reference_line_by_line()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("slipstream-tokenizer-");
        try
        {
            // A folder that holds a tokenizer and nothing else.
            using (FileStream packed = File.OpenRead(Assets.Path("goldens", "tokenizers", "smollm2", "tokenizer.json.gz")))
            using (GZipStream unpacked = new(packed, CompressionMode.Decompress))
            using (FileStream file = File.Create(Path.Combine(folder.FullName, "tokenizer.json")))
                await unpacked.CopyToAsync(file);
            JsonElement[] cases = [.. File.ReadLines(Assets.Path("goldens", "tokenizers", "smollm2", "cases.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)];
            cases = [.. cases.Where(golden => !golden.TryGetProperty("error", out _))];
            Assert.NotEmpty(cases);
            string[] fields = ["text", "pair", "add_special_tokens"];
            string input = string.Concat(cases.Select(golden => "{" + string.Join(',', fields.Where(field => golden.TryGetProperty(field, out _)).Select(field => $"\"{field}\":{golden.GetProperty(field).GetRawText()}")) + "}\n"));
            Tool run = await Tool.RunWithInputAsync(input, "tokenize", "--model", folder.FullName, "--jsonl", "-");
            Assert.Equal((0, ""), (run.Code, run.Error));
            string[] answers = run.Out.Split('\n');
            Assert.Equal(cases.Length + 1, answers.Length);
            for (int i = 0; i < cases.Length; i++)
            {
                JsonElement answer = JsonDocument.Parse(answers[i]).RootElement;
                foreach (string name in (string[])["ids", "tokens", "offsets", "type_ids"])
                    if (cases[i].TryGetProperty(name, out JsonElement expected)) Assert.True(JsonElement.DeepEquals(expected, answer.GetProperty(name)), $"{name} of {cases[i].GetProperty("text").GetRawText()}: {answer.GetRawText()}");
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_wrong_line_gets_an_error_in_its_place()
    {
        Tool run = await Tool.RunWithInputAsync("{\"text\": \"a\"}\n{\"txt\": 1}\n\n{\"text\": \"\\ud800\", \"add_special_tokens\": false}\n", "tokenize", "--model", Assets.SmolLm2, "--jsonl", "-");
        JsonElement[] answers = [.. run.Out.TrimEnd('\n').Split('\n').Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal(["ids", "error", "error", "ids"], answers.Select(answer => answer.EnumerateObject().First().Name));
        Assert.Equal("the field 'txt' is not known; known are text, pair and add_special_tokens.", answers[1].GetProperty("error").GetString());
        Assert.Equal((0, ""), (run.Code, run.Error));
    }

    [Theory]
    [InlineData("Hello wörld")]
    [InlineData("-dash @at --json <|im_end|> 😀")]
    [InlineData("")]
    public async Task Text_goes_to_tokens_and_back(string text)
    {
        JsonElement json = (await Tool.RunAsync("tokenize", "--model", Assets.SmolLm2, "--text", text, "--json")).Json;
        int[] ids = Tool.Ints(json.GetProperty("ids"));
        if (text.Length == 0)
        {
            Assert.Empty(ids);
            return;
        }
        Assert.Equal(ids.Length, json.GetProperty("offsets").GetArrayLength());
        Tool plain = await Tool.RunWithInputAsync(text, "tokenize", "--model", Assets.SmolLm2, "--text", "-");
        Assert.Equal(Tool.List(ids) + "\n", plain.Out);
        Assert.Equal(text, (await Tool.RunAsync("detokenize", "--model", Assets.SmolLm2, "--tokens", Tool.List(ids), "--json")).Json.GetProperty("text").GetString());
        Tool skipped = await Tool.RunWithInputAsync(Tool.List(ids), "detokenize", "--model", Assets.SmolLm2, "--tokens", "-", "--skip-special-tokens");
        Assert.Equal(text.Replace("<|im_end|>", "", StringComparison.Ordinal) + "\n", skipped.Out);
    }

    [Fact]
    public async Task A_token_outside_the_vocabulary_is_refused()
    {
        Tool run = await Tool.RunAsync("detokenize", "--model", Assets.SmolLm2, "--tokens", "1,49152");
        Assert.Equal((1, ""), (run.Code, run.Out));
        Assert.Contains("49152", run.Error, StringComparison.Ordinal);
    }
}
