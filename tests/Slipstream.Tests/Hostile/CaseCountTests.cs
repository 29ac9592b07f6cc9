using System.Reflection;
using Slipstream.Tests.Checkpoints;
using Slipstream.Tests.Cli;

namespace Slipstream.Tests.Hostile;

/// <summary>Every kind of bad input has cases enough; each case asserts its exact sentence.</summary>
public sealed class CaseCountTests
{
    [Fact]
    public void Every_kind_has_eight_cases_and_all_have_eighty()
    {
        Dictionary<string, int> kinds = new()
        {
            ["safetensors"] = Inline<SafetensorsFileTests>(nameof(SafetensorsFileTests.WrongHeadersAreRefused), nameof(SafetensorsFileTests.WrongBeginningsAreRefused))
                + Inline<CheckpointFolderTests>(nameof(CheckpointFolderTests.AnIndexMayNotLeaveItsFolder), nameof(CheckpointFolderTests.AWrongIndexIsRefused)),
            ["gguf"] = Inline<GgufFileTests>(nameof(GgufFileTests.WrongBeginningsAreRefused)) + GgufFileTests.WrongNames.Count,
            ["configs"] = Inline<JsonConfigTests>(nameof(JsonConfigTests.WrongFieldsAreOneSentence), nameof(JsonConfigTests.WrongFilesAreOneSentence)) + ModelConfigTests.Fields.Count + ModelConfigTests.Generation.Count,
            ["tokens"] = Inline<TokenTests>(nameof(TokenTests.The_tool_names_a_wrong_token)) + TokenTests.Prompts.Count + TokenTests.Texts.Count,
            ["options"] = Inline<UsageTests>(nameof(UsageTests.A_wrong_command_line_gets_one_sentence_and_code_2)) + OptionTests.Requests.Count + OptionTests.Runs.Count,
            ["pairs"] = Inline<PairTests>(nameof(PairTests.The_tool_names_drafters_that_exclude_each_other)) + PairTests.WrongNames.Count,
            ["weights"] = WeightTests.Places.Count,
        };
        foreach ((string kind, int count) in kinds) Assert.True(count >= 8, $"There are {count} cases of {kind}.");
        Assert.True(kinds.Values.Sum() >= 80, $"There are {kinds.Values.Sum()} cases.");
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(", ", kinds.Select(kind => $"{kind.Key} {kind.Value}")));
    }

    private static int Inline<T>(params string[] methods)
        => methods.Sum(method => typeof(T).GetMethod(method)!.GetCustomAttributes<InlineDataAttribute>().Count());
}
