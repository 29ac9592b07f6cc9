using System.CommandLine;
using System.Reflection;
using System.Text.Json;
using Slipstream.Cli.Options;
using Slipstream.Cli.Output;
using Slipstream.Sampling;

namespace Slipstream.Tests.Cli;

public sealed class RequestFieldsTests
{
    /// <summary>For every field: its flag's arguments and the same value in JSON.</summary>
    public static TheoryData<string, string[], string> Values => new()
    {
        { "max-tokens", ["7"], "7" },
        { "stop", ["a", "-b"], "[\"a\", \"-b\"]" },
        { "stop", ["a"], "\"a\"" },
        { "stop-token", ["1,2", "3"], "[1, 2, 3]" },
        { "stop-token", ["5"], "5" },
        { "ignore-eos", [], "true" },
        { "logprobs", ["3"], "3" },
        { "seed", ["18446744073709551615"], "18446744073709551615" },
        { "temperature", ["0.7"], "0.7" },
        { "top-k", ["40"], "40" },
        { "top-p", ["0.9"], "0.9" },
        { "min-p", ["0.05"], "0.05" },
        { "typical-p", ["0.95"], "0.95" },
        { "epsilon-cutoff", ["3e-4"], "3e-4" },
        { "eta-cutoff", ["0.002"], "0.002" },
        { "repetition-penalty", ["1.1"], "1.1" },
        { "presence-penalty", ["-0.5"], "-0.5" },
        { "frequency-penalty", ["0.25"], "0.25" },
        { "no-repeat-ngram-size", ["3"], "3" },
        { "logit-bias", ["5=-1.5", "7=2"], "{\"5\": -1.5, \"7\": 2}" },
        { "sequence-bias", ["1,2=-3", "4=0.5"], "[[[1, 2], -3], [[4], 0.5]]" },
        { "bad-words", ["1,2", "3"], "[[1, 2], [3]]" },
        { "suppress-tokens", ["1,2"], "[1, 2]" },
        { "begin-suppress-tokens", ["3"], "[3]" },
        { "forced-first-token", ["9"], "9" },
        { "forced-last-token", ["8"], "8" },
        { "min-length", ["4"], "4" },
        { "min-tokens", ["6"], "6" },
        { "exponential-decay-length-penalty", ["10,1.05"], "[10, 1.05]" },
        { "draft-length", ["9"], "9" },
        { "draft-schedule", ["constant"], "\"constant\"" },
        { "verifier", ["coupled"], "\"coupled\"" },
    };

    [Theory]
    [MemberData(nameof(Values))]
    public void A_flag_and_its_JSON_field_are_the_same(string name, string[] arguments, string json)
    {
        RequestSettings flag = FromFlags(arguments.Length == 0 ? ["--" + name] : [.. arguments.SelectMany(argument => (string[])["--" + name, argument])]);
        RequestSettings field = FromJson(name.Replace('-', '_'), json);
        string expected = Write(field);
        Assert.Equal(expected, Write(flag));
        Assert.Equal(Describe(field), Describe(flag));
        Assert.NotEqual(Describe(new RequestSettings()), Describe(field));
        // What is written reads back.
        using JsonDocument written = JsonDocument.Parse(expected);
        JsonProperty property = Assert.Single(written.RootElement.EnumerateObject());
        Assert.Equal(expected, Write(FromJson(property.Name, property.Value.GetRawText())));
    }

    [Fact]
    public void Every_field_is_tested_above() => Assert.Equal(RequestFields.All.Select(field => field.Flag).Order(), Values.Select(row => "--" + row.Data.Item1).Distinct().Order());

    [Fact]
    public void Every_sampling_option_has_a_field()
        => Assert.Equal(typeof(SamplingOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance).Length, RequestFields.Sampling.Count);

