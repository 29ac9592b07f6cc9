using Slipstream.Models;
using Slipstream.TestSupport;

namespace Slipstream.Tests.Checkpoints;

public sealed class GgufFileTests
{
    private const uint F32 = 0, Q4_0 = 2, Q4_3 = 5, Iq4Nl = 20;

    /// <summary>Each wrong file and the problem that is named.</summary>
    private static readonly Dictionary<string, (Func<byte[]> File, string Problem)> Wrong = new()
    {
        ["lying tensor count"] = (() => new GgufBuilder { ClaimedTensors = 1ul << 60 }.Build(), "it claims 1152921504606846976 tensors, more than its 24 bytes can hold"),
        ["lying key count"] = (() => new GgufBuilder { ClaimedKeys = ulong.MaxValue }.Build(), "it claims 18446744073709551615 metadata entries, more than its 24 bytes can hold"),
        ["one key too many"] = (() => new GgufBuilder { ClaimedKeys = 2 }.Add("k", "a long enough value of the key").Build(), "it is cut short in 'a metadata key', after 75 bytes"),
        ["header cut short"] = (() => new GgufBuilder().Build()[..20], "it is cut short in 'the number of metadata entries', after 20 bytes"),
        ["oversized key"] = (() => new GgufBuilder().Add(new string('k', 70000), 1).Build(), "the text of 'a metadata key' has 70000 bytes, more than the 65535 allowed"),
        ["key past the end"] = (() => Raw("k", w => w.Write(8u), w => w.Write(1ul << 62)), "the text of 'k' claims 4611686018427387904 bytes, but only 0 follow"),
        ["key not UTF-8"] = (() => Patch(new GgufBuilder().Add("kk", 1).Build(), 32, 0xFF), "a metadata key is not valid UTF-8"),
        ["unknown value type"] = (() => Raw("k", w => w.Write(13u), w => w.Write(0ul)), "the value of 'k' has the unknown type 13"),
        ["unknown element type"] = (() => Raw("k", w => w.Write(9u), w => w.Write(99u), w => w.Write(0ul)), "the value of 'k' has the unknown type 99"),
        ["lying list"] = (() => Raw("k", w => w.Write(9u), w => w.Write(8u), w => w.Write(1ul << 40), w => w.Write(0ul)), "the value of 'k' claims 1099511627776 entries, more than the 8 bytes that follow can hold"),
        ["lying list of bytes"] = (() => Raw("k", w => w.Write(9u), w => w.Write(0u), w => w.Write(ulong.MaxValue)), "the value of 'k' claims 18446744073709551615 entries, more than the 0 bytes that follow can hold"),
        ["text in a list past the end"] = (() => Raw("k", w => w.Write(9u), w => w.Write(8u), w => w.Write(1ul), w => w.Write(9ul)), "the text of 'k' claims 9 bytes, but only 0 follow"),
        ["lists too deep"] = (() => new GgufBuilder().Add("k", new[] { new[] { new[] { new[] { new[] { 1 } } } } }).Build(), "the value of 'k' has lists in lists, more than 4 deep"),
        ["duplicate key"] = (() => new GgufBuilder().Add("k", 1).Add("k", 2).Build(), "it has the metadata key 'k' twice"),
        ["duplicate tensor"] = (() => new GgufBuilder().Tensor("t", F32, [1], 4).Tensor("t", F32, [1], 4).Build(), "it has two tensors named 't'"),
        ["too many dimensions"] = (() => new GgufBuilder().Tensor("t", F32, [1, 1, 1, 1, 1], 4).Build(), "tensor 't' has 5 dimensions, more than 4"),
        ["zero dimension"] = (() => new GgufBuilder().Tensor("t", F32, [4, 0], 0).Build(), "tensor 't' has a dimension of 0, which cannot be right"),
        ["overflowing dimensions"] = (() => new GgufBuilder().Tensor("t", F32, [1ul << 40, 1ul << 40], 4).Build(), "tensor 't' has a dimension of 1099511627776, which cannot be right"),
        ["unknown tensor type"] = (() => new GgufBuilder().Tensor("t", 77, [32], 4).Build(), "tensor 't' has the unknown type 77"),
        ["withdrawn tensor type"] = (() => new GgufBuilder().Tensor("t", Q4_3, [32], 24).Build(), "tensor 't' has the type Q4_3, which ggml has withdrawn"),
        ["no whole block"] = (() => new GgufBuilder().Tensor("t", Q4_0, [48, 2], 54).Build(), "tensor 't' has rows of 48 weights, not whole Q4_0 blocks of 32"),
        ["offset off the boundary"] = (() => new GgufBuilder().Tensor("t", F32, [1], 64, offset: 4).Build(), "tensor 't' begins at byte 4 of the data, not on a boundary of 32"),
        ["offset past the end"] = (() => new GgufBuilder().Tensor("t", F32, [1], 4, offset: 1ul << 62).Build(), "tensor 't' needs 4 bytes from byte 4611686018427387904 of the data, but the file has only 68"),
        ["tensor larger than the file"] = (() => new GgufBuilder().Tensor("t", F32, [1ul << 60], 4).Build(), "tensor 't' needs 4611686018427387904 bytes from byte 0 of the data, but the file has only 68"),
        ["overlap"] = (() => new GgufBuilder().Tensor("a", F32, [16], 64, offset: 0).Tensor("b", F32, [1], 4, offset: 32).Build(), "tensor 'b' overlaps another: it begins at byte 128, before 160"),
        ["data cut short"] = (() => new GgufBuilder().Tensor("t", F32, [16], 64).Build()[..^1], "tensor 't' ends at byte 128, but the file is cut short at 127"),
    };

