using System.Reflection;
using Slipstream.Numerics;

namespace Slipstream.Tests.Formats;

public sealed class WeightFormatsTests
{
    [Fact]
    public void The_supported_formats_are_the_tested_ones() =>
        Assert.Equal(FormatCase.Floats.Concat(FormatCase.Blocks).Order(StringComparer.Ordinal), WeightFormats.All.Where(f => f.IsSupported).Select(f => f.Name).Order(StringComparer.Ordinal));

    [Fact]
    public void Every_format_is_found_by_name_in_any_case_and_by_number()
    {
        foreach (WeightFormat format in WeightFormats.All)
        {
            Assert.True(WeightFormats.TryGet(format.Name.ToLowerInvariant(), out WeightFormat? byName));
            Assert.Same(format, byName);
            Assert.True(WeightFormats.TryGet(format.GgmlType, out WeightFormat? byType));
            Assert.Same(format, byType);
            Assert.Equal(format.IsSupported, format.Decode is not null);
        }
        Assert.False(WeightFormats.TryGet("Q9_9", out _));
        Assert.False(WeightFormats.TryGet(4, out _));
        Assert.False(WeightFormats.TryGet(-1, out _));
    }

    [Theory]
    [InlineData("Q4_1", 3, 5.0)]
    [InlineData("Q8_0", 8, 8.5)]
    [InlineData("Q6_K", 14, 6.5625)]
    [InlineData("Q4_K", 12, 4.5)]
    [InlineData("IQ4_XS", 23, 4.25)]
    [InlineData("BF16", 30, 16.0)]
    [InlineData("MXFP4", 39, 4.25)]
    public void Numbers_and_sizes_are_those_of_ggml(string name, int type, double bits)
    {
        Assert.True(WeightFormats.TryGet(name, out WeightFormat? format));
        Assert.Equal((type, bits), (format.GgmlType, format.BitsPerWeight));
    }

    [Theory]
    [InlineData("IQ4_NL", "not supported")]
    [InlineData("MXFP4", "not supported")]
    [InlineData("banana", "unknown")]
    public void Formats_without_a_codec_are_refused_by_name(string name, string reason)
    {
        string message = Assert.Throws<SlipstreamException>(() => WeightFormats.Get(name)).Message;
        Assert.Equal(message, Assert.Throws<SlipstreamException>(() => WeightFormats.Accept(name, new NameVisitor())).Message);
        Assert.Contains($"'{name}' is {reason}", message, StringComparison.Ordinal);
        Assert.Contains("Q4_1", message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(FormatCase.Supported), MemberType = typeof(FormatCase))]
    public void A_visitor_is_specialised_over_the_named_format(string name) =>
        Assert.Equal((FormatCase.Blocks.Contains(name) ? "integer " : "float ") + name, WeightFormats.Accept(name, new NameVisitor()));

    // A model is packed while its user waits (ADR 11).
    [Theory]
    [MemberData(nameof(FormatCase.BlockFormats), MemberType = typeof(FormatCase))]
    public void Block_formats_are_unpacked_by_code_that_is_compiled_fully_at_once(string name) =>
        Assert.True(WeightFormats.Accept(name, new UnpackVisitor()).HasFlag(MethodImplAttributes.AggressiveOptimization));

    private sealed class UnpackVisitor : IFormatVisitor<MethodImplAttributes>
    {
        public MethodImplAttributes Visit<TFormat>() where TFormat : struct, IWeightFormat => default;

        public MethodImplAttributes VisitInteger<TFormat>() where TFormat : struct, IIntegerFormat => typeof(TFormat).GetMethod(nameof(IIntegerFormat.Unpack))!.MethodImplementationFlags;
    }

    private sealed class NameVisitor : IFormatVisitor<string>
    {
        public string Visit<TFormat>() where TFormat : struct, IWeightFormat => "float " + TFormat.Name;

        public string VisitInteger<TFormat>() where TFormat : struct, IIntegerFormat => "integer " + TFormat.Name;
    }
}
