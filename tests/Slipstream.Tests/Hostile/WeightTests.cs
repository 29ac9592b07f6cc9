using Slipstream.Analysis;
using Slipstream.Speculation;
using Slipstream.Tests.Checkpoints;

namespace Slipstream.Tests.Hostile;

/// <summary>Weights that are no numbers: named with file, tensor and row as soon as they reach an output, and only then.</summary>
public sealed class WeightTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>The tensor, the index of the poisoned weight, the poison, and its place as it is told. The prompt is 1, 2, 3.</summary>
    public static TheoryData<string, int, float, string> Places => new()
    {
        { "model.embed_tokens.weight", 2 * TinyModel.Hidden + 5, float.NaN, "NaN in row 2" },
        { "model.embed_tokens.weight", 1 * TinyModel.Hidden, float.PositiveInfinity, "Infinity in row 1" },
        { "model.layers.0.input_layernorm.weight", 7, float.NaN, "NaN at index 7" },
        { "model.layers.0.self_attn.q_proj.weight", 9 * TinyModel.Hidden + 1, float.NaN, "NaN in row 9" },
        { "model.layers.1.self_attn.k_proj.weight", 7 * TinyModel.Hidden + 15, float.NaN, "NaN in row 7" },
        { "model.layers.1.self_attn.v_proj.weight", 0, float.NaN, "NaN in row 0" },
        { "model.layers.0.self_attn.o_proj.weight", 15 * 16 + 15, float.NegativeInfinity, "-Infinity in row 15" },
        { "model.layers.1.post_attention_layernorm.weight", 0, float.PositiveInfinity, "Infinity at index 0" },
        { "model.layers.0.mlp.gate_proj.weight", 23 * TinyModel.Hidden, float.NaN, "NaN in row 23" },
        { "model.layers.1.mlp.up_proj.weight", 11 * TinyModel.Hidden + 3, float.NaN, "NaN in row 11" },
        { "model.layers.1.mlp.down_proj.weight", 4 * TinyModel.Intermediate + 2, float.PositiveInfinity, "Infinity in row 4" },
        { "model.norm.weight", 15, float.NaN, "NaN at index 15" },
        { "lm_head.weight", 31 * TinyModel.Hidden + 15, float.NaN, "NaN in row 31" },
    };

    [Theory]
    [MemberData(nameof(Places))]
    public async Task A_weight_that_is_no_number_is_named(string tensor, int index, float value, string place)
    {
        using TempFolder folder = new();
        string path = new TinyModel().Poison(tensor, index, value).Write(folder);
        string message = $"'{path}': the tensor '{tensor}' holds {place}; the file is damaged or was converted wrongly.";
        using LanguageModel model = LanguageModel.Load(path, PairTests.Options(null));
        using ModelEvaluator evaluator = ModelEvaluator.Load(path, PairTests.Options(null));
        Assert.Equal(message, (await Assert.ThrowsAsync<SlipstreamException>(() => model.GenerateAsync(Prompt.Tokens([1, 2, 3]), cancellationToken: Cancellation))).Message);
        Assert.Equal(message, Assert.Throws<SlipstreamException>(() => evaluator.Logits([1, 2, 3], (_, _) => { })).Message);
    }

    [Fact]
    public async Task A_gguf_of_eight_bits_names_its_weight_too()
    {
        using TempFolder folder = new();
        // A block of Q8_0 is a half-precision scale and 32 codes: a fill of 0xFF is a scale of NaN.
        const uint f32 = 0, q8 = 8;
        GgufBuilder builder = GgufBuilder.Llama().Add("llama.embedding_length", 32u).Add("llama.attention.head_count", 2u).Add("llama.feed_forward_length", 32u).Add("llama.block_count", 1u)
            .Tensor("token_embd.weight", q8, [32, 32], 32 * 34, fill: 1).Tensor("output_norm.weight", f32, [32], 128, fill: 1);
        foreach (string name in (string[])["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"])
            builder.Tensor($"blk.0.{name}.weight", q8, [32, 32], 32 * 34, fill: name == "ffn_up" ? (byte)0xFF : (byte)1);
        string path = folder.Write("m.gguf", builder.Tensor("blk.0.attn_norm.weight", f32, [32], 128, fill: 1).Tensor("blk.0.ffn_norm.weight", f32, [32], 128, fill: 1).Build());
        using LanguageModel model = LanguageModel.Load(path, PairTests.Options(null));
        SlipstreamException e = await Assert.ThrowsAsync<SlipstreamException>(() => model.GenerateAsync(Prompt.Tokens([1, 2, 3]), cancellationToken: Cancellation));
        Assert.Equal($"'{path}': the tensor 'blk.0.ffn_up.weight' holds NaN in row 0; the file is damaged or was converted wrongly.", e.Message);
    }

    [Fact]
    public async Task Finite_weights_that_overflow_are_told_apart()
    {
        using TempFolder folder = new();
        TinyModel tiny = new();
        Array.Fill(tiny.Tensors["lm_head.weight"].Values, float.MaxValue);
        using LanguageModel model = LanguageModel.Load(tiny.Write(folder), PairTests.Options(null));
        Assert.Equal("The model gave logits that are not finite after 3 tokens; its arithmetic overflows on this input.",
            (await Assert.ThrowsAsync<SlipstreamException>(() => model.GenerateAsync(Prompt.Tokens([1, 2, 3]), cancellationToken: Cancellation))).Message);
    }

    [Fact]
    public async Task A_row_that_is_never_used_hurts_nobody()
    {
        using TempFolder folder = new();
        IReadOnlyList<int> clean = (await PairTests.Run(new TinyModel().Write(folder, "clean"), null, PairTests.Request(20))).Tokens;
        string path = Poisoned(Unused(clean)).Write(folder);
        Assert.Equal(clean, (await PairTests.Run(path, null, PairTests.Request(20))).Tokens);
    }

    [Fact]
    public async Task A_request_that_fails_leaves_nothing_behind()
    {
        using TempFolder folder = new();
        IReadOnlyList<int> clean = (await PairTests.Run(new TinyModel().Write(folder, "clean"), null, PairTests.Request(20))).Tokens;
        int poison = Unused(clean);
        // Both requests take the same blocks one after the other: the cache holds one sequence.
        using LanguageModel model = LanguageModel.Load(Poisoned(poison).Write(folder), PairTests.Options(null) with { MaxBatch = 1, KvMemory = KvMemory.FromBytes(2 * 4096) });
        for (int turn = 0; turn < 3; turn++)
        {
            await Assert.ThrowsAsync<SlipstreamException>(() => model.GenerateAsync(Prompt.Tokens([.. Enumerable.Repeat(poison, 50)]), PairTests.Request(10), Cancellation));
            Assert.Equal(clean, (await model.GenerateAsync(Prompt.Tokens([1, 2, 3]), PairTests.Request(20), Cancellation)).Tokens);
        }
    }

    [Fact]
    public async Task A_draft_that_leads_to_a_broken_row_and_is_rejected_changes_nothing()
    {
        using TempFolder folder = new();
        IReadOnlyList<int> clean = (await PairTests.Run(new TinyModel().Write(folder, "clean"), null, PairTests.Request(20))).Tokens;
        int poison = Unused(clean);
        GenerationResult result = await PairTests.Run(Poisoned(poison).Write(folder), new DrafterOptions.Custom(_ => new ScriptedDrafter(_ => [poison, 4, 5])), PairTests.Request(20));
        Assert.Equal(clean, result.Tokens);
        Assert.True(result.Speculation.Drafted > 20);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(1.0)]
    public async Task A_draft_that_leads_to_a_broken_row_and_stands_fails_where_plain_decoding_does(double temperature)
    {
        using TempFolder folder = new();
        GenerationOptions options = PairTests.Request(40) with { Seed = 3, Sampling = new() { Temperature = temperature } };
        int[] clean = [.. (await PairTests.Run(new TinyModel().Write(folder, "clean"), null, options)).Tokens];
        int at = Array.FindIndex(clean, token => token > 3);
        Assert.True(at >= 0, "Every token of the output is in the prompt.");
        string path = Poisoned(clean[at]).Write(folder);
        (List<int> plain, string failure) = await Stream(path, null, options);
        Assert.Equal(clean[..(at + 1)], plain);
        Assert.Contains($"holds NaN in row {clean[at]};", failure, StringComparison.Ordinal);
        ScriptedDrafter drafter = new(done => clean[Math.Min(done, clean.Length)..]);
        (List<int> drafted, string draftedFailure) = await Stream(path, new DrafterOptions.Custom(_ => drafter), options);
        Assert.Equal(plain, drafted);
        Assert.Equal(failure, draftedFailure);
    }

    private static async Task<(List<int> Tokens, string Failure)> Stream(string path, DrafterOptions? drafter, GenerationOptions options)
    {
        List<int> tokens = [];
        using LanguageModel model = LanguageModel.Load(path, PairTests.Options(drafter));
        SlipstreamException e = await Assert.ThrowsAsync<SlipstreamException>(async () =>
        {
            await foreach (GenerationUpdate update in model.StreamAsync(Prompt.Tokens([1, 2, 3]), options, Cancellation))
                if (update.Token is { } token) tokens.Add(token);
        });
        return (tokens, e.Message);
    }

    private static TinyModel Poisoned(int token) => new TinyModel().Poison("model.embed_tokens.weight", token * TinyModel.Hidden);

    private static int Unused(IReadOnlyList<int> tokens) => Enumerable.Range(4, 28).First(token => !tokens.Contains(token));

    /// <summary>Drafts what a script says for so many tokens generated.</summary>
    private sealed class ScriptedDrafter(Func<int, int[]> script) : IDrafter
    {
        public string Name => "scripted";

        public long Parameters => 0;

        public (long Weights, long Cache) MemoryBytes => default;

        public void Draft(ReadOnlySpan<DraftRequest> requests)
        {
            foreach (ref readonly DraftRequest request in requests)
            {
                int parent = -1;
                foreach (int token in script(request.Sequence.Tokens.Length - request.Sequence.PromptLength)) parent = request.Tree.Add(token, parent);
            }
        }

        public void Release(Scheduling.Sequence sequence) { }

        public void Dispose() { }
    }
}