    public static TheoryData<string> WrongNames => new(Wrong.Keys);

    private static byte[] Raw(string key, params Action<BinaryWriter>[] parts) => new GgufBuilder().AddRaw(key, w => Array.ForEach(parts, part => part(w))).Build();

    private static byte[] Patch(byte[] file, int at, byte value)
    {
        file[at] = value;
        return file;
    }

    [Theory]
    [MemberData(nameof(WrongNames))]
    public void WrongFilesAreRefused(string name)
    {
        using TempFolder folder = new();
        string path = folder.Write("bad.gguf", Wrong[name].File());
        var e = Assert.Throws<SlipstreamException>(() => new GgufFile(path));
        Assert.Equal($"'{path}' is not a valid GGUF file: {Wrong[name].Problem}; download or export it again.", e.Message);
    }

    [Theory]
    [InlineData("", "is not a valid GGUF file: it is empty; download or export it again.")]
    [InlineData("474755", "is not a GGUF file: it begins with the bytes 474755, not with 'GGUF'; check that it is the right file.")]
    [InlineData("504B030400000000", "is not a GGUF file: it begins with the bytes 504B0304, not with 'GGUF'; check that it is the right file.")]
    [InlineData("746A676703000000", "is in the old GGML format, which GGUF replaced; download the model as GGUF.")]
    [InlineData("4747554600000003", "is a big-endian GGUF file; download or convert the model as little-endian GGUF.")]
    [InlineData("4747554601000000", "has GGUF version 1, but only 2 and 3 can be read; convert the model again.")]
    [InlineData("4747554604000000", "has GGUF version 4, but only 2 and 3 can be read; use a newer Slipstream or convert the model to version 3.")]
    [InlineData("76657273696F6E2068747470733A2F2F6769742D6C66732E", "is a Git LFS pointer, not the file itself: run 'git lfs pull' in its folder, or download the file.")]
    public void WrongBeginningsAreRefused(string hex, string problem)
    {
        using TempFolder folder = new();
        string path = folder.Write("bad.gguf", Convert.FromHexString(hex));
        Assert.Equal($"'{path}' {problem}", Assert.Throws<SlipstreamException>(() => new GgufFile(path)).Message);
    }

    [Theory]
    [InlineData(24, "is 24, not a power of two; export the file again.")]
    [InlineData(0, "is 0 where at least 1 was expected.")]
    public void AWrongAlignmentIsRefused(int alignment, string problem)
    {
        using TempFolder folder = new();
        string path = folder.Write("bad.gguf", new GgufBuilder().Add("general.alignment", (uint)alignment).Build());
        Assert.Equal($"'{path}': the field 'general.alignment' {problem}", Assert.Throws<SlipstreamException>(() => new GgufFile(path)).Message);
    }

