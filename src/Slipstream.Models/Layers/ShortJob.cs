namespace Slipstream.Models;

/// <summary>How many rows of a job one thread does sooner than several could begin and end it together: the grain of such jobs.</summary>
internal static class ShortJob
{
    /// <summary>Elements that one of a non-linearity takes the time of.</summary>
    public const int Nonlinear = 2;

    // About a microsecond: measured on models that lie in the cache, and where processors share none.
    private const int Elements = 4096;

    /// <summary>Rows of so many elements each; at least one.</summary>
    public static int Rows(int elements) => Math.Max(1, Elements / elements);
}
