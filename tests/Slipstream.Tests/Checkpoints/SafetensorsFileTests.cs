using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Slipstream.Models;
using Slipstream.TestSupport;

namespace Slipstream.Tests.Checkpoints;

public sealed class SafetensorsFileTests
{
    private const string Again = "; download or export it again.";

    [Theory]
    [InlineData("""[1]""", 0, "its header is not a JSON object")]
    [InlineData("""{"a":""", 0, "its header is not valid JSON in UTF-8")]
    [InlineData("""{} {}""", 0, "its header is not valid JSON in UTF-8")]
    [InlineData("""{"a":{"x":[[[[[[[[[[1]]]]]]]]]]}}""", 0, "its header is not valid JSON in UTF-8")]
    [InlineData("""{"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "its header is not valid JSON in UTF-8")]
    [InlineData("""{"a":7}""", 0, "tensor 'a' is not an object with 'dtype', 'shape' and 'data_offsets'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1]}}""", 4, "tensor 'a' is not an object with 'dtype', 'shape' and 'data_offsets'")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a' has a wrong 'dtype', or has it twice")]
    [InlineData("""{"a":{"dtype":"Q7","shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a' has the unknown dtype 'Q7'")]
    [InlineData("""{"a":{"dtype":"F32","shape":7,"data_offsets":[0,4]}}""", 4, "tensor 'a' has a 'shape' that is not a list")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4, "tensor 'a' has a 'shape' with an entry that is not a whole number from 0 to 9223372036854775807")]
    [InlineData("""{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}""", 4, "tensor 'a' has a 'shape' with an entry that is not a whole number from 0 to 9223372036854775807")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}""", 4, "tensor 'a' has the shape [4294967296, 4294967296], more elements than can be counted")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}""", 4, "tensor 'a' has 4 bytes, but F32 of shape [4611686018427387905] takes 18446744073709551620")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4, "tensor 'a' has 4 bytes, but F32 of shape [2] takes 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", 4, "tensor 'a' has 'data_offsets' [4, 0], not a begin and an end")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}""", 4, "tensor 'a' has 'data_offsets' [0], not a begin and an end")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}""", 4, "tensor 'a' has a 'data_offsets' of more than 2 entries")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 4, "tensor 'a' ends at byte 8 of the data, but the file holds only 4")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "tensor 'b' overlaps another: it begins at byte 4 of the data, before 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}""", 12, "tensor 'b' leaves a gap before it: it begins at byte 8 of the data, not at 4")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 8, "its tensors end at byte 4 of the data, but the file holds 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "it has two tensors named 'a'")]
    [InlineData("""{"__metadata__":[]}""", 0, "its '__metadata__' is not an object of texts")]
    [InlineData("""{"__metadata__":{"format":1}}""", 0, "its '__metadata__' entry 'format' is not a text")]
    [InlineData("""{"__metadata__":{},"__metadata__":{}}""", 0, "it has '__metadata__' twice")]
    public void WrongHeadersAreRefused(string header, int dataBytes, string problem)
    {
        using TempFolder folder = new();
        string path = folder.WriteSafetensors("bad.safetensors", header, dataBytes);
        var e = Assert.Throws<SlipstreamException>(() => new SafetensorsFile(path));
        Assert.Equal($"'{path}' is not a valid safetensors file: {problem}{Again}", e.Message);
    }

    [Theory]
    [InlineData("", "it is empty")]
    [InlineData("00", "it has only 1 bytes")]
    [InlineData("0100000000000000207D", "its header is said to be 1 bytes long, too short for a JSON object")]
    [InlineData("FFFFFFFFFFFFFFFF7B7D", "its header is said to be 18446744073709551615 bytes long, more than the 100000000 bytes the format allows")]
    [InlineData("40420F00000000007B7D", "its header is said to be 1000000 bytes long, but only 2 bytes follow")]
    [InlineData("04000000000000007BFFFF7D", "its header is not valid JSON in UTF-8")]
    public void WrongBeginningsAreRefused(string hex, string problem)
    {
        using TempFolder folder = new();
        string path = folder.Write("bad.safetensors", Convert.FromHexString(hex));
        var e = Assert.Throws<SlipstreamException>(() => new SafetensorsFile(path));
        Assert.Equal($"'{path}' is not a valid safetensors file: {problem}{Again}", e.Message);
    }

    [Fact]
    public void InvalidUtf8InANameIsRefused()
    {
        using TempFolder folder = new();
        byte[] header = Encoding.Latin1.GetBytes("""{"é":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""");
        string path = folder.Write("bad.safetensors", TempFolder.Safetensors(header, new byte[4]));
        var e = Assert.Throws<SlipstreamException>(() => new SafetensorsFile(path));
        Assert.Equal($"'{path}' is not a valid safetensors file: its header is not valid JSON in UTF-8{Again}", e.Message);
    }

    [Fact]
    public void ALongNameWithControlCharactersIsClippedInMessages()
    {
        using TempFolder folder = new();
        string header = "{\"\\u001b[2J" + new string('x', 5000) + "\":7}";
        string path = folder.WriteSafetensors("bad.safetensors", header, 0);
        var e = Assert.Throws<SlipstreamException>(() => new SafetensorsFile(path));
        Assert.Equal($"'{path}' is not a valid safetensors file: tensor '\uFFFD[2J{new string('x', 96)}…' is not an object with 'dtype', 'shape' and 'data_offsets'{Again}", e.Message);
    }

    [Fact]
    public void AnLfsPointerIsNamedAsSuch()
    {
        using TempFolder folder = new();
        string path = folder.Write("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n");
        var e = Assert.Throws<SlipstreamException>(() => new SafetensorsFile(path));
        Assert.Equal($"'{path}' is a Git LFS pointer, not the file itself: run 'git lfs pull' in its folder, or download the file.", e.Message);
    }

    [Fact]
    public void DtypesThatCannotBeUsedAreListedAndRefusedOnlyWhenAskedFor()
    {
        using TempFolder folder = new();
        string path = folder.WriteSafetensors("m.safetensors", """{"ids":{"dtype":"I64","shape":[1,2],"data_offsets":[4,20]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   """, 20);
        using SafetensorsFile file = new(path);
        Assert.Equal("I64", file.Tensors["ids"].Format);
        Assert.Equal(4, file.Data("w").Length);
        var e = Assert.Throws<SlipstreamException>(() => file.Data("ids"));
        Assert.Equal($"'{path}': tensor 'ids' is stored as I64; only F32, F16 and BF16 weights can be used, so convert the checkpoint to one of them.", e.Message);
        Assert.Throws<KeyNotFoundException>(() => file.Data("absent"));
    }

    [Fact]
    public void EmptyTensorsScalarsAndSubByteTypesAreMeasured()
    {
        using TempFolder folder = new();
        string path = folder.WriteSafetensors("m.safetensors", """{"none":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},"scalar":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"f4":{"dtype":"F4","shape":[3,2],"data_offsets":[4,7],"note":{"x":1}}}""", 7);
        using SafetensorsFile file = new(path);
        Assert.Equal(0, file.Data("none").Length);
        Assert.Equal(1, file.Tensors["scalar"].Elements);
        Assert.Equal(3, file.Tensors["f4"].Bytes);
    }

    [Fact]
    public void AGoldenFileOpensAndItsFirstTensorIsWhereTheHeaderSays()
    {
        string path = Assets.Path("goldens", "models", "llama", "model.safetensors");
        using SafetensorsFile file = new(path);
        byte[] all = File.ReadAllBytes(path);
        long header = BinaryPrimitives.ReadInt64LittleEndian(all);
        using var json = System.Text.Json.JsonDocument.Parse(all.AsMemory(8, (int)header));
        int tensors = 0;
        foreach (var property in json.RootElement.EnumerateObject().Where(p => p.Name != "__metadata__"))
        {
            tensors++;
            int begin = property.Value.GetProperty("data_offsets")[0].GetInt32(), end = property.Value.GetProperty("data_offsets")[1].GetInt32();
            Assert.Equal(all.AsSpan((int)(8 + header + begin), end - begin), file.Data(property.Name).Span(0, end - begin));
            Assert.Equal(property.Value.GetProperty("shape").EnumerateArray().Select(d => d.GetInt64()), file.Tensors[property.Name].Shape);
        }
        Assert.Equal(tensors, file.Tensors.Count);
        Assert.Equal("pt", file.Metadata["format"]);
    }

    [Fact]
    public void AfterDisposalDataIsRefused()
    {
        using TempFolder folder = new();
        string path = folder.File("m.safetensors");
        SafetensorsWriter.Write(path, [TensorToWrite.FromValues("w", [2], new float[] { 1, 2 })]);
        SafetensorsFile file = new(path);
        file.Dispose();
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Data("w"));
    }

    [Fact]
    public void DamagedFilesNeverFailInAnyOtherWay()
    {
        using TempFolder folder = new();
        string path = folder.File("m.safetensors");
        SafetensorsWriter.Write(path, [TensorToWrite.FromValues("layers.0.weight", [3, 4], new float[12]), TensorToWrite.FromValues("bias", [5], new float[5])],
            new Dictionary<string, string> { ["format"] = "pt" });
        Fuzz.Run(File.ReadAllBytes(path), folder.File("fuzzed.safetensors"), 500, file =>
        {
            using SafetensorsFile opened = new(file);
            foreach (string name in opened.Tensors.Keys) Fuzz.Touch(opened.Data(name));
        });
    }

    [Fact]
    public void WhatIsWrittenIsReadBack()
    {
        using TempFolder folder = new();
        string path = folder.File("m.safetensors");
        float[] values = [.. Enumerable.Range(0, 1000).Select(i => i * 0.5f)];
        SafetensorsWriter.Write(path,
            [TensorToWrite.FromValues("ünïcode \"x\"", [10, 20, 5], values), TensorToWrite.FromValues("scalar", [], new float[] { 7 }), TensorToWrite.FromValues("none", [0, 3], default)],
            new Dictionary<string, string> { ["format"] = "pt" });
        using SafetensorsFile file = new(path);
        Assert.Equal(values, MemoryMarshal.Cast<byte, float>(file.Data("ünïcode \"x\"").Span(0, 4000)).ToArray());
        Assert.Equal(7, MemoryMarshal.Cast<byte, float>(file.Data("scalar").Span(0, 4))[0]);
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal([path], Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void RowsAreAskedForOnceInOrderInPieces()
    {
        using TempFolder folder = new();
        const int rows = 700, columns = 1000;
        long next = 0;
        int calls = 0;
        SafetensorsWriter.Write(folder.File("m.safetensors"), [new TensorToWrite("w", [rows, columns], (firstRow, count, destination) =>
        {
            Assert.Equal(next, firstRow);
            Assert.Equal(count * columns, destination.Length);
            for (int i = 0; i < destination.Length; i++) destination[i] = firstRow * columns + i;
            next += count;
            calls++;
        })]);
        Assert.Equal(rows, next);
        Assert.True(calls > 1);
        using SafetensorsFile file = new(folder.File("m.safetensors"));
        var values = MemoryMarshal.Cast<byte, float>(file.Data("w").Span(0, rows * columns * 4));
        for (int i = 0; i < values.Length; i++) Assert.Equal(i, values[i]);
    }

    [Fact]
    public void AFullDiskIsOneSentenceAndLeavesTheOldFileAlone()
    {
        using TempFolder folder = new();
        string path = folder.Write("m.safetensors", "old");
        TensorToWrite tensor = TensorToWrite.FromValues("w", [100], new float[100]);
        var e = Assert.Throws<SlipstreamException>(() => SafetensorsWriter.Write(path, [tensor], null, (file, _) => new FullDisk(file)));
        Assert.Equal($"'{path}' cannot be written: No space left on device : '{path}'; free space, or choose another folder.", e.Message);
        Assert.Equal([path], Directory.GetFiles(folder.Path));
        Assert.Equal("old", File.ReadAllText(path));
    }

    [Fact]
    public void SpaceThatNoDiskHasIsRefusedBeforeAnyRowIsAskedFor()
    {
        using TempFolder folder = new();
        TensorToWrite tensor = new("w", [1L << 20, 1L << 38], (_, _, _) => Assert.Fail("No row should be asked for."));
        var e = Assert.Throws<SlipstreamException>(() => SafetensorsWriter.Write(folder.File("m.safetensors"), [tensor]));
        Assert.StartsWith($"'{folder.File("m.safetensors")}' cannot be written: ", e.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void AFailingReaderLeavesNothingBehind()
    {
        using TempFolder folder = new();
        TensorToWrite tensor = new("w", [1], (_, _, _) => throw new TimeoutException());
        Assert.Throws<TimeoutException>(() => SafetensorsWriter.Write(folder.File("m.safetensors"), [tensor]));
        Assert.Empty(Directory.GetFiles(folder.Path));
        var e = Assert.Throws<SlipstreamException>(() => SafetensorsWriter.Write(folder.File("absent/m.safetensors"), [tensor]));
        Assert.StartsWith($"'{folder.File("absent/m.safetensors")}' cannot be written: Could not find a part of the path", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(folder.File("m.safetensors"), [tensor, tensor]));
    }

    private sealed class FullDisk(string path) : MemoryStream
    {
        private readonly FileStream _file = new(path, FileMode.CreateNew);
        private long _left = 300;

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            _left -= buffer.Length;
            if (_left < 0) throw new IOException($"No space left on device : '{path}'");
            _file.Write(buffer);
        }

        protected override void Dispose(bool disposing)
        {
            _file.Dispose();
            base.Dispose(disposing);
        }
    }
}
