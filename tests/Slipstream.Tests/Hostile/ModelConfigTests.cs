using System.Text.Json.Nodes;
using Slipstream.Tests.Checkpoints;

namespace Slipstream.Tests.Hostile;

/// <summary>Configurations that are JSON and still no model. Every one fails before memory of the size they claim is taken.</summary>
public sealed class ModelConfigTests
{
    private const string Config = "'{config}': ", Tensors = "'{model}': the tensor ";

    public static TheoryData<string, string, string> Fields => new()
    {
        { "model_type", "\"bert\"", "'{model}': the model family 'bert' is not supported; supported are llama, mistral, qwen2, qwen3, gpt2." },
        { "model_type", "null", Config + "the field 'model_type' is missing; add it, or fetch the complete file of the model." },
        { "hidden_size", "2147483647", Config + "the field 'hidden_size' is 2147483647 where 1 to 1048576 was expected." },
        { "hidden_size", "0", Config + "the field 'hidden_size' is 0 where 1 to 1048576 was expected." },
        { "hidden_size", "18", Config + "the field 'hidden_size' is 18, which 4 attention heads cannot share evenly." },
        { "hidden_size", "24", Tensors + "'model.embed_tokens.weight' has the shape [32, 16], but the configuration asks for [32, 24]." },
        { "intermediate_size", "2147483647", Config + "the field 'intermediate_size' is 2147483647 where 1 to 1048576 was expected." },
        { "intermediate_size", "23", Tensors + "'model.layers.0.mlp.up_proj.weight' has the shape [24, 16], but the configuration asks for [23, 16]." },
        { "vocab_size", "2147483647", Tensors + "'model.embed_tokens.weight' has the shape [32, 16], but the configuration asks for [2147483647, 16]." },
        { "vocab_size", "31", Tensors + "'model.embed_tokens.weight' has the shape [32, 16], but the configuration asks for [31, 16]." },
        { "vocab_size", "null", Config + "the field 'vocab_size' is missing; add it, or fetch the complete file of the model." },
        { "vocab_size", "-5", Config + "the field 'vocab_size' is -5 where at least 1 was expected." },
        { "num_hidden_layers", "3", Tensors + "'model.layers.2.input_layernorm.weight' is missing; the file is incomplete or of another family." },
        { "num_hidden_layers", "1", Tensors + "'model.layers.1.input_layernorm.weight' is not part of the family 'llama' as the configuration describes it; the model would run wrongly without it." },
        { "num_hidden_layers", "2000000000", Config + "the field 'num_hidden_layers' is 2000000000 where 1 to 10000 was expected." },
        { "num_attention_heads", "3", Config + "the field 'hidden_size' is 16, which 3 attention heads cannot share evenly." },
        { "num_attention_heads", "2147483647", Config + "the field 'hidden_size' is 16, which 2147483647 attention heads cannot share evenly." },
        { "num_key_value_heads", "3", Config + "4 attention heads cannot share 3 key-value heads evenly; the configuration is damaged." },
        { "num_key_value_heads", "1", Tensors + "'model.layers.0.self_attn.k_proj.weight' has the shape [8, 16], but the configuration asks for [4, 16]." },
        { "head_dim", "2147483647", Config + "4 attention heads of 2147483647 are wider than the limit of 1048576; the configuration is damaged." },
        { "head_dim", "2048", Config + "a head of 2048 is over the limit of 1024; the configuration is damaged." },
        { "head_dim", "5", Config + "5 rotary dimensions do not fit heads of 5; the number must be even and not larger." },
        { "partial_rotary_factor", "0.1", Config + "0 rotary dimensions do not fit heads of 4; the number must be even and not larger." },
        { "partial_rotary_factor", "1.5", Config + "the field 'partial_rotary_factor' is 1.5; it must be over 0 and at most 1." },
        { "rms_norm_eps", "1e300", Config + "the epsilon of the norms is too large for a number of 32 bits; the configuration is damaged." },
        { "rms_norm_eps", "-1", Config + "the field 'rms_norm_eps' is -1 where at least 0 was expected." },
        { "hidden_act", "\"relu7\"", Config + "the field 'hidden_act' is 'relu7'; known are silu, gelu, gelu_new and gelu_pytorch_tanh." },
        { "rope_scaling", "{\"rope_type\": \"spiral\"}", Config + "the field 'rope_scaling.rope_type' is 'spiral', which is not supported yet; supported are default, linear and llama3." },
        { "rope_scaling", "{\"type\": \"linear\"}", Config + "the field 'rope_scaling.factor' is missing; add it, or fetch the complete file of the model." },
        { "rope_scaling", "7", Config + "the field 'rope_scaling' is a number where an object was expected." },
        { "rope_theta", "0", Config + "the field 'rope_theta' is 0 where at least 1 was expected." },
        { "eos_token_id", "32", Config + "the end token 32 is outside the vocabulary of 32." },
        { "eos_token_id", "[1, -1]", Config + "the end token -1 is outside the vocabulary of 32." },
        { "draft_vocabulary", "[3, 3]", Config + "'draft_vocabulary' has 3 after 3; it must list tokens of the vocabulary of 32 in ascending order, none twice." },
        { "draft_vocabulary", "[3, 32]", Config + "'draft_vocabulary' has 32 after 3; it must list tokens of the vocabulary of 32 in ascending order, none twice." },
        { "draft_vocabulary", "[-1, 3]", Config + "'draft_vocabulary' has -1 after -1; it must list tokens of the vocabulary of 32 in ascending order, none twice." },
        { "draft_vocabulary", "[1, 3]", Tensors + "'lm_head.weight' has the shape [32, 16], but the configuration asks for [2, 16]." },
        { "draft_vocabulary", "\"many\"", Config + "the field 'draft_vocabulary' is a text where a whole number was expected." },
        { "attention_bias", "true", Tensors + "'model.layers.0.self_attn.q_proj.bias' is missing; the file is incomplete or of another family." },
        { "tie_word_embeddings", "\"no\"", Config + "the field 'tie_word_embeddings' is a text where true or false was expected." },
    };

