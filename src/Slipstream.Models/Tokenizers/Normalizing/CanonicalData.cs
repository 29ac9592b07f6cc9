using System.Collections.Frozen;
using System.Globalization;

namespace Slipstream.Models;

/// <summary>
/// Canonical decompositions, compositions and combining classes of Unicode. The platform's own need ICU, which is absent where globalization is invariant,
/// and ids must not depend on the machine.
/// </summary>
internal static class CanonicalData
{
    private const int SyllableBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7;
    private const int Leads = 19, Vowels = 21, Trails = 28, Syllables = Leads * Vowels * Trails;

    private static readonly FrozenDictionary<int, (int First, int Second)> Decompositions;
    private static readonly FrozenDictionary<(int First, int Second), int> Compositions;
    private static readonly FrozenDictionary<int, byte> Classes;

    static CanonicalData()
    {
        Dictionary<int, (int, int)> decompositions = [];
        Dictionary<(int, int), int> compositions = [];
        Dictionary<int, byte> classes = [];
        using Stream stream = typeof(CanonicalData).Assembly.GetManifestResourceStream("canonical.txt")!;
        using StreamReader reader = new(stream);
        while (reader.ReadLine() is { } line)
        {
            string[] fields = line.Split(' ');
            if (fields[0] == "D")
            {
                int code = Hexadecimal(fields[1].TrimStart('*'));
                (int First, int Second) parts = (Hexadecimal(fields[2]), fields.Length > 3 ? Hexadecimal(fields[3]) : -1);
                decompositions[code] = parts;
                if (fields[1][0] != '*' && parts.Second >= 0)
                    compositions[parts] = code;
            }
            else if (fields[0] == "C")
                for (int code = Hexadecimal(fields[1]); code <= Hexadecimal(fields[2]); code++)
                    classes[code] = byte.Parse(fields[3], CultureInfo.InvariantCulture);
        }
        Decompositions = decompositions.ToFrozenDictionary();
        Compositions = compositions.ToFrozenDictionary();
        Classes = classes.ToFrozenDictionary();
    }

    public static int CombiningClass(int codePoint) => codePoint < 0x300 ? 0 : Classes.GetValueOrDefault(codePoint);

    /// <summary>Adds the full decomposition of a code point, or itself.</summary>
    public static void Decompose(int codePoint, List<int> output)
    {
        if (codePoint < 0xC0)
            output.Add(codePoint);
        else if (codePoint is >= SyllableBase and < SyllableBase + Syllables)
        {
            int index = codePoint - SyllableBase;
            output.Add(LeadBase + index / (Vowels * Trails));
            output.Add(VowelBase + index / Trails % Vowels);
            if (index % Trails != 0)
                output.Add(TrailBase + index % Trails);
        }
        else if (Decompositions.TryGetValue(codePoint, out (int First, int Second) parts))
        {
            Decompose(parts.First, output);
            if (parts.Second >= 0)
                Decompose(parts.Second, output);
        }
        else
            output.Add(codePoint);
    }

    /// <summary>The code point that two compose to, or -1.</summary>
    public static int Compose(int first, int second)
    {
        if (first is >= LeadBase and < LeadBase + Leads && second is >= VowelBase and < VowelBase + Vowels)
            return SyllableBase + ((first - LeadBase) * Vowels + second - VowelBase) * Trails;
        if (first is >= SyllableBase and < SyllableBase + Syllables && (first - SyllableBase) % Trails == 0 && second is > TrailBase and < TrailBase + Trails)
            return first + second - TrailBase;
        return Compositions.GetValueOrDefault((first, second), -1);
    }

    private static int Hexadecimal(string digits) => int.Parse(digits, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
