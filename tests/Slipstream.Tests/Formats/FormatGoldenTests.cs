using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Slipstream.Numerics;
using Slipstream.TestSupport;

namespace Slipstream.Tests.Formats;

public sealed class FormatGoldenTests
{
    public static IEnumerable<TheoryDataRow<string>> Files =>
        ((string[])["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K"]).Select(n => new TheoryDataRow<string>(n));

    [Theory]
    [MemberData(nameof(FormatCase.SupportedButF32), MemberType = typeof(FormatCase))]
    public void Decode_is_bit_exact(string name)
    {
        GoldenFile golden = new(name);
        float[] decoded = new float[golden.Decoded.Length];
        WeightFormats.Get(name).Decode!(golden.Bytes, decoded);
        FormatCase.AssertSameBits(golden.Decoded, decoded);
        FormatCase.Reference(name)(golden.Bytes, decoded);
        FormatCase.AssertSameBits(golden.Decoded, decoded);
    }

    [Theory]
    [MemberData(nameof(FormatCase.EncodableButF32), MemberType = typeof(FormatCase))]
    public void Encode_is_byte_exact(string name)
    {
        GoldenFile golden = new(name);
        byte[] bytes = new byte[golden.Bytes.Length];
        WeightFormats.Get(name).Encode!(golden.Input, bytes);
        Assert.Equal(golden.Bytes, bytes);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Decoded_tensors_of_a_file_have_the_hashes_of_the_reference(string file)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Assets.Path("goldens", "gguf", "golden.json")));
        JsonElement expected = document.RootElement.GetProperty("files").GetProperty(file).GetProperty("dequantised_sha256");
        byte[] bytes = File.ReadAllBytes(Assets.Path("goldens", "gguf", $"tiny-{file}.gguf"));
        List<TensorWalk.Tensor> tensors = TensorWalk.Read(bytes);
        Assert.Equal(expected.EnumerateObject().Count(), tensors.Count);
        foreach (TensorWalk.Tensor tensor in tensors)
        {
            JsonElement golden = expected.GetProperty(tensor.Name);
            Assert.True(WeightFormats.TryGet(tensor.Type, out WeightFormat? format));
            Assert.Equal(golden[0].GetString(), format.Name);
            float[] decoded = new float[tensor.Weights];
            format.Decode!(bytes.AsSpan((int)tensor.Start, (int)format.BytesOf(tensor.Weights)), decoded);
            Assert.Equal(golden[1].GetString(), Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(decoded.AsSpan()))));
        }
    }
}
