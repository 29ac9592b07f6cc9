using Slipstream.Analysis;
using Slipstream.Tests.Checkpoints;
using Slipstream.Tests.Cli;

namespace Slipstream.Tests.Hostile;

/// <summary>Tokens that no model can take, through the API and through the tool.</summary>
public sealed class TokenTests
{
    private const string Ids = "ids run from 0 to 31.", Form = "token ids from 0 on with commas between them, such as 1,2,3.";
    private static readonly ModelOptions Options = new() { Threads = 1 };

    public static TheoryData<int[], string> Prompts => new()
    {
        { [], "The prompt has no tokens; give at least one." },
        { [32], "The token 32 is not in the vocabulary of 32; " + Ids },
        { [1, 2, -1], "The token -1 is not in the vocabulary of 32; " + Ids },
        { [int.MinValue], "The token -2147483648 is not in the vocabulary of 32; " + Ids },
        { [int.MaxValue, 1], "The token 2147483647 is not in the vocabulary of 32; " + Ids },
        { new int[64], "The prompt has 64 tokens, but the context of '{model}' is 64 and must leave room for at least one more; shorten the prompt." },
        { new int[1000], "The prompt has 1000 tokens, but the context of '{model}' is 64 and must leave room for at least one more; shorten the prompt." },
    };

    [Theory]
    [MemberData(nameof(Prompts), DisableDiscoveryEnumeration = true)]
    public async Task A_wrong_prompt_is_refused(int[] tokens, string message)
    {
        using TempFolder folder = new();
        string path = new TinyModel().Write(folder);
        using LanguageModel model = LanguageModel.Load(path, Options);
        SlipstreamException e = await Assert.ThrowsAsync<SlipstreamException>(() => model.GenerateAsync(Prompt.Tokens(tokens), cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(message.Replace("{model}", path, StringComparison.Ordinal), e.Message);
    }

    public static TheoryData<int[], string> Texts => new()
    {
        { [], "There are no tokens; give at least one." },
        { [5, 32], "The token 32 is not in the vocabulary of 32; " + Ids },
        { [-7], "The token -7 is not in the vocabulary of 32; " + Ids },
        { new int[65], "There are 65 tokens, but the context of '{model}' is 64." },
    };

    [Theory]
    [MemberData(nameof(Texts), DisableDiscoveryEnumeration = true)]
    public void A_wrong_text_is_not_evaluated(int[] tokens, string message)
    {
        using TempFolder folder = new();
        string path = new TinyModel().Write(folder);
        using ModelEvaluator evaluator = ModelEvaluator.Load(path, Options);
        Assert.Equal(message.Replace("{model}", path, StringComparison.Ordinal), Assert.Throws<SlipstreamException>(() => evaluator.Logits(tokens, (_, _) => Assert.Fail("A row was computed."))).Message);
    }

    [Theory]
    [InlineData("generate --prompt-tokens 1,32", 1, "The token 32 is not in the vocabulary of 32; " + Ids)]
    [InlineData("generate --prompt-tokens 2147483647", 1, "The token 2147483647 is not in the vocabulary of 32; " + Ids)]
    [InlineData("generate --prompt-tokens 2147483648", 2, "--prompt-tokens holds '2147483648'; it must be " + Form)]
    [InlineData("generate --prompt-tokens -1", 2, "--prompt-tokens holds '-1'; it must be " + Form)]
    [InlineData("generate --prompt-tokens one", 2, "--prompt-tokens holds 'one'; it must be " + Form)]
    [InlineData("generate --prompt-tokens 1.5", 2, "--prompt-tokens holds '1.5'; it must be " + Form)]
    [InlineData("generate --prompt-tokens NaN", 2, "--prompt-tokens holds 'NaN'; it must be " + Form)]
    [InlineData("generate --prompt-tokens ,", 2, "--prompt-tokens holds ''; it must be " + Form)]
    [InlineData("generate --prompt hello", 1, "'{model}' has no 'tokenizer.json': place the model's own there, or give token ids instead of text.")]
    [InlineData("generate --prompt-tokens 1 --stop-token 32", 1, "The stop token 32 is not in the vocabulary of 32; " + Ids)]
    [InlineData("generate --prompt-tokens 1 --forced-first-token 32", 1, "The option `forced_bos_token_id` names token 32; tokens of this model are 0 to 31.")]
    [InlineData("eval logits --output x.safetensors --tokens 1,40", 1, "The token 40 is not in the vocabulary of 32; " + Ids)]
    [InlineData("eval logits --output x.safetensors --tokens 0x1", 2, "--tokens holds '0x1'; it must be " + Form)]
    public async Task The_tool_names_a_wrong_token(string line, int code, string message)
    {
        using TempFolder folder = new();
        string path = new TinyModel().Write(folder);
        (await CliRun.Of([.. line.Split(' '), "--model", path, "--threads", "1"])).Failed(code, message.Replace("{model}", path, StringComparison.Ordinal));
    }
}
