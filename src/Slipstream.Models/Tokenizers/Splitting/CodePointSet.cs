using System.Globalization;

namespace Slipstream.Models;

/// <summary>A set of Unicode code points, as a character class of a regular expression names it.</summary>
internal sealed class CodePointSet
{
    private const uint Letters = 0b11111;
    private const uint Marks = 0b111 << 5;
    private const uint Numbers = 0b111 << 8;
    private const uint WordCategories = Letters | Marks | (1u << (int)UnicodeCategory.DecimalDigitNumber) | (1u << (int)UnicodeCategory.LetterNumber)
        | (1u << (int)UnicodeCategory.ConnectorPunctuation);

    private static readonly (int First, int Last)[] SpaceRanges =
        [(0x9, 0xD), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)];

    // Letters in circles and squares: alphabetic, although their category is "other symbol".
    private static readonly (int First, int Last)[] AlphabeticSymbols = [(0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)];

    private readonly uint _categories;
    private readonly (int First, int Last)[] _ranges;
    private readonly CodePointSet[] _parts;
    private readonly bool _negated;
    private readonly ulong _asciiLow, _asciiHigh;

    /// <param name="categories">Bit n: the general category whose <see cref="UnicodeCategory"/> is n.</param>
    /// <param name="ranges">First and last code points.</param>
    /// <param name="parts">Sets whose members belong to it too.</param>
    /// <param name="negated">Whether it is everything else instead.</param>
    public CodePointSet(uint categories, (int First, int Last)[] ranges, CodePointSet[] parts, bool negated)
    {
        (_categories, _ranges, _parts, _negated) = (categories, ranges, parts, negated);
        for (int i = 0; i < 64; i++)
        {
            _asciiLow |= (Slow(i) ? 1UL : 0) << i;
            _asciiHigh |= (Slow(i + 64) ? 1UL : 0) << i;
        }
    }

    public static CodePointSet Space { get; } = new(0, SpaceRanges, [], false);

    public static CodePointSet Digit { get; } = new(1u << (int)UnicodeCategory.DecimalDigitNumber, [], [], false);

    /// <summary><c>\w</c> in a class of Oniguruma, the engine of split patterns: letters, marks, decimal and letter numbers, connectors.</summary>
    public static CodePointSet Word { get; } = new(WordCategories, AlphabeticSymbols, [], false);

    /// <summary><c>\w</c> by itself in Oniguruma, whose table for Latin-1 has superscripts and fractions as well, so that <c>½</c> is both <c>\w</c> and <c>[^\w]</c>.</summary>
    public static CodePointSet LoneWord { get; } = new(WordCategories, [.. AlphabeticSymbols, (0xB2, 0xB3), (0xB9, 0xB9), (0xBC, 0xBE)], [], false);

    /// <summary><c>\w</c> in Rust's engine, which looks at what stands beside added tokens: the two joiners are of it.</summary>
    public static CodePointSet RustWord { get; } = new(WordCategories, [.. AlphabeticSymbols, (0x200C, 0x200D)], [], false);

    /// <summary>Numbers of any kind, as Rust's <c>char::is_numeric</c>.</summary>
    public static CodePointSet Number { get; } = new(Numbers, [], [], false);

    public bool Contains(int codePoint) => codePoint switch
    {
        < 64 => (_asciiLow >> codePoint & 1) != 0,
        < 128 => (_asciiHigh >> (codePoint - 64) & 1) != 0,
        _ => Slow(codePoint),
    };

    /// <summary>The bits of a category or group of them (<c>L</c>, <c>Lu</c>, …), or null where there is none of that name.</summary>
    public static uint? Categories(string name) => name switch
    {
        "L" or "Letter" => Letters,
        "M" or "Mark" => Marks,
        "N" or "Number" => Numbers,
        "Z" => 0b111 << 11,
        "P" or "Punct" or "Punctuation" => 0b1111111 << 18,
        "S" or "Symbol" => 0b1111 << 25,
        _ => Array.IndexOf(CategoryNames, name) is >= 0 and int index ? 1u << index : null,
    };

    // In the order of UnicodeCategory.
    private static readonly string[] CategoryNames =
        ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cn"];

    private bool Slow(int codePoint)
    {
        if (_categories != 0 && (_categories >> (int)CharUnicodeInfo.GetUnicodeCategory(codePoint) & 1) != 0)
            return !_negated;
        foreach ((int first, int last) in _ranges)
            if (codePoint >= first && codePoint <= last)
                return !_negated;
        foreach (CodePointSet part in _parts)
            if (part.Contains(codePoint))
                return !_negated;
        return _negated;
    }
}
