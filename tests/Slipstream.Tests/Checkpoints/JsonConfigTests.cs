using System.Text;
using Slipstream.Models;
using Slipstream.TestSupport;

namespace Slipstream.Tests.Checkpoints;

public sealed class JsonConfigTests
{
    private const string Valid = """
        {"hidden_size": 64, "exact": 4096.0, "half": 1.5, "big": 5000000000, "huge": 1e400, "theta": 10000, "eps": 1e-5, "tie": true, "none": null,
         "model_type": "llama", "names": ["a", "b"], "mixed": ["a", 1], "one": 2, "many": [2, 3], "text_config": {"deep": {"x": "y"}}, "lone": "\ud800", "twice": 1, "twice": 2}
        """;

    [Theory]
    [InlineData("Int32", "absent", "the field 'absent' is missing; add it, or fetch the complete file of the model.")]
    [InlineData("Int32", "none", "the field 'none' is missing; add it, or fetch the complete file of the model.")]
    [InlineData("Int32", "half", "the field 'half' is 1.5 where a whole number was expected.")]
    [InlineData("Int32", "big", "the field 'big' is 5000000000, which does not fit 32 bits.")]
    [InlineData("Int32", "huge", "the field 'huge' is 1e400, which does not fit 32 bits.")]
    [InlineData("Int32", "model_type", "the field 'model_type' is a text where a whole number was expected.")]
    [InlineData("Int32Min", "hidden_size", "the field 'hidden_size' is 64 where at least 65 was expected.")]
    [InlineData("Int32Max", "hidden_size", "the field 'hidden_size' is 64 where 1 to 63 was expected.")]
    [InlineData("Double", "absent", "the field 'absent' is missing; add it, or fetch the complete file of the model.")]
    [InlineData("Double", "huge", "the field 'huge' is 1e400, which is too large for a number.")]
    [InlineData("Double", "names", "the field 'names' is a list where a number was expected.")]
    [InlineData("DoubleMin", "eps", "the field 'eps' is 1E-05 where at least 0.5 was expected.")]
    [InlineData("Flag", "absent", "the field 'absent' is missing; add it, or fetch the complete file of the model.")]
    [InlineData("Flag", "hidden_size", "the field 'hidden_size' is a number where true or false was expected.")]
    [InlineData("Text", "tie", "the field 'tie' is a boolean where a text was expected.")]
    [InlineData("Text", "lone", "the field 'lone' has half a surrogate pair in its text; correct the file.")]
    [InlineData("Texts", "model_type", "the field 'model_type' is a text where a list of texts was expected.")]
    [InlineData("Texts", "mixed", "the field 'mixed' has a number in it where a text was expected.")]
    [InlineData("Int32s", "mixed", "the field 'mixed' is a text where a whole number was expected.")]
    [InlineData("Int32s", "text_config", "the field 'text_config' is an object where a whole number was expected.")]
    [InlineData("Section", "hidden_size", "the field 'hidden_size' is a number where an object was expected.")]
    [InlineData("Nested", "absent", "the field 'text_config.deep.absent' is missing; add it, or fetch the complete file of the model.")]
    public void WrongFieldsAreOneSentence(string method, string field, string problem)
    {
        using TempFolder folder = new();
        string path = folder.Write("config.json", Valid);
        JsonConfig config = JsonConfig.Open(path);
        var e = Assert.Throws<SlipstreamException>(() => Call(config, method, field));
        Assert.Equal($"'{path}': {problem}", e.Message);
    }

    private static object? Call(JsonConfig config, string method, string field) => method switch
    {
        "Int32" => config.Int32(field),
        "Int32Min" => config.Int32(field, min: 65),
        "Int32Max" => config.Int32(field, max: 63),
        "Double" => config.Double(field),
        "DoubleMin" => config.Double(field, min: 0.5),
        "Flag" => config.Flag(field),
        "Text" => config.Text(field),
        "Texts" => config.Texts(field),
        "Int32s" => config.Int32s(field),
        "Section" => config.Section(field),
        _ => config.Section("text_config")!.Section("deep")!.Int32(field),
    };

