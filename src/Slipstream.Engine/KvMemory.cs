using System.Globalization;

namespace Slipstream;

/// <summary>An amount of memory for the cache: bytes, or a share of what the process may use.</summary>
public readonly record struct KvMemory
{
    private readonly double _percent;
    private readonly long _bytes;

    private KvMemory(long bytes, double percent) => (_bytes, _percent) = (bytes, percent);

    /// <summary>So many bytes.</summary>
    public static KvMemory FromBytes(long bytes) => new(bytes, 0);

    /// <summary>So many percent of the memory available to the process.</summary>
    public static KvMemory FromPercent(double percent) => new(0, percent);

    /// <summary>Reads <c>268435456</c>, <c>256M</c>, <c>1.5G</c> or <c>25%</c> (K, M, G are powers of 1024).</summary>
    /// <exception cref="SlipstreamException">The text is no such amount.</exception>
    public static KvMemory Parse(string text)
    {
        string trimmed = text.Trim();
        long unit = trimmed.Length == 0 ? 1 : char.ToUpperInvariant(trimmed[^1]) switch { 'K' => 1L << 10, 'M' => 1L << 20, 'G' => 1L << 30, _ => 1 };
        bool percent = trimmed.EndsWith('%');
        string digits = percent || unit > 1 ? trimmed[..^1] : trimmed;
        if (!double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) || value <= 0
            || (percent && value > 100) || value * unit > long.MaxValue / 2)
            throw new SlipstreamException($"'{text}' is no amount of memory; write bytes such as 268435456, 256M or 1.5G, or a share such as 25%.");
        return percent ? FromPercent(value) : FromBytes((long)(value * unit));
    }

    /// <summary>The amount in bytes on this machine.</summary>
    public long ToBytes() => _percent > 0 ? (long)(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes * (_percent / 100)) : _bytes;
}
