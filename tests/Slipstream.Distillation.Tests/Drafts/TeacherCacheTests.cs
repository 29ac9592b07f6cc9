using Slipstream.Analysis;
using Slipstream.Distillation.Drafts;
using Slipstream.Models;

namespace Slipstream.Distillation.Tests.Drafts;

public sealed class TeacherCacheTests : IDisposable
{
    private const int Length = 16, Best = 8;
    private static readonly long[] Offsets = [0, 16, 48, 70];
    private readonly ToyTarget _target = new();
    private readonly int[] _tokens = ToyTarget.Tokens(100);

    [Theory]
    [InlineData(1.0, Best)]
    [InlineData(0.7, Best)]
    [InlineData(1.0, ToyTarget.Vocabulary)]
    public void It_holds_what_the_target_says_in_each_window(double temperature, int best)
    {
        using ModelEvaluator evaluator = Load();
        TeacherCacheKey key = Key(temperature, best);
        using TeacherCache cache = new TeacherCacheBuilder(evaluator, key, _tokens, Offsets).Build(_target.Folder);
        Assert.Equal(key.FileBytes, new FileInfo(Path.Combine(_target.Folder, key.FileName)).Length);
        long[] tokens = new long[Length * best];
        float[] logs = new float[Length * best], rest = new float[Length];
        int[] expected = new int[best];
        float[] expectedLogs = new float[best];
        foreach (long offset in Offsets)
        {
            cache.Read(offset, tokens, logs, rest);
            // The window alone is the context: nothing before it.
            evaluator.Logits(_tokens.AsSpan((int)offset, Length), (row, logits) =>
            {
                double left = TeacherRow.Reference(logits, temperature, expected, expectedLogs);
                double sum = rest[row];
                for (int i = 0; i < best; i++)
                {
                    Assert.Equal(expected[i], tokens[row * best + i]);
                    Assert.Equal(Math.Exp(expectedLogs[i]), Math.Exp(logs[row * best + i]), 2e-3);
                    sum += Math.Exp(logs[row * best + i]);
                }
                Assert.Equal(left, rest[row], 2e-3);
                Assert.Equal(1, sum, 1e-5);
            });
        }
        Assert.Contains("no window that begins at token 17", Assert.Throws<SlipstreamException>(() => cache.Read(17, tokens, logs, rest)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_that_was_cut_off_goes_on_and_gives_the_same_file()
    {
        using ModelEvaluator evaluator = Load();
        TeacherCacheKey key = Key();
        string whole = Directory.CreateDirectory(Path.Combine(_target.Folder, "whole")).FullName, cut = Path.Combine(_target.Folder, "cut");
        new TeacherCacheBuilder(evaluator, key, _tokens, Offsets).Build(whole).Dispose();
        using CancellationTokenSource source = new();
        Assert.Throws<OperationCanceledException>(() => new TeacherCacheBuilder(evaluator, key, _tokens, Offsets).Build(cut, new Stop(2, source), source.Token));
        string partial = Path.Combine(cut, key.FileName + ".partial");
        Assert.False(File.Exists(Path.Combine(cut, key.FileName)));
        // A half window, as a kill leaves it.
        using (FileStream stream = new(partial, FileMode.Append)) stream.Write(new byte[key.WindowBytes / 2]);
        List<int> done = [];
        new TeacherCacheBuilder(evaluator, key, _tokens, Offsets).Build(cut, new Note(done)).Dispose();
        Assert.Equal([3, 4], done);
        Assert.Equal(File.ReadAllBytes(Path.Combine(whole, key.FileName)), File.ReadAllBytes(Path.Combine(cut, key.FileName)));
        Assert.False(File.Exists(partial));
    }

    [Fact]
    public void What_is_damaged_or_of_something_else_is_refused_by_name()
    {
        using ModelEvaluator evaluator = Load();
        TeacherCacheKey key = Key();
        new TeacherCacheBuilder(evaluator, key, _tokens, Offsets).Build(_target.Folder).Dispose();
        string path = Path.Combine(_target.Folder, key.FileName);
        byte[] content = File.ReadAllBytes(path);
        Assert.Contains("another target", Refused(key with { Target = new string('0', 32) }), StringComparison.Ordinal);
        Assert.Contains("another text", Refused(key with { Tokens = new string('0', 32) }), StringComparison.Ordinal);
        Assert.Contains("another tokenizer", Refused(key with { Tokenizer = "x" }), StringComparison.Ordinal);
        Assert.Contains("another top-k (8, not 9)", Refused(key with { Best = 9 }), StringComparison.Ordinal);
        Assert.Contains("another window length", Refused(key with { Length = 32 }), StringComparison.Ordinal);
        Assert.Contains("another temperature (1, not 0.5)", Refused(key with { Temperature = 0.5 }), StringComparison.Ordinal);
        content[^20] ^= 1;
        File.WriteAllBytes(path, content);
        using (TeacherCache cache = TeacherCache.Open(path, key, Offsets))
        {
            cache.Read(0, new long[Length * Best], new float[Length * Best], new float[Length]);
            Assert.Contains("damaged in window 3", Assert.Throws<SlipstreamException>(() => cache.Read(70, new long[Length * Best], new float[Length * Best], new float[Length])).Message, StringComparison.Ordinal);
        }
        File.WriteAllBytes(path, content[..^5]);
        Assert.Contains("expected", Refused(key), StringComparison.Ordinal);
        content[14] ^= 1;
        File.WriteAllBytes(path, content);
        Assert.Contains("damaged", Refused(key), StringComparison.Ordinal);
        File.WriteAllText(path, "text");
        Assert.Contains("no teacher cache", Refused(key), StringComparison.Ordinal);

        string Refused(TeacherCacheKey other) => Assert.Throws<SlipstreamException>(() => TeacherCache.Open(path, other, Offsets).Dispose()).Message;
    }

    public void Dispose() => _target.Dispose();

    private ModelEvaluator Load() => ModelEvaluator.Load(_target.Path, new ModelOptions { Threads = 2 });

    private TeacherCacheKey Key(double temperature = 1, int best = Best)
    {
        using Checkpoint checkpoint = Checkpoint.Open(_target.Path);
        return TeacherCacheKey.Create(TeacherCacheKey.FingerprintOf(checkpoint, "auto"), "none", _tokens, Offsets, Length, best, ToyTarget.Vocabulary, temperature);
    }

    private sealed class Stop(int after, CancellationTokenSource source) : IProgress<TeacherProgress>
    {
        public void Report(TeacherProgress value)
        {
            if (value.Done == after) source.Cancel();
        }
    }

    private sealed class Note(List<int> done) : IProgress<TeacherProgress>
    {
        public void Report(TeacherProgress value) => done.Add(value.Done);
    }
}
