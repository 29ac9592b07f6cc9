using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace Slipstream.Numerics;

/// <summary>The table of weight formats: every type of a GGUF file, with a codec where Slipstream has one.</summary>
/// <remarks>A new format is one struct and one row here. Thread-safe.</remarks>
public static class WeightFormats
{
    private static readonly ImmutableArray<Entry> Table =
    [
        Writable<F32>(0), Writable<F16>(1), Writable<BF16>(30),
        WritableBlocks<Q4_0>(2), WritableBlocks<Q4_1>(3), WritableBlocks<Q5_0>(6), WritableBlocks<Q5_1>(7), WritableBlocks<Q8_0>(8),
        Blocks<Q2_K>(10), Blocks<Q3_K>(11), Blocks<Q4_K>(12), Blocks<Q5_K>(13), Blocks<Q6_K>(14),
        Known("Q8_1", 9, 32, 36), Known("Q8_K", 15, 256, 292),
        Known("IQ2_XXS", 16, 256, 66), Known("IQ2_XS", 17, 256, 74), Known("IQ3_XXS", 18, 256, 98), Known("IQ1_S", 19, 256, 50),
        Known("IQ4_NL", 20, 32, 18), Known("IQ3_S", 21, 256, 110), Known("IQ2_S", 22, 256, 82), Known("IQ4_XS", 23, 256, 136), Known("IQ1_M", 29, 256, 56),
        Known("I8", 24, 1, 1), Known("I16", 25, 1, 2), Known("I32", 26, 1, 4), Known("I64", 27, 1, 8), Known("F64", 28, 1, 8),
        Known("TQ1_0", 34, 256, 54), Known("TQ2_0", 35, 256, 66), Known("MXFP4", 39, 32, 17), Known("NVFP4", 40, 64, 36),
    ];

    private static readonly FrozenDictionary<string, Entry> ByName = Table.ToFrozenDictionary(e => e.Format.Name, StringComparer.OrdinalIgnoreCase);

    private static readonly FrozenDictionary<int, WeightFormat> ByType = Table.ToFrozenDictionary(e => e.Format.GgmlType, e => e.Format);

    /// <summary>Every known format, supported or not.</summary>
    public static ImmutableArray<WeightFormat> All { get; } = [.. Table.Select(e => e.Format)];

    /// <summary>Finds a format by the name GGUF gives it; case does not matter.</summary>
    public static bool TryGet(string name, [NotNullWhen(true)] out WeightFormat? format)
    {
        ArgumentNullException.ThrowIfNull(name);
        format = ByName.TryGetValue(name, out Entry? entry) ? entry.Format : null;
        return format is not null;
    }

    /// <summary>Finds a format by its number in GGUF files.</summary>
    public static bool TryGet(int ggmlType, [NotNullWhen(true)] out WeightFormat? format) => ByType.TryGetValue(ggmlType, out format);

    /// <summary>The supported format of a name.</summary>
    /// <exception cref="SlipstreamException">The format is unknown or not supported; the message lists those that are.</exception>
    public static WeightFormat Get(string name) => Supported(name).Format;

    /// <summary>Runs <paramref name="visitor"/> specialised over the format of a name.</summary>
    /// <exception cref="SlipstreamException">The format is unknown or not supported; the message lists those that are.</exception>
    internal static TResult Accept<TResult>(string name, IFormatVisitor<TResult> visitor) => Supported(name).Accept(visitor);

    private static Entry Supported(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (ByName.TryGetValue(name, out Entry? entry) && entry.Format.IsSupported)
            return entry;
        string supported = string.Join(", ", All.Where(f => f.IsSupported).Select(f => f.Name));
        throw new SlipstreamException(
            $"The weight format '{name}' is {(entry is null ? "unknown" : "not supported")}: convert the model to one of {supported}.");
    }

    private static Entry Known(string name, int type, int length, int bytes) => new(new WeightFormat(name, type, length, bytes));

    private static Entry Writable<TFormat>(int type) where TFormat : struct, IEncodableFormat => new FloatEntry<TFormat>(
        new WeightFormat(TFormat.Name, type, TFormat.BlockLength, TFormat.BlockBytes) { Decode = TFormat.Decode, Encode = TFormat.Encode });

    private static Entry WritableBlocks<TFormat>(int type) where TFormat : struct, IEncodableFormat, IIntegerFormat => new BlockEntry<TFormat>(
        new WeightFormat(TFormat.Name, type, TFormat.BlockLength, TFormat.BlockBytes) { Decode = TFormat.Decode, Encode = TFormat.Encode });

    private static Entry Blocks<TFormat>(int type) where TFormat : struct, IIntegerFormat => new BlockEntry<TFormat>(
        new WeightFormat(TFormat.Name, type, TFormat.BlockLength, TFormat.BlockBytes) { Decode = TFormat.Decode });

    // What brings a visitor to its type argument: a virtual call to a generic method of a class that knows the format.
    private class Entry(WeightFormat format)
    {
        public WeightFormat Format { get; } = format;

        public virtual TResult Accept<TResult>(IFormatVisitor<TResult> visitor) => throw new InvalidOperationException($"{Format.Name} has no codec.");
    }

    private sealed class FloatEntry<TFormat>(WeightFormat format) : Entry(format) where TFormat : struct, IWeightFormat
    {
        public override TResult Accept<TResult>(IFormatVisitor<TResult> visitor) => visitor.Visit<TFormat>();
    }

    private sealed class BlockEntry<TFormat>(WeightFormat format) : Entry(format) where TFormat : struct, IIntegerFormat
    {
        public override TResult Accept<TResult>(IFormatVisitor<TResult> visitor) => visitor.VisitInteger<TFormat>();
    }
}