    [Theory]
    [InlineData(2u, 32)]
    [InlineData(3u, 32)]
    [InlineData(3u, 8)]
    [InlineData(3u, 4096)]
    public void TensorsAreFoundWhereTheyAre(uint version, int alignment)
    {
        using TempFolder folder = new();
        GgufBuilder builder = new() { Version = version, Alignment = alignment };
        builder.Add("general.alignment", (uint)alignment).Tensor("a", F32, [3, 5], 60, fill: 1).Tensor("b", Q4_0, [64, 2, 3], 216, fill: 2).Tensor("s", F32, [], 4, fill: 3);
        using GgufFile file = new(folder.Write("m.gguf", builder.Build()));
        Assert.Equal((int)version, file.Version);
        Assert.Equal(alignment, file.Alignment);
        Assert.Equal([5, 3], file.Tensors["a"].Shape);
        Assert.Equal([3, 2, 64], file.Tensors["b"].Shape);
        Assert.Equal("Q4_0", file.Tensors["b"].Format);
        Assert.Empty(file.Tensors["s"].Shape);
        Assert.Equal(Enumerable.Repeat((byte)1, 60), file.Data("a").Span(0, 60).ToArray());
        Assert.Equal(Enumerable.Repeat((byte)2, 216), file.Data("b").Span(0, 216).ToArray());
        Assert.Equal(216, file.Data("b").Length);
        Assert.Throws<KeyNotFoundException>(() => file.Data("absent"));
    }

    [Fact]
    public void FormatsWithoutACodecAreListedAndRefusedOnlyWhenAskedFor()
    {
        using TempFolder folder = new();
        string path = folder.Write("m.gguf", new GgufBuilder().Tensor("t", 16, [256], 66).Build());
        using GgufFile file = new(path);
        Assert.Equal("IQ2_XXS", file.Tensors["t"].Format);
        Assert.Equal($"'{path}': tensor 't' is stored as IQ2_XXS, which Slipstream cannot compute with; take the model in another format, such as Q4_K_M or Q8_0.",
            Assert.Throws<SlipstreamException>(() => file.Data("t")).Message);
    }

    [Fact]
    public void AfterDisposalNothingIsRead()
    {
        using TempFolder folder = new();
        GgufFile file = new(folder.Write("m.gguf", new GgufBuilder().Add("names", new[] { "a" }).Tensor("t", F32, [1], 4).Build()));
        Assert.True(file.Metadata.TryGetStrings("names", out GgufStringArray? names));
        file.Dispose();
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Data("t"));
        Assert.Throws<ObjectDisposedException>(() => names[0]);
        Assert.Throws<ObjectDisposedException>(() => file.Metadata.Texts("names"));
    }

    [Fact]
    public void DamagedFilesNeverFailInAnyOtherWay()
    {
        using TempFolder folder = new();
        byte[] valid = GgufBuilder.Llama().Add("llama.block_count", 2u).Add("tokenizer.ggml.tokens", new[] { "a", "bc", "", "déf" }).Add("tokenizer.ggml.scores", new[] { 1f, 2f })
            .Add("nested", new[] { new[] { "x" }, ["y", "z"] }).Add("flag", true).Add("general.alignment", 32u)
            .Tensor("token_embd.weight", Q4_0, [32, 4], 72).Tensor("output_norm.weight", F32, [32], 128).Build();
        Fuzz.Run(valid, folder.File("fuzzed.gguf"), 500, Read);
    }

    [Fact]
    public void ADamagedGoldenFileNeverFailsInAnyOtherWay()
    {
        using TempFolder folder = new();
        byte[] valid = File.ReadAllBytes(Assets.Path("goldens", "gguf", "tiny-Q4_K_M.gguf"));
        Fuzz.Run(valid, folder.File("fuzzed.gguf"), 100, Read);
    }

    private static void Read(string path)
    {
        using GgufSource opened = GgufSource.Open(path);
        foreach (TensorInfo tensor in opened.Tensors.Values) Fuzz.Touch(opened.Data(tensor.Name));
        foreach (string key in opened.Metadata.Keys)
        {
            Assert.NotNull(opened.Metadata.Describe(key));
            Attempt(() => opened.Metadata.Int32(key));
            Attempt(() => opened.Metadata.Double(key));
            Attempt(() => opened.Metadata.Flag(key));
            Attempt(() => opened.Metadata.Text(key));
            Attempt(() => opened.Metadata.Texts(key)?.Sum(text => text.Length));
            Attempt(() => opened.Metadata.Int32s(key));
            Attempt(() => opened.Metadata.TryGetFloats(key, out _));
        }
    }

    private static void Attempt(Func<object?> read)
    {
        try
        {
            read();
        }
        catch (SlipstreamException)
        {
            // Most values have another type than the one asked for.
        }
    }
}
