using System.Text.Json.Nodes;
using Slipstream.Speculation;
using Slipstream.Tests.Checkpoints;
using Slipstream.Tests.Cli;
using Slipstream.Tests.Tokenizers;

namespace Slipstream.Tests.Hostile;

/// <summary>Draft models that do not go with their target, and drafters that fail on the way.</summary>
public sealed class PairTests
{
    private const int Words = 302;
    private const string Unlike = "does not share the vocabulary of '{model}'", Same = "; take a draft of the same tokenizer.";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>What is wrong with the draft: how it is written, and what is said about it. The target has 302 tokens and a tokenizer.</summary>
    private static readonly Dictionary<string, (Func<TempFolder, string> Draft, string Message)> Wrong = new()
    {
        ["fewer tokens"] = (folder => new TinyModel(300).Write(folder, "draft"), $"The draft model '{{draft}}' (300 tokens) {Unlike} (302 tokens): the first differing token is 300, which only one of them has{Same}"),
        ["more tokens"] = (folder => new TinyModel(310).Write(folder, "draft"), $"The draft model '{{draft}}' (310 tokens) {Unlike} (302 tokens): the first differing token is 302, which only one of them has{Same}"),
        ["other text"] = (folder => Draft(Words, Swapped()).Write(folder, "draft"), $"The draft model '{{draft}}' (302 tokens) {Unlike} (302 tokens): the first differing token is 101: 'e' and 'h'{Same}"),
        ["other size and text"] = (folder => Draft(303, Swapped()).Write(folder, "draft"), $"The draft model '{{draft}}' (303 tokens) {Unlike} (302 tokens): the first differing token is 101: 'e' and 'h'{Same}"),
        ["text that repaints a terminal"] = (folder => Draft(Words, Named("a\n\u202E")).Write(folder, "draft"), $"The draft model '{{draft}}' (302 tokens) {Unlike} (302 tokens): the first differing token is 300: '<s>' and 'a\uFFFD\uFFFD'{Same}"),
        ["a token fewer in its text"] = (folder => Draft(Words, Moved()).Write(folder, "draft"), $"The draft model '{{draft}}' (302 tokens) {Unlike} (302 tokens): the first differing token is 299: none and '<s>'{Same}"),
        ["another family"] = (folder => Changed("model_type", "\"bert\"").Write(folder, "draft"), "'{draft}': the model family 'bert' is not supported; supported are llama, mistral, qwen2, qwen3, gpt2."),
        ["missing"] = (folder => folder.File("draft"), "'{draft}' does not exist; name a folder with 'config.json', a '.gguf' file or a '.safetensors' file."),
        ["an empty path"] = (_ => "", "'' does not exist; name a folder with 'config.json', a '.gguf' file or a '.safetensors' file."),
        ["no weights"] = (folder => Without(new TinyModel(Words).Write(folder, "draft"), "model.safetensors"), "'{draft}' has no weights: neither 'model.safetensors' nor 'model.safetensors.index.json' is in it; download one of them too."),
        ["no configuration"] = (folder => Without(new TinyModel(Words).Write(folder, "draft"), "config.json"), "'{draft}' is not a checkpoint: it has no 'config.json' and no '.gguf' file; name the folder of a model."),
        ["a configuration that is none"] = (folder => With(new TinyModel(Words).Write(folder, "draft"), "config.json", "<html>"), "'{draft}/config.json' is not valid JSON (line 1, byte 1); download it again or correct it."),
        ["a pointer"] = (folder => With(new TinyModel(Words).Write(folder, "draft"), "model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
            "'{draft}/model.safetensors' is a Git LFS pointer, not the file itself: run 'git lfs pull' in its folder, or download the file."),
        ["a tokenizer that is none"] = (folder => Draft(Words, "{").Write(folder, "draft"), "'{draft}/tokenizer.json' is not valid JSON (line 1, byte 2); download it again or correct it."),
        ["more layers than weights"] = (folder => Changed("num_hidden_layers", "9").Write(folder, "draft"), "'{draft}': the tensor 'model.layers.2.input_layernorm.weight' is missing; the file is incomplete or of another family."),
    };

    public static TheoryData<string> WrongNames => new(Wrong.Keys);

    [Theory]
    [MemberData(nameof(WrongNames))]
    public void A_wrong_draft_is_refused(string name)
    {
        using TempFolder folder = new();
        string target = Draft(Words, TinyTokenizer.Json().ToJsonString()).Write(folder), draft = Wrong[name].Draft(folder);
        SlipstreamException e = Assert.Throws<SlipstreamException>(() => LanguageModel.Load(target, Options(new DrafterOptions.DraftModel(draft))).Dispose());
        Assert.Equal(Wrong[name].Message.Replace("{model}", target, StringComparison.Ordinal).Replace("{draft}/", draft + Path.DirectorySeparatorChar, StringComparison.Ordinal)
            .Replace("{draft}", draft, StringComparison.Ordinal), e.Message);
    }

    [Theory]
    [InlineData("--drafter prompt-lookup --draft d", "--drafter and --draft cannot be used together; give one of them.")]
    [InlineData("--drafter none --draft d", "--drafter and --draft cannot be used together; give one of them.")]
    [InlineData("--draft d --max-matching-ngram-size 3", "--max-matching-ngram-size needs --drafter prompt-lookup.")]
    [InlineData("--max-matching-ngram-size 3", "--max-matching-ngram-size needs --drafter prompt-lookup.")]
    public async Task The_tool_names_drafters_that_exclude_each_other(string line, string message)
        => (await CliRun.Of([.. "generate --model m --prompt-tokens 1".Split(' '), .. line.Split(' ')])).Failed(2, message);

    [Theory]
    [InlineData(0.0)]
    [InlineData(1.0)]
    public async Task A_draft_with_a_short_context_stops_drafting_there(double temperature)
    {
        using TempFolder folder = new();
        string target = new TinyModel().Write(folder), draft = new TinyModel(context: 24).Write(folder, "draft");
        GenerationOptions options = Request(60) with { Seed = 5, Sampling = new() { Temperature = temperature } };
        GenerationResult plain = await Run(target, null, options), drafted = await Run(target, new DrafterOptions.DraftModel(draft), options);
        Assert.Equal(plain.Tokens, drafted.Tokens);
        Assert.Equal(60, drafted.Tokens.Count);
        // The draft is the target itself, so all it drafts within its 24 positions stands, and nothing is drafted after them.
        Assert.InRange(drafted.Speculation.Drafted, 10, 24);
        Assert.Equal(0, plain.Speculation.Drafted);
    }

    [Fact]
    public async Task A_prompt_longer_than_the_drafts_context_is_not_drafted_for()
    {
        using TempFolder folder = new();
        string target = new TinyModel().Write(folder), draft = new TinyModel(context: 2).Write(folder, "draft");
        GenerationResult drafted = await Run(target, new DrafterOptions.DraftModel(draft), Request(20));
        Assert.Equal((await Run(target, null, Request(20))).Tokens, drafted.Tokens);
        Assert.Equal(0, drafted.Speculation.Drafted);
    }

    [Fact]
    public async Task A_draft_of_the_same_tokenizer_is_taken_with_its_holes()
    {
        using TempFolder folder = new();
        string tokenizer = TinyTokenizer.Json().ToJsonString(), target = Draft(Words, tokenizer).Write(folder), draft = Draft(Words, tokenizer).Write(folder, "draft");
        Assert.True((await Run(target, new DrafterOptions.DraftModel(draft), Request(20))).Speculation.Accepted > 0);
    }

    [Fact]
    public async Task A_draft_without_a_tokenizer_is_taken_at_its_size()
    {
        using TempFolder folder = new();
        string target = Draft(Words, TinyTokenizer.Json().ToJsonString()).Write(folder), draft = new TinyModel(Words).Write(folder, "draft");
        Assert.True((await Run(target, new DrafterOptions.DraftModel(draft), Request(20))).Speculation.Accepted > 0);
    }

    [Theory]
    [InlineData("throws")]
    [InlineData("outside the vocabulary")]
    [InlineData("negative")]
    [InlineData("over its budget")]
    public async Task A_drafter_that_fails_drafts_nothing(string fault)
    {
        using TempFolder folder = new();
        string target = new TinyModel().Write(folder);
        FaultyDrafter drafter = new(fault);
        GenerationResult result = await Run(target, new DrafterOptions.Custom(_ => drafter), Request(20));
        Assert.Equal((await Run(target, null, Request(20))).Tokens, result.Tokens);
        Assert.True(drafter.Calls > 3);
        Assert.Equal(0, result.Speculation.Accepted);
    }

    [Fact]
    public async Task A_draft_model_of_no_numbers_drafts_nothing()
    {
        using TempFolder folder = new();
        string target = new TinyModel().Write(folder), draft = new TinyModel().Poison("model.norm.weight", 3).Write(folder, "draft");
        GenerationResult result = await Run(target, new DrafterOptions.DraftModel(draft), Request(20));
        Assert.Equal((await Run(target, null, Request(20))).Tokens, result.Tokens);
        Assert.Equal(0, result.Speculation.Drafted);
    }

    internal static ModelOptions Options(DrafterOptions? drafter) => new() { Threads = 1, Drafter = drafter };

    internal static GenerationOptions Request(int tokens) => new() { MaxNewTokens = tokens, IgnoreEndTokens = true };

    internal static async Task<GenerationResult> Run(string path, DrafterOptions? drafter, GenerationOptions options)
    {
        using LanguageModel model = LanguageModel.Load(path, Options(drafter));
        return await model.GenerateAsync(Prompt.Tokens([1, 2, 3]), options, Cancellation);
    }

    private static TinyModel Draft(int vocabulary, string tokenizer) => new(vocabulary) { Tokenizer = tokenizer };

    private static TinyModel Changed(string field, string json)
    {
        TinyModel tiny = new(Words);
        tiny.Config[field] = JsonNode.Parse(json);
        return tiny;
    }

    private static string Swapped()
    {
        JsonObject json = TinyTokenizer.Json();
        JsonNode vocab = json["model"]!["vocab"]!;
        (vocab["e"], vocab["h"]) = ((int)'h', (int)'e');
        return json.ToJsonString();
    }

    private static string Named(string token)
    {
        JsonObject json = TinyTokenizer.Json();
        json["added_tokens"]![0]!["content"] = token;
        return json.ToJsonString();
    }

    private static string Moved()
    {
        JsonObject json = TinyTokenizer.Json();
        json["added_tokens"]![0]!["id"] = 299;
        return json.ToJsonString();
    }

    private static string Without(string folder, string file)
    {
        File.Delete(Path.Combine(folder, file));
        return folder;
    }

    private static string With(string folder, string file, string content)
    {
        File.WriteAllText(Path.Combine(folder, file), content);
        return folder;
    }

    private sealed class FaultyDrafter(string fault) : IDrafter
    {
        public int Calls { get; private set; }

        public string Name => "faulty";

        public long Parameters => 0;

        public (long Weights, long Cache) MemoryBytes => default;

        public void Draft(ReadOnlySpan<DraftRequest> requests)
        {
            Calls++;
            foreach (ref readonly DraftRequest request in requests)
                switch (fault)
                {
                    case "throws":
                        request.Tree.Add(0, -1);
                        throw new InvalidOperationException("The drafter is broken.");
                    case "outside the vocabulary":
                        request.Tree.Add(request.Tree.Vocabulary, -1);
                        break;
                    case "negative":
                        request.Tree.Add(-1, -1);
                        break;
                    default:
                        // Behind a root that no distribution of this model puts first.
                        for (int node = 0; node < 400; node++) request.Tree.Add(request.Sequence.Tokens[^1] ^ 31, node - 1);
                        break;
                }
        }

        public void Release(Scheduling.Sequence sequence) { }

        public void Dispose() { }
    }
}