    [Theory]
    [InlineData("max_tokens", "\"7\"", "max_tokens is \"7\"; it must be a whole number of at least 1.")]
    [InlineData("max_tokens", "7.5", "max_tokens is 7.5; it must be a whole number of at least 1.")]
    [InlineData("max_tokens", "null", "max_tokens is null; it must be a whole number of at least 1.")]
    [InlineData("temperature", "\"NaN\"", "temperature is \"NaN\"; it must be a finite number of at least 0.")]
    [InlineData("temperature", "1e999", "temperature is 1e999; it must be a finite number of at least 0.")]
    [InlineData("top_p", "0", "top_p is 0; it must be over 0 and at most 1.")]
    [InlineData("ignore_eos", "1", "ignore_eos is 1; it must be true or false.")]
    [InlineData("seed", "-1", "seed is -1; it must be a whole number from 0 to 18446744073709551615.")]
    [InlineData("stop", "[\"\"]", "stop is [\"\"]; it must be a text that is not empty, or a list of them.")]
    [InlineData("stop", "3", "stop is 3; it must be a text that is not empty, or a list of them.")]
    [InlineData("logit_bias", "[1]", "logit_bias is [1]; it must be an object of token ids and biases, such as {\"42\": -1.5}.")]
    [InlineData("logit_bias", "{\"x\": 1}", "logit_bias is {\"x\": 1}; it must be an object of token ids and biases, such as {\"42\": -1.5}.")]
    [InlineData("bad_words", "[1]", "bad_words is [1]; it must be a list of lists of token ids.")]
    [InlineData("suppress_tokens", "[-1]", "suppress_tokens is [-1]; it must be a list of token ids from 0 on.")]
    [InlineData("draft_schedule", "\"never\"", "draft_schedule is \"never\"; it must be constant, heuristic or measured.")]
    public void A_wrong_type_is_told(string name, string json, string sentence)
        => Assert.Equal(sentence, Assert.Throws<Slipstream.Cli.UsageException>(() => FromJson(name, json)).Message);

    [Fact]
    public void A_draft_length_alone_is_constant()
    {
        SamplingOptions defaults = new();
        Assert.Equal(AssistantTokensSchedule.Heuristic, new RequestSettings().Over(defaults).AssistantTokensSchedule);
        Assert.Equal(AssistantTokensSchedule.Constant, FromFlags("--draft-length", "3").Over(defaults).AssistantTokensSchedule);
        Assert.Equal(AssistantTokensSchedule.Measured, FromFlags("--draft-schedule", "measured").Over(defaults).AssistantTokensSchedule);
        Assert.Equal(AssistantTokensSchedule.Heuristic, FromFlags("--draft-schedule", "heuristic", "--draft-length", "3").Over(defaults).AssistantTokensSchedule);
    }

    [Fact]
    public void A_line_stands_over_the_command_line_and_that_over_the_model()
    {
        RequestSettings merged = FromFlags("--top-k", "5", "--temperature", "0.5").With(FromJson("top_k", "9"));
        SamplingOptions sampling = merged.Over(new SamplingOptions { MinP = 0.1, Temperature = 1 }).Sampling!;
        Assert.Equal((9, 0.5, 0.1), (sampling.TopK, sampling.Temperature, sampling.MinP));
    }

    private static RequestSettings FromFlags(params string[] arguments)
    {
        Command command = new("test");
        RequestOptionGroup group = new(command);
        ParseResult result = command.Parse(Slipstream.Cli.ArgumentRewriter.Rewrite(command, arguments));
        Assert.Empty(result.Errors);
        return group.Read(result);
    }

    private static RequestSettings FromJson(string name, string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        RequestSettings settings = new();
        settings.Add(RequestFields.Find(name)!.Read(document.RootElement));
        return settings;
    }

    private static string Write(RequestSettings settings)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream)) settings.Write(writer);
        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }

    /// <summary>All options that a request runs with, as text.</summary>
    private static string Describe(RequestSettings settings)
    {
        GenerationOptions options = settings.Over(new SamplingOptions());
        string sampling = Json.Object(writer =>
        {
            foreach (RequestField field in RequestFields.Sampling) field.WriteSampling(writer, options.Sampling!);
        });
        return $"{options.MaxNewTokens} {string.Join('|', options.StopStrings)} {string.Join('|', options.StopTokens)} {options.IgnoreEndTokens} {options.TopLogprobs} {options.Seed} {options.AssistantTokens} {options.AssistantTokensSchedule} {options.Verifier} {sampling}";
    }
}
