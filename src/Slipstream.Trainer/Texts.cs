using System.Globalization;

namespace Slipstream.Trainer;

/// <summary>Texts with numbers as every culture's programs read them.</summary>
internal static class Texts
{
    /// <summary>The text in the invariant culture.</summary>
    public static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
