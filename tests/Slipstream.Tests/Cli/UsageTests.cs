using Slipstream.Tests.Checkpoints;

namespace Slipstream.Tests.Cli;

public sealed class UsageTests
{
    private const string Tokens = "token ids from 0 on with commas between them, such as 1,2,3";
    private const string Sources = "--prompt, --prompt-file, --chat, --prompt-tokens and --prompts";

    [Theory]
    [InlineData("generate", "No prompt was given; give one of " + Sources + ".")]
    [InlineData("generate --prompt a --chat b", "--prompt and --chat cannot be used together; give one of " + Sources + ".")]
    [InlineData("generate --chat a --prompt-tokens 1", "--chat and --prompt-tokens cannot be used together; give one of " + Sources + ".")]
    [InlineData("generate --prompt a --system b", "--system needs --chat.")]
    [InlineData("generate --prompt a --output b", "--output needs --prompts.")]
    [InlineData("generate --prompts a", "--prompts needs --output, a file for the results.")]
    [InlineData("generate --prompts a --output -", "--output is '-', which stands for standard input; name a file.")]
    [InlineData("generate --model m --prompt-tokens -1", "--prompt-tokens holds '-1'; it must be " + Tokens + ".")]
    [InlineData("generate --model m --prompt-tokens 1,x", "--prompt-tokens holds 'x'; it must be " + Tokens + ".")]
    [InlineData("generate --model m --prompt-tokens 1,,2", "--prompt-tokens holds ''; it must be " + Tokens + ".")]
    [InlineData("generate --model m --prompt-tokens 4294967296", "--prompt-tokens holds '4294967296'; it must be " + Tokens + ".")]
    [InlineData("generate --model m --prompt-tokens=", "--prompt-tokens is empty; it must be " + Tokens + ".")]
    [InlineData("generate --model m --prompt a --top-p 0", "--top-p is 0; it must be over 0 and at most 1.")]
    [InlineData("generate --model m --prompt a --top-p 1.01", "--top-p is 1.01; it must be over 0 and at most 1.")]
    [InlineData("generate --model m --prompt a --temperature NaN", "--temperature is NaN; it must be a finite number of at least 0.")]
    [InlineData("generate --model m --prompt a --temperature -0.5", "--temperature is -0.5; it must be a finite number of at least 0.")]
    [InlineData("generate --model m --prompt a --temperature 1,5", "--temperature is '1,5'; it must be a finite number of at least 0.")]
    [InlineData("generate --model m --prompt a --max-tokens 0", "--max-tokens is 0; it must be a whole number of at least 1.")]
    [InlineData("generate --model m --prompt a --max-tokens 1.5", "--max-tokens is '1.5'; it must be a whole number of at least 1.")]
    [InlineData("generate --model m --prompt a --seed -1", "--seed is '-1'; it must be a whole number from 0 to 18446744073709551615.")]
    [InlineData("generate --model m --prompt a --stop=", "--stop is ''; it must be a text that is not empty.")]
    [InlineData("generate --model m --prompt a --logit-bias 5", "--logit-bias is '5'; it must be ID=BIAS, such as 42=-1.5.")]
    [InlineData("generate --model m --prompt a --verifier best", "--verifier is 'best'; it must be auto, rejection or coupled.")]
    [InlineData("generate --model m --prompt a --drafter best", "--drafter is 'best'; it must be none or prompt-lookup.")]
    [InlineData("generate --model m --prompt a --drafter prompt-lookup --draft d", "--drafter and --draft cannot be used together; give one of them.")]
    [InlineData("generate --model m --prompt a --draft-length 257", "--draft-length is 257; it must be a whole number from 0 to 256.")]
    [InlineData("generate --model m --prompt a --threads -1", "--threads is -1; it must be a whole number from 0 to 1024.")]
    [InlineData("generate --model m --prompt a --kv-memory 120%", "--kv-memory: '120%' is no amount of memory; write bytes such as 268435456, 256M or 1.5G, or a share such as 25%.")]
    [InlineData("generate --model m --prompt a --activations f16", "--activations is 'f16'; it must be auto, f32, int8, int16 or bf16.")]
    [InlineData("generate --prompt", "--prompt needs a value.")]
    [InlineData("generate --prompt a --bogus", "Unrecognized command or argument '--bogus'; see 'slipstream generate --help'.")]
    [InlineData("generate @args", "Unrecognized command or argument '@args'; see 'slipstream generate --help'.")]
    [InlineData("bogus", "Unrecognized command or argument 'bogus'; see 'slipstream --help'.")]
    [InlineData("chat --model m --json", "--json cannot be used with chat; use 'slipstream generate --chat TEXT --json' for one answer as JSON.")]
    [InlineData("tokenize --model m", "No text was given; give --text or --jsonl.")]
    [InlineData("tokenize --model m --text a --jsonl b", "--text and --jsonl cannot be used together; give one of them.")]
    [InlineData("tokenize --model m --jsonl b --pair c", "--pair cannot be used with --jsonl; write it into the lines.")]
    [InlineData("detokenize --model m", "No tokens were given; give --tokens, such as --tokens 1,2,3.")]
    [InlineData("detokenize --model m --tokens a", "--tokens holds 'a'; it must be " + Tokens + ".")]
    [InlineData("eval logits --model m", "No tokens were given; give --tokens, such as --tokens 1,2,3.")]
    [InlineData("eval logits --model m --tokens 1", "No output was given; give --output with a .safetensors file.")]
    [InlineData("eval perplexity --model m", "No text was given; give --text with a file.")]
    [InlineData("convert --model m", "No output was given; give --output with a .gguf file.")]
    [InlineData("convert --output a", "No model was named: give --model with a Hugging Face folder or a GGUF file.")]
    [InlineData("convert --model m --output a --format Q9", "--format is 'Q9'; it must be F32, F16, Q4_0, Q4_1, Q8_0, Q5_0, Q5_1, BF16.")]
    [InlineData("generate --model m --prompts a --output b --compare --drafter prompt-lookup", "--compare cannot be used with --prompts; it measures one request.")]
    [InlineData("generate --model m --prompt a --compare", "--compare needs a drafter; give --draft or --drafter prompt-lookup.")]
    public async Task A_wrong_command_line_gets_one_sentence_and_code_2(string line, string sentence)
        => (await CliRun.Of(line.Split(' '))).Failed(2, sentence);

