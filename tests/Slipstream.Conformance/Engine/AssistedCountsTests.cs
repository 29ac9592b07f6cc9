using System.Text.Json;
using Slipstream.Conformance.Families;
using Slipstream.TestSupport;
using Slipstream.Tracing;

namespace Slipstream.Conformance.Engine;

/// <summary>Draft and verify, step by step, as the reference's assisted generation.</summary>
public sealed class AssistedCountsTests
{
    [Theory]
    [InlineData(1), InlineData(2), InlineData(3), InlineData(4), InlineData(5), InlineData(6), InlineData(7), InlineData(8)]
    public void Steps_equal_the_reference(int k)
    {
        string target = Assets.Path("goldens", "models", "qwen3"), draft = Assets.Path("goldens", "decoding", "draft-of-qwen3");
        JsonElement golden = JsonDocument.Parse(File.ReadAllText(Assets.Path("goldens", "decoding", "assisted.json"))).RootElement;
        foreach (JsonElement item in golden.GetProperty("cases").EnumerateArray())
        {
            Steps steps = new();
            using ModelRun run = new(target, new RunSettings { Draft = draft, AssistantTokens = k }, steps);
            RunSink sink = run.Add(FamilyGoldenTests.Ints(item.GetProperty("ids")), item.GetProperty("greedy").GetArrayLength());
            run.Finish();
            JsonElement expected = item.GetProperty("constant_schedule").GetProperty(k.ToString(System.Globalization.CultureInfo.InvariantCulture));
            Assert.Equal(FamilyGoldenTests.Ints(item.GetProperty("greedy")), sink.Tokens);
            Assert.Equal(expected.GetProperty("steps").EnumerateArray().Select(s => (s[0].GetInt32(), s[1].GetInt32())), steps.All);
            Assert.Equal(expected.GetProperty("drafted").GetInt64(), sink.Sequence.Counts.Drafted);
            Assert.Equal(expected.GetProperty("accepted").GetInt64(), sink.Sequence.Counts.Accepted);
            Assert.Equal(expected.GetProperty("verifications").GetInt64(), sink.Sequence.Counts.Verifications);
            Assert.Equal(sink.Sequence.Counts.Drafted, sink.Sequence.Counts.PerPosition.Sum(p => p.Drafted));
            Assert.Equal(sink.Sequence.Counts.Accepted, sink.Sequence.Counts.PerPosition.Sum(p => p.Accepted));
        }
    }

    private sealed class Steps : IStepObserver
    {
        public List<(int Drafted, int Accepted)> All { get; } = [];

        public void OnStep(in StepTrace trace) => All.Add((trace.Drafted, trace.Accepted));
    }
}
