using Slipstream.Numerics;

namespace Slipstream.Tests.Formats;

/// <summary>The formats with a codec, and the scalar definition each is tested against.</summary>
internal static class FormatCase
{
    public static readonly string[] Floats = ["F32", "F16", "BF16"];

    public static readonly string[] Blocks = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"];

    public static IEnumerable<TheoryDataRow<string>> Supported => Floats.Concat(Blocks).Select(n => new TheoryDataRow<string>(n));

    public static IEnumerable<TheoryDataRow<string>> BlockFormats => Blocks.Select(n => new TheoryDataRow<string>(n));

    public static IEnumerable<TheoryDataRow<string>> Encodable =>
        Floats.Concat(["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]).Select(n => new TheoryDataRow<string>(n));

    // The material has no file of F32, whose bytes are its floats.
    public static IEnumerable<TheoryDataRow<string>> SupportedButF32 => Supported.Skip(1);

    public static IEnumerable<TheoryDataRow<string>> EncodableButF32 => Encodable.Skip(1);

    public static BlockDecoder Reference(string name) => name switch
    {
        "F32" => F32.Decode,
        "F16" => F16.Reference,
        "BF16" => BF16.Reference,
        "Q8_0" => Q8_0.Reference,
        "Q4_0" => Q4_0.Reference,
        "Q4_1" => Q4_1.Reference,
        "Q5_0" => Q5_0.Reference,
        "Q5_1" => Q5_1.Reference,
        "Q2_K" => Q2_K.Reference,
        "Q3_K" => Q3_K.Reference,
        "Q4_K" => Q4_K.Reference,
        "Q5_K" => Q5_K.Reference,
        "Q6_K" => Q6_K.Reference,
        _ => throw new ArgumentOutOfRangeException(nameof(name)),
    };

    /// <summary>Equal bits; a NaN equals every NaN, as its sign and payload depend on the order of operands.</summary>
    public static void AssertSameBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            if (BitConverter.SingleToUInt32Bits(expected[i]) != BitConverter.SingleToUInt32Bits(actual[i]) && !(float.IsNaN(expected[i]) && float.IsNaN(actual[i])))
                Assert.Fail($"Weight {i} is {actual[i]:R}, not {expected[i]:R}.");
    }
}
