using Slipstream.Models;
using Slipstream.Numerics;

namespace Slipstream.Tests.Checkpoints;

public sealed class GgufWriterTests
{
    [Fact]
    public void What_is_written_is_read_back()
    {
        using TempFolder folder = new();
        string path = folder.File("all.gguf");
        byte[] blocks = [.. Enumerable.Range(0, 3 * 2 * 34).Select(i => (byte)i)];
        float[] norm = [1, -2, 0.5f, 4, 5];
        GgufWriter writer = Everything(new GgufWriter(), blocks, norm);
        writer.Write(path);
        Assert.Equal(writer.Length, new FileInfo(path).Length);

        using GgufFile file = new(path);
        Assert.Equal((3, 32), (file.Version, file.Alignment));
        GgufMetadata m = file.Metadata;
        Assert.Equal("llama", m.Text("general.architecture"));
        Assert.Equal([-8, 8, -16, 16, -32, 32, -64, 64], new[] { "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64" }.Select(k => m.Int32(k, min: int.MinValue)));
        Assert.Equal([1.5, 2.25], new[] { "f32", "f64" }.Select(k => m.Double(k)));
        Assert.True(m.Flag("flag"));
        Assert.False(m.Flag("no"));
        Assert.Equal("Grüße, 世界\n", m.Text("text"));
        Assert.True(m.TryGetStrings("texts", out GgufStringArray? texts));
        Assert.Equal(["a", "", "é"], texts);
        Assert.True(m.TryGetFloats("floats", out float[]? floats));
        Assert.Equal([0.5f, -1], floats);
        Assert.True(m.TryGetInts("ints", out int[]? ints));
        Assert.Equal([7, -7], ints);

        TensorInfo matrix = file.Tensors["blk.0.ffn_down.weight"];
        Assert.Equal(("Q8_0", 2 * 3 * 34), (matrix.Format, (int)matrix.Bytes));
        Assert.Equal([3, 64], matrix.Shape);
        Assert.Equal(blocks, file.Data(matrix.Name).Span(0, blocks.Length).ToArray());
        float[] values = new float[norm.Length];
        using Linear row = Linear.Create("F32", file.Data("output_norm.weight"), 1, norm.Length);
        row.ReadRow(0, values);
        Assert.Equal(norm, values);
    }

    [Fact]
    public void The_same_calls_give_the_same_bytes()
    {
        using TempFolder folder = new();
        byte[] blocks = new byte[3 * 2 * 34];
        Random.Shared.NextBytes(blocks);
        Everything(new GgufWriter(), blocks, [1, 2, 3]).Write(folder.File("a"));
        Everything(new GgufWriter(), blocks, [1, 2, 3]).Write(folder.File("b"));
        Assert.Equal(File.ReadAllBytes(folder.File("a")), File.ReadAllBytes(folder.File("b")));
    }

    [Theory]
    [InlineData(8)]
    [InlineData(64)]
    [InlineData(4096)]
    public void Tensors_begin_on_the_alignment(int alignment)
    {
        using TempFolder folder = new();
        string path = folder.File("aligned.gguf");
        GgufWriter writer = new GgufWriter(alignment).Add("general.architecture", "llama");
        for (int i = 1; i <= 5; i++)
        {
            byte[] data = [.. Enumerable.Repeat((byte)i, i * 4)];
            writer.AddTensor($"t{i}", "F32", [i], (_, _, destination) => data.CopyTo(destination));
        }
        writer.Write(path);
        byte[] bytes = File.ReadAllBytes(path);
        using GgufFile file = new(path);
        Assert.Equal(alignment, file.Alignment);
        for (int i = 1; i <= 5; i++)
        {
            Assert.Equal(Enumerable.Repeat((byte)i, i * 4), file.Data($"t{i}").Span(0, i * 4).ToArray());
            Assert.Equal(0, bytes.AsSpan().IndexOf([.. Enumerable.Repeat((byte)i, i * 4)]) % alignment);
        }
    }

    [Fact]
    public void A_large_tensor_is_asked_for_a_few_rows_at_a_time()
    {
        using TempFolder folder = new();
        string path = folder.File("large.gguf");
        List<(long First, int Rows)> calls = [];
        new GgufWriter().Add("general.architecture", "llama").AddTensor("t", "F32", [3, 1000, 1024], (first, rows, destination) =>
        {
            calls.Add((first, rows));
            for (int i = 0; i < rows; i++) BitConverter.TryWriteBytes(destination[(i * 4096)..], (int)(first + i));
        }).Write(path);
        Assert.True(calls.Count > 2);
        Assert.Equal(3000, calls.Sum(c => c.Rows));
        Assert.Equal(calls.Select(c => c.First), calls.Select((_, i) => (long)calls.Take(i).Sum(c => c.Rows)));
        using GgufFile file = new(path);
        Assert.Equal(2999, BitConverter.ToInt32(file.Data("t").Span(2999L * 4096, 4)));
    }