    [Theory]
    [MemberData(nameof(Fields), DisableDiscoveryEnumeration = true)]
    public void A_wrong_field_is_named(string field, string json, string message)
    {
        TinyModel tiny = new();
        tiny.Config[field] = JsonNode.Parse(json);
        Refused(tiny, message);
    }

    public static TheoryData<string, string> Generation => new()
    {
        { "[]", "'{generation}' holds a list where a JSON object was expected; check that it is the right file." },
        { """{"do_sample": true, "top_p": 1.5}""", "'{generation}': The option `top_p` is 1.5; it must be over 0 and at most 1." },
        { """{"repetition_penalty": 0}""", "'{generation}': The option `repetition_penalty` is 0; it must be a finite number over 0, where 1 is off." },
        { """{"suppress_tokens": [99]}""", "'{generation}': The option `suppress_tokens` names token 99; tokens of this model are 0 to 31." },
        { """{"eos_token_id": 40}""", "'{generation}': the end token 40 is outside the vocabulary of 32." },
        { """{"do_sample": "yes"}""", "'{generation}': the field 'do_sample' is a text where true or false was expected." },
    };

    [Theory]
    [MemberData(nameof(Generation), DisableDiscoveryEnumeration = true)]
    public void Wrong_defaults_name_their_file(string json, string message) => Refused(new TinyModel { Generation = json }, message);

    [Fact]
    public void A_wrong_width_of_gpt2_does_not_overflow()
    {
        TinyModel tiny = new();
        tiny.Config["model_type"] = "gpt2";
        tiny.Config["n_embd"] = int.MaxValue;
        tiny.Config["n_head"] = 1;
        Refused(tiny, Config + "the field 'n_embd' is 2147483647 where 1 to 1048576 was expected.");
    }

    [Fact]
    public void Rotary_divisors_of_zero_are_refused()
    {
        using TempFolder folder = new();
        const uint f32 = 0;
        string path = folder.Write("m.gguf", GgufBuilder.Llama().Add("llama.embedding_length", 32u).Add("llama.attention.head_count", 2u).Add("llama.feed_forward_length", 32u).Add("llama.block_count", 1u)
            .Tensor("token_embd.weight", f32, [32, 4], 512).Tensor("rope_freqs.weight", f32, [8], 32).Build());
        Assert.Equal($"'{path}': the rotary frequencies are not finite numbers; the rope settings of the configuration are damaged.",
            Assert.Throws<SlipstreamException>(() => LanguageModel.Load(path, new ModelOptions { Threads = 1 }).Dispose()).Message);
    }

    [Fact]
    public async Task An_endless_context_takes_no_endless_cache()
    {
        using TempFolder folder = new();
        using LanguageModel model = LanguageModel.Load(new TinyModel(context: int.MaxValue).Write(folder), new ModelOptions { Threads = 1 });
        GenerationResult result = await model.GenerateAsync(Prompt.Tokens([1]), new GenerationOptions { MaxNewTokens = 3 }, TestContext.Current.CancellationToken);
        Assert.Equal(3, result.Tokens.Count);
    }

    private static void Refused(TinyModel tiny, string message)
    {
        using TempFolder folder = new();
        string path = tiny.Write(folder);
        string failure = Assert.Throws<SlipstreamException>(() => LanguageModel.Load(path, new ModelOptions { Threads = 1 }).Dispose()).Message;
        Assert.Equal(message.Replace("{model}", path, StringComparison.Ordinal).Replace("{config}", Path.Combine(path, "config.json"), StringComparison.Ordinal)
            .Replace("{generation}", Path.Combine(path, "generation_config.json"), StringComparison.Ordinal), failure);
    }
}
