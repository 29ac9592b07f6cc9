using Slipstream.Models;

namespace Slipstream.Tests.Checkpoints;

public sealed class GgufMetadataTests
{
    private static GgufBuilder Everything() => new GgufBuilder()
        .Add("u8", (byte)200).Add("i8", (sbyte)-5).Add("u16", (ushort)60000).Add("i16", (short)-300).Add("u32", 4000000000u).Add("i32", -70000)
        .Add("u64", ulong.MaxValue).Add("i64", 1234L).Add("f32", 0.5f).Add("f64", 1e-300).Add("nan", float.NaN).Add("yes", true).Add("no", false)
        .AddRaw("maybe", w => { w.Write(7u); w.Write((byte)2); })
        .Add("text", "hällo").AddRaw("latin1", w => { w.Write(8u); w.Write(1ul); w.Write((byte)0xE9); })
        .Add("texts", new[] { "a", "", "ç" }).AddRaw("broken", w => { w.Write(9u); w.Write(8u); w.Write(1ul); w.Write(1ul); w.Write((byte)0xE9); })
        .Add("floats", new[] { 1f, 2f }).Add("doubles", new[] { 0.25 }).Add("bytes", new byte[] { 1, 255 }).Add("shorts", new short[] { -1 }).Add("longs", new[] { 1L << 40 })
        .Add("bools", new[] { true }).Add("none", Array.Empty<bool>()).Add("nested", new[] { new[] { 1, 2 }, [3] })
        .Add("llama.block_count", 7u).Add("llama.rope.freq_base", 10000f);

    [Fact]
    public void EveryTypeIsRead()
    {
        using TempFolder folder = new();
        using GgufFile file = new(folder.Write("m.gguf", Everything().Build()));
        GgufMetadata m = file.Metadata;
        Assert.Equal([200, -5, 60000, -300, -70000, 1234], ((string[])["u8", "i8", "u16", "i16", "i32", "i64"]).Select(key => m.Int32(key, min: int.MinValue)));
        Assert.Equal(4e9, m.Double("u32"));
        Assert.Equal(0.5, m.Double("f32"));
        Assert.Equal(1e-300, m.Double("f64"));
        Assert.True(m.Flag("yes"));
        Assert.False(m.Flag("no"));
        Assert.Equal("hällo", m.Text("text"));
        Assert.Equal(["a", "", "ç"], m.Texts("texts"));
        Assert.True(m.TryGetFloats("floats", out float[]? floats));
        Assert.Equal([1, 2], floats);
        Assert.True(m.TryGetFloats("doubles", out floats));
        Assert.Equal([0.25f], floats);
        Assert.True(m.TryGetInts("bytes", out int[]? ints));
        Assert.Equal([1, 255], ints);
        Assert.Equal([-1], m.Int32s("shorts"));
        Assert.Equal([200], m.Int32s("u8"));
        Assert.Empty(m.Int32s("absent"));
        Assert.Empty(m.Int32s("none"));
        Assert.Equal("a list of lists with 2 entries", m.Describe("nested"));
        Assert.Equal("18446744073709551615", m.Describe("u64"));
        Assert.Equal("0.5", m.Describe("f32"));
        Assert.Equal("1E-300", m.Describe("f64"));
        Assert.Equal("hällo", m.Describe("text"));
        Assert.Equal("true", m.Describe("yes"));
        Assert.Equal(5, m.Int32("absent", fallback: 5));
        Assert.Equal(5.5, m.Double("absent", fallback: 5.5));
        Assert.True(m.Flag("absent", fallback: true));
        Assert.Null(m.Text("absent"));
        Assert.Null(m.Texts("absent"));
        Assert.False(m.TryGetStrings("absent", out _));
        Assert.True(m.Has("u8"));
        Assert.False(m.Has("absent"));
        Assert.Equal("u8", m.Keys.First());
        Assert.True(m.TryGetStrings("broken", out GgufStringArray? broken));
        Assert.Equal([0xE9], broken.Utf8(0).ToArray());
    }