    [Fact]
    public void RightFieldsAreRead()
    {
        using TempFolder folder = new();
        JsonConfig config = JsonConfig.Open(folder.Write("config.json", [0xEF, 0xBB, 0xBF, .. Encoding.UTF8.GetBytes(Valid)]));
        Assert.Equal(64, config.Int32("hidden_size"));
        Assert.Equal(4096, config.Int32("exact"));
        Assert.Equal(7, config.Int32("absent", fallback: 7));
        Assert.Equal(7, config.Int32("none", fallback: 7));
        Assert.Equal(2, config.Int32("twice"));
        Assert.Equal(10000.0, config.Double("theta"));
        Assert.Equal(0.25, config.Double("absent", fallback: 0.25));
        Assert.True(config.Flag("tie"));
        Assert.False(config.Flag("absent", fallback: false));
        Assert.Equal("llama", config.Text("model_type"));
        Assert.Null(config.Text("none"));
        Assert.Equal(["a", "b"], config.Texts("names"));
        Assert.Null(config.Texts("absent"));
        Assert.Equal([2], config.Int32s("one"));
        Assert.Equal([2, 3], config.Int32s("many"));
        Assert.Empty(config.Int32s("absent"));
        Assert.Null(config.Section("absent"));
        Assert.Equal("y", config.Section("text_config")!.Section("deep")!.Text("x"));
        Assert.True(config.Has("tie"));
        Assert.False(config.Has("none"));
    }

    [Theory]
    [InlineData("", "is empty; download it again.")]
    [InlineData(" \n", "is empty; download it again.")]
    [InlineData("<html>", "is not valid JSON (line 1, byte 1); download it again or correct it.")]
    [InlineData("{\n\"a\": 1,}", "is not valid JSON (line 2, byte 8); download it again or correct it.")]
    [InlineData("[1]", "holds a list where a JSON object was expected; check that it is the right file.")]
    [InlineData("null", "holds null where a JSON object was expected; check that it is the right file.")]
    [InlineData("{} {}", "is not valid JSON (line 1, byte 4); download it again or correct it.")]
    [InlineData("version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer, not the file itself: run 'git lfs pull' in its folder, or download the file.")]
    public void WrongFilesAreOneSentence(string text, string problem)
    {
        using TempFolder folder = new();
        string path = folder.Write("config.json", text);
        var e = Assert.Throws<SlipstreamException>(() => JsonConfig.Open(path));
        Assert.Equal($"'{path}' {problem}", e.Message);
    }

    [Fact]
    public void InvalidUtf8AndDeepNestingAndHugeFilesAreRefused()
    {
        using TempFolder folder = new();
        string path = folder.Write("config.json", Encoding.Latin1.GetBytes("""{"a": "é"}"""));
        Assert.Equal($"'{path}' is not valid UTF-8 text; download it again or save it as UTF-8.", Assert.Throws<SlipstreamException>(() => JsonConfig.Open(path)).Message);
        folder.Write("config.json", string.Concat(Enumerable.Repeat("{\"a\":", 100000)));
        Assert.StartsWith($"'{path}' is not valid JSON (line 1, ", Assert.Throws<SlipstreamException>(() => JsonConfig.Open(path)).Message, StringComparison.Ordinal);
        using (FileStream huge = File.Create(path)) huge.SetLength((16 << 20) + 1);
        Assert.Equal($"'{path}' has 16777217 bytes, more than the 16777216 a file of its kind may have; check that it is the right file.", Assert.Throws<SlipstreamException>(() => JsonConfig.Open(path)).Message);
    }

    [Fact]
    public void AGoldenConfigurationIsRead()
    {
        JsonConfig config = JsonConfig.Open(Assets.Path("goldens", "models", "llama", "config.json"));
        Assert.Equal("llama", config.Text("model_type"));
        Assert.InRange(config.Int32("num_hidden_layers"), 1, 8);
    }
}