    [Fact]
    public void A_full_disk_is_one_sentence_and_leaves_nothing()
    {
        using TempFolder folder = new();
        string path = folder.File("full.gguf");
        GgufWriter writer = Everything(new GgufWriter(), new byte[204], [1]);
        SlipstreamException e = Assert.Throws<SlipstreamException>(() => writer.Write(path, (file, _) =>
        {
            File.WriteAllText(file, "half");
            throw new IOException($"No space left on device : '{file}'.");
        }));
        Assert.Equal($"'{path}' cannot be written: No space left on device : '{path}'; free space, or choose another folder.", e.Message);
        Assert.Empty(Directory.GetFiles(folder.Path));
        Assert.Throws<SlipstreamException>(() => writer.Write(Path.Combine(folder.Path, "absent", "m.gguf")));
    }

    [Fact]
    public void A_failing_reader_leaves_the_old_file()
    {
        using TempFolder folder = new();
        string path = folder.Write("old.gguf", "old");
        GgufWriter writer = new GgufWriter().AddTensor("t", "F32", [4], (_, _, _) => throw new InvalidOperationException("no rows"));
        Assert.Throws<InvalidOperationException>(() => writer.Write(path));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Single(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void What_GGUF_does_not_hold_is_refused()
    {
        GgufWriter writer = new GgufWriter().Add("a", 1u).AddTensor("t", "F32", [1], Nothing);
        Assert.Contains("given twice", Assert.Throws<ArgumentException>(() => writer.Add("a", 2u)).Message, StringComparison.Ordinal);
        Assert.Contains("no metadata of the type Decimal", Assert.Throws<ArgumentException>(() => writer.Add("d", 2m)).Message, StringComparison.Ordinal);
        Assert.Contains("no metadata of the type DayOfWeek", Assert.Throws<ArgumentException>(() => writer.Add("d", DayOfWeek.Friday)).Message, StringComparison.Ordinal);
        Assert.Contains("given twice", Assert.Throws<ArgumentException>(() => writer.AddTensor("t", "F32", [1], Nothing)).Message, StringComparison.Ordinal);
        Assert.Contains("unknown", Assert.Throws<ArgumentException>(() => writer.AddTensor("u", "Q4_9", [1], Nothing)).Message, StringComparison.Ordinal);
        Assert.Contains("a multiple of 32", Assert.Throws<ArgumentException>(() => writer.AddTensor("u", "Q8_0", [4, 33], Nothing)).Message, StringComparison.Ordinal);
        Assert.Contains("one to four dimensions", Assert.Throws<ArgumentException>(() => writer.AddTensor("u", "F32", [1, 1, 1, 1, 1], Nothing)).Message, StringComparison.Ordinal);
        Assert.Contains("63 bytes", Assert.Throws<ArgumentException>(() => writer.AddTensor(new string('é', 32), "F32", [1], Nothing)).Message, StringComparison.Ordinal);
        Assert.Contains("power of two", Assert.Throws<ArgumentException>(() => new GgufWriter(48)).Message, StringComparison.Ordinal);

        static void Nothing(long firstRow, int rows, Span<byte> destination) => destination.Clear();
    }

    private static GgufWriter Everything(GgufWriter writer, byte[] blocks, float[] norm) => writer
        .Add("general.architecture", "llama")
        .Add("i8", (sbyte)-8).Add("u8", (byte)8).Add("i16", (short)-16).Add("u16", (ushort)16).Add("i32", -32).Add("u32", 32u).Add("i64", -64L).Add("u64", 64ul)
        .Add("f32", 1.5f).Add("f64", 2.25).Add("flag", true).Add("no", false).Add("text", "Grüße, 世界\n")
        .AddList("texts", ["a", "", "é"]).AddList("floats", [0.5f, -1f]).AddList("ints", [7, -7])
        .AddTensor("output_norm.weight", "F32", [norm.Length], (_, _, destination) => System.Runtime.InteropServices.MemoryMarshal.AsBytes(norm.AsSpan()).CopyTo(destination))
        .AddTensor("blk.0.ffn_down.weight", "Q8_0", [3, 64], (first, rows, destination) => blocks.AsSpan((int)first * 68, rows * 68).CopyTo(destination));
}