    [Fact]
    public void ASectionIsAPrefix()
    {
        using TempFolder folder = new();
        string path = folder.Write("m.gguf", Everything().Build());
        using GgufFile file = new(path);
        ConfigReader llama = file.Metadata.Section("llama")!;
        Assert.Equal(7, llama.Int32("block_count"));
        Assert.Equal(10000, llama.Section("rope")!.Double("freq_base"));
        Assert.Equal(["block_count", "rope.freq_base"], ((GgufMetadata)llama).Keys);
        Assert.Null(file.Metadata.Section("qwen2"));
        Assert.Equal($"'{path}': the field 'llama.absent' is missing; add it, or fetch the complete file of the model.", Assert.Throws<SlipstreamException>(() => llama.Int32("absent")).Message);
    }

    [Theory]
    [InlineData("Int32", "absent", "is missing; add it, or fetch the complete file of the model.")]
    [InlineData("Int32", "u32", "is 4000000000, which does not fit 32 bits.")]
    [InlineData("Int32", "u64", "is 18446744073709551615, which does not fit 32 bits.")]
    [InlineData("Int32", "i8", "is -5 where at least 1 was expected.")]
    [InlineData("Int32", "f32", "is a float where a whole number was expected.")]
    [InlineData("Int32", "floats", "is a list of floats where a whole number was expected.")]
    [InlineData("Double", "text", "is a text where a number was expected.")]
    [InlineData("Double", "nan", "is not a finite number; convert the model again.")]
    [InlineData("Double", "yes", "is a boolean where a number was expected.")]
    [InlineData("Flag", "u8", "is a whole number where true or false was expected.")]
    [InlineData("Flag", "maybe", "is 2 where 0 or 1 was expected.")]
    [InlineData("Text", "u8", "is a whole number where a text was expected.")]
    [InlineData("Text", "latin1", "is not valid UTF-8; convert the model again.")]
    [InlineData("Texts", "text", "is a text where a list of texts was expected.")]
    [InlineData("Texts", "bytes", "is a list of whole numbers where a list of texts was expected.")]
    [InlineData("Int32s", "longs", "is 1099511627776, which does not fit 32 bits.")]
    [InlineData("Int32s", "bools", "is a list of booleans where a list of whole numbers was expected.")]
    [InlineData("Floats", "nested", "is a list of lists where a list of floats was expected.")]
    public void WrongFieldsAreOneSentence(string method, string field, string problem)
    {
        using TempFolder folder = new();
        string path = folder.Write("m.gguf", Everything().Build());
        using GgufFile file = new(path);
        GgufMetadata m = file.Metadata;
        Func<object?> call = method switch
        {
            "Int32" => () => m.Int32(field),
            "Double" => () => m.Double(field),
            "Flag" => () => m.Flag(field),
            "Text" => () => m.Text(field),
            "Texts" => () => m.Texts(field),
            "Int32s" => () => m.Int32s(field),
            _ => () => m.TryGetFloats(field, out _),
        };
        Assert.Equal($"'{path}': the field '{field}' {problem}", Assert.Throws<SlipstreamException>(call).Message);
    }

    [Fact]
    public void ATextThatIsNotUtf8IsRefusedByPlace()
    {
        using TempFolder folder = new();
        string path = folder.Write("m.gguf", Everything().Build());
        using GgufFile file = new(path);
        IReadOnlyList<string> texts = file.Metadata.Texts("broken")!;
        Assert.Equal($"'{path}': entry 0 of the field 'broken' is not valid UTF-8; convert the model again.", Assert.Throws<SlipstreamException>(() => texts[0]).Message);
    }

    [Fact]
    public void ALargeVocabularyCostsNothingUntilAskedFor()
    {
        using TempFolder folder = new();
        string[] tokens = [.. Enumerable.Range(0, 256_000).Select(i => $"token{i}")];
        string path = folder.Write("m.gguf", GgufBuilder.Llama().Add("tokenizer.ggml.tokens", tokens).Build());
        using (GgufFile warm = new(path)) Assert.Equal("token7", warm.Metadata.Texts("tokenizer.ggml.tokens")![7]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        using GgufFile file = new(path);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 << 10);
        Assert.True(file.Metadata.TryGetStrings("tokenizer.ggml.tokens", out GgufStringArray? lazily));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 3 << 20);
        Assert.Equal(256_000, lazily.Count);
        Assert.Equal("token255999", lazily[255_999]);
        Assert.Equal("token3"u8, lazily.Utf8(3));
        Assert.Equal(tokens, lazily);
    }
}
