using Slipstream.TestSupport;

namespace Slipstream.Conformance.Cli;

/// <summary>Bad input given to the tool as a process: one line on standard error, no stack trace, the exit code that docs/cli.md states.</summary>
public sealed class HostileTests
{
    [Theory]
    [InlineData("an option", 2, "slipstream: --top-p is 2; it must be over 0 and at most 1.\n")]
    [InlineData("a token", 1, "slipstream: The token 999999 is not in the vocabulary of {vocabulary}; ids run from 0 to {last}.\n")]
    [InlineData("truncated weights", 1, "slipstream: '{folder}/model.safetensors' is not a valid safetensors file: it has only 3 bytes; download or export it again.\n")]
    [InlineData("a page for a configuration", 1, "slipstream: '{folder}/config.json' is not valid JSON (line 1, byte 1); download it again or correct it.\n")]
    [InlineData("a big-endian file", 1, "slipstream: '{folder}/m.gguf' is a big-endian GGUF file; download or convert the model as little-endian GGUF.\n")]
    [InlineData("a draft of nowhere", 1, "slipstream: '{folder}/draft' does not exist; name a folder with 'config.json', a '.gguf' file or a '.safetensors' file.\n")]
    [InlineData("weights of no numbers", 1, "slipstream: '{folder}': the tensor 'model.embed_tokens.weight' holds NaN in row 5; the file is damaged or was converted wrongly.\n")]
    public async Task The_process_says_one_sentence(string fault, int code, string error)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The expected paths are written with slashes.");
        string golden = Assets.Path("goldens", "models", "llama"), folder = Tool.Temporary("");
        Directory.CreateDirectory(folder);
        try
        {
            foreach (string file in Directory.EnumerateFiles(golden, "*.json")) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
            string weights = Path.Combine(folder, "model.safetensors"), model = folder;
            byte[] bytes = await File.ReadAllBytesAsync(Path.Combine(golden, "model.safetensors"));
            List<string> more = ["--prompt-tokens", "5"];
            switch (fault)
            {
                case "an option": more.AddRange(["--top-p", "2"]); break;
                case "a token": more[1] = "999999"; break;
                case "truncated weights": bytes = bytes[..3]; break;
                case "a page for a configuration": await File.WriteAllTextAsync(Path.Combine(folder, "config.json"), "<html>"); break;
                case "a big-endian file": await File.WriteAllBytesAsync(model = Path.Combine(folder, "m.gguf"), [.. "GGUF"u8, 0, 0, 0, 3]); break;
                case "a draft of nowhere": more.AddRange(["--draft", folder + "/draft"]); break;
                default: PoisonRow(bytes, "model.embed_tokens.weight", 5); break;
            }
            await File.WriteAllBytesAsync(weights, bytes);
            Tool tool = await Tool.RunAsync(["generate", "--model", model, .. more]);
            int vocabulary = 0;
            if (fault == "a token")
            {
                using Models.Checkpoint checkpoint = Models.Checkpoint.Open(golden);
                vocabulary = checkpoint.Config.Int32("vocab_size");
            }
            Assert.Equal(error.Replace("{folder}", folder, StringComparison.Ordinal).Replace("{vocabulary}", $"{vocabulary}", StringComparison.Ordinal).Replace("{last}", $"{vocabulary - 1}", StringComparison.Ordinal), tool.Error);
            Assert.Equal("", tool.Out);
            Assert.Equal(code, tool.Code);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Overwrites the first weight of a row with a NaN.</summary>
    private static void PoisonRow(byte[] file, string tensor, int row)
    {
        long header = BitConverter.ToInt64(file);
        using System.Text.Json.JsonDocument json = System.Text.Json.JsonDocument.Parse(file.AsMemory(8, (int)header));
        System.Text.Json.JsonElement entry = json.RootElement.GetProperty(tensor);
        Assert.Equal("F32", entry.GetProperty("dtype").GetString());
        long at = 8 + header + entry.GetProperty("data_offsets")[0].GetInt64() + row * entry.GetProperty("shape")[1].GetInt64() * sizeof(float);
        BitConverter.TryWriteBytes(file.AsSpan((int)at), float.NaN);
    }
}