    [Fact]
    public async Task A_missing_model_fails_with_code_1()
    {
        CliRun run = await CliRun.Of("generate", "--model", "no-such-model", "--prompt", "a");
        Assert.Equal(1, run.Code);
        Assert.StartsWith("slipstream: 'no-such-model' does not exist", run.Error, StringComparison.Ordinal);
        Assert.Equal("", run.Out);
    }

    [Fact]
    public async Task Standard_input_is_read_once()
        => (await CliRun.With("x", "generate", "--model", "m", "--chat", "-", "--system", "-"))
            .Failed(2, "--chat and --system both name standard input ('-'), which can be read once; put one of them into a file.");

    [Fact]
    public async Task A_file_that_is_no_text_is_refused()
    {
        using TempFolder folder = new();
        string path = folder.Write("latin1.txt", [0x61, 0xE9, 0x62]);
        (await CliRun.Of("generate", "--model", "m", "--prompt-file", path)).Failed(1, $"'{path}' is no UTF-8 text (at byte 1); convert it to UTF-8.");
        (await CliRun.Of("generate", "--model", "m", "--prompt-file", path + "x")).Failed(1, $"'{path}x' does not exist.");
        (await CliRun.Of("generate", "--model", "m", "--prompt-file", folder.Path)).Failed(1, $"'{folder.Path}' is a folder; name a file.");
    }

    [Fact]
    public async Task Help_states_the_exit_codes()
    {
        CliRun run = await CliRun.Of("--help");
        Assert.Equal(0, run.Code);
        Assert.Contains("130 Ctrl+C", run.Out, StringComparison.Ordinal);
        Assert.Equal("", run.Error);
    }
}
